//! Colours: the few that a picture has, and the words for them.

use media::{Filter, Fit, MediaError, Pixels};
use store::search::Palette;
use types::Size;

/// Colours that a picture is described by, at most.
const COLOURS: usize = 6;

/// Words, and the colour they mean in Lab. English, German, French, Spanish, Italian.
const WORDS: &[(&[&str], [f32; 3])] = &[
    (&["red", "rot", "rote", "roter", "rotes", "rouge", "rojo", "roja", "rosso", "rossa"], [48.0, 62.0, 42.0]),
    (&["orange", "arancione", "naranja"], [67.0, 43.0, 68.0]),
    (
        &["yellow", "gelb", "gelbe", "gelber", "gelbes", "jaune", "amarillo", "amarilla", "giallo", "gialla"],
        [87.0, 0.0, 75.0],
    ),
    (&["green", "grün", "grüne", "grüner", "grünes", "vert", "verte", "verde"], [55.0, -42.0, 38.0]),
    (&["blue", "blau", "blaue", "blauer", "blaues", "bleu", "bleue", "azul", "blu"], [45.0, 2.0, -48.0]),
    (&["purple", "violet", "lila", "violett", "violette", "morado", "viola"], [40.0, 45.0, -42.0]),
    (&["pink", "rosa", "rose"], [75.0, 38.0, 0.0]),
    (&["brown", "braun", "braune", "brauner", "braunes", "marron", "brun", "marrón", "marrone"], [38.0, 18.0, 28.0]),
    (
        &["black", "schwarz", "schwarze", "schwarzer", "schwarzes", "noir", "noire", "negro", "negra", "nero", "nera"],
        [8.0, 0.0, 0.0],
    ),
    (
        &["white", "weiß", "weiße", "weißer", "weißes", "blanc", "blanche", "blanco", "blanca", "bianco", "bianca"],
        [96.0, 0.0, 0.0],
    ),
    (&["grey", "gray", "grau", "graue", "grauer", "graues", "gris", "grigio", "grigia"], [55.0, 0.0, 0.0]),
];

/// The colours that a query names, in Lab.
pub fn named_in(query: &str) -> Vec<[f32; 3]> {
    let words: Vec<String> = query.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase).collect();
    WORDS
        .iter()
        .filter(|(names, _)| words.iter().any(|word| names.contains(&word.as_str())))
        .map(|(_, lab)| *lab)
        .collect()
}

/// How much of a picture has the wanted colours, 0.0 to 1.0; a sixth of the picture is all that can be asked of a thing in it.
pub fn match_of(palette: &Palette, wanted: &[[f32; 3]]) -> f32 {
    if wanted.is_empty() {
        return 0.0;
    }
    let each = wanted.iter().map(|colour| {
        let share: f32 = palette.iter().map(|(lab, share)| share * (1.0 - distance(lab, colour) / 45.0).max(0.0)).sum();
        (share * 6.0).min(1.0)
    });
    each.sum::<f32>() / wanted.len() as f32
}

/// The colours of a picture by k-means over a small version, largest first. The same picture gives the same colours.
pub fn palette(pixels: &Pixels) -> Result<Palette, MediaError> {
    let small = media::resize(pixels, Size { width: 40, height: 40 }, Fit::Stretch, Filter::Bilinear)?;
    let points: Vec<[f32; 3]> = small.rgb.chunks_exact(3).map(|rgb| lab([rgb[0], rgb[1], rgb[2]])).collect();
    let mut centres = spread_out(&points);
    let mut counts = vec![0_u32; centres.len()];
    for _ in 0..8 {
        let mut sums = vec![[0.0_f32; 3]; centres.len()];
        counts.fill(0);
        for point in &points {
            let nearest = nearest(&centres, point);
            counts[nearest] += 1;
            (0..3).for_each(|axis| sums[nearest][axis] += point[axis]);
        }
        for ((centre, sum), count) in centres.iter_mut().zip(sums).zip(&counts) {
            if *count > 0 {
                *centre = sum.map(|value| value / *count as f32);
            }
        }
    }
    let mut palette: Palette = centres
        .into_iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .map(|(centre, count)| (centre, count as f32 / points.len() as f32))
        .collect();
    palette.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(palette)
}

/// Starting points: each as far as can be from those before it.
fn spread_out(points: &[[f32; 3]]) -> Vec<[f32; 3]> {
    let mut centres = vec![points[points.len() / 2]];
    while centres.len() < COLOURS {
        let far = points.iter().map(|point| (distance(point, &centres[nearest(&centres, point)]), point));
        let Some((apart, point)) = far.max_by(|a, b| a.0.total_cmp(&b.0)) else { break };
        if apart < 4.0 {
            break;
        }
        centres.push(*point);
    }
    centres
}

fn nearest(centres: &[[f32; 3]], point: &[f32; 3]) -> usize {
    let by = |at: &usize| distance(&centres[*at], point);
    (0..centres.len()).min_by(|a, b| by(a).total_cmp(&by(b))).unwrap_or(0)
}

/// CIE76.
fn distance(a: &[f32; 3], b: &[f32; 3]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

/// sRGB to CIE Lab, D65.
fn lab(rgb: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(|value| {
        let value = f32::from(value) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    let f = |t: f32| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
    let x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.950_47);
    let y = f(0.2126 * r + 0.7152 * g + 0.0722 * b);
    let z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.088_83);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}
