//! Photos as cameras make them, from the labelled real ones: scaled up, with a little grain, and as heavy as asked for. Made
//! once and kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use media::{Codec, Filter, Fit, Limits, Pixels};
use types::Size;

use crate::Place;

/// Long and short side of 12, 8, 5 and 3 MP at 4:3.
const SIZES: [(u32, u32); 4] = [(4032, 3024), (3264, 2448), (2592, 1944), (2048, 1536)];
/// Tried in this order until the file is light enough.
const QUALITIES: [u8; 9] = [95, 92, 88, 84, 78, 70, 62, 54, 45];

/// How a set is made.
struct Recipe {
    /// Changes whenever the others do: a folder of the cache.
    name: &'static str,
    count: usize,
    sizes: &'static [(u32, u32)],
    /// Grey levels that a pixel is off by, at most.
    grain: i16,
    /// Bytes of a file for each pixel, at most.
    weight: f64,
}

/// 200 photos of 3 to 12 MP, 1.3 MB each on average, all different.
pub fn import_set(place: &Place) -> Result<Vec<PathBuf>> {
    made(place, &Recipe { name: "import-v2", count: 200, sizes: &SIZES, grain: 2, weight: 0.2 })
}

/// Photos of 12 MP and 3 to 5 MB.
pub fn twelve_megapixels(place: &Place) -> Result<Vec<PathBuf>> {
    made(place, &Recipe { name: "twelve-v2", count: 6, sizes: &SIZES[..1], grain: 5, weight: 0.4 })
}

/// The labelled photos themselves, of at least 0.2 MP, as they lie in the cache.
pub fn labelled(place: &Place) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(&place.photos)
        .with_context(|| format!("no labelled photos in {}", place.photos.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "jpg" || ext == "jpeg" || ext == "png"))
        .collect();
    paths.sort();
    Ok(paths)
}

/// The mean of the files' sizes, in MB.
pub fn mean_megabytes(paths: &[PathBuf]) -> f64 {
    let sum: u64 = paths.iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum();
    sum as f64 / 1e6 / paths.len().max(1) as f64
}

fn made(place: &Place, recipe: &Recipe) -> Result<Vec<PathBuf>> {
    let folder = place.cache.join("bench").join(recipe.name);
    let paths: Vec<PathBuf> = (0..recipe.count).map(|at| folder.join(format!("IMG_{at:04}.jpg"))).collect();
    if paths.iter().all(|path| path.exists()) {
        return Ok(paths);
    }
    eprintln!("   making {} photos (once)", recipe.count);
    fs::create_dir_all(&folder)?;
    let sources = sources(place)?;
    for (at, path) in paths.iter().enumerate() {
        let size = recipe.sizes[at % recipe.sizes.len()];
        // Every round of the sources meets them in another size.
        let source = &sources[(at + at / sources.len()) % sources.len()];
        write(path, &photo(source, size, at as u32, recipe)?)?;
    }
    Ok(paths)
}

/// Whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = path.with_extension("part");
    fs::write(&part, bytes)?;
    Ok(fs::rename(part, path)?)
}

/// Colour photos of at least 0.2 MP; those with people come twice, so that a photo has about one face.
fn sources(place: &Place) -> Result<Vec<Pixels>> {
    let mut sources = Vec::new();
    for path in labelled(place)? {
        let Ok(pixels) = media::decode(&fs::read(&path)?, Some(1440), &Limits::default()) else { continue };
        if pixels.width * pixels.height < 200_000 {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if ["obama", "biden", "astronaut"].iter().any(|person| name.starts_with(person)) {
            sources.push(pixels.clone());
        }
        sources.push(pixels);
    }
    if sources.is_empty() {
        bail!("{} holds no photo of 0.2 MP or more", place.photos.display());
    }
    Ok(sources)
}

fn photo(source: &Pixels, (long, short): (u32, u32), seed: u32, recipe: &Recipe) -> Result<Vec<u8>> {
    let (width, height) = if source.height > source.width { (short, long) } else { (long, short) };
    let scaled = media::resize(source, Size { width, height }, Fit::Cover, Filter::Bicubic)?;
    let pixels = Pixels::new(width, height, grained(&scaled, recipe.grain, seed))?;
    let most = (f64::from(width * height) * recipe.weight) as usize;
    let mut bytes = Vec::new();
    for quality in QUALITIES {
        bytes = media::encode(&pixels, Codec::Jpeg, quality)?;
        if bytes.len() <= most {
            break;
        }
    }
    Ok(bytes)
}

/// Noise of the sensor, alike in all channels.
fn grained(pixels: &Pixels, grain: i16, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut rgb = pixels.rgb.to_vec();
    for pixel in rgb.as_chunks_mut::<3>().0 {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let off = (state % (2 * grain as u32 + 1)) as i16 - grain;
        for channel in pixel {
            *channel = (i16::from(*channel) + off).clamp(0, 255) as u8;
        }
    }
    rgb
}
