//! Inks to sRGB.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

/// `inverted`: 255 is no ink. With the profile where there is one that can be read; otherwise as if inks were ideal, which looks
/// right if a little garish.
pub fn to_rgb(mut cmyk: Vec<u8>, inverted: bool, icc: Option<&[u8]>) -> Vec<u8> {
    // From here on 255 is all ink, as profiles have it.
    if inverted {
        cmyk.iter_mut().for_each(|value| *value = 255 - *value);
    }
    icc.and_then(|icc| by_profile(&cmyk, icc)).unwrap_or_else(|| ideal(&cmyk))
}

fn by_profile(cmyk: &[u8], icc: &[u8]) -> Option<Vec<u8>> {
    let profile =
        ColorProfile::new_from_slice(icc).ok().filter(|profile| profile.color_space == DataColorSpace::Cmyk)?;
    let srgb = ColorProfile::new_srgb();
    let transform =
        profile.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgb, TransformOptions::default()).ok()?;
    let mut rgb = vec![0; cmyk.len() / 4 * 3];
    for (inks, out) in cmyk.chunks(4 * 4096).zip(rgb.chunks_mut(3 * 4096)) {
        transform.transform(inks, out).ok()?;
    }
    Some(rgb)
}

fn ideal(cmyk: &[u8]) -> Vec<u8> {
    let light = |ink: u8, black: u8| ((255 - u32::from(ink)) * (255 - u32::from(black)) / 255) as u8;
    cmyk.as_chunks::<4>().0.iter().flat_map(|&[c, m, y, k]| [light(c, k), light(m, k), light(y, k)]).collect()
}
