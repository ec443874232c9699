//! Photos as a phone takes them, made from the labelled real ones: 3 to 12 MP, about 1.3 MB each, every one different.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, RgbImage};

use crate::Place;

const COUNT: usize = 200;
/// Long and short side of 12, 8, 5 and 3 MP at 4:3.
const SIZES: [(u32, u32); 4] = [(4032, 3024), (3264, 2448), (2592, 1944), (2048, 1536)];

/// Paths of the import set, made on first use and kept in the cache.
pub fn import_set(place: &Place) -> Result<Vec<PathBuf>> {
    let folder = place.cache.join("bench/import-v1");
    let paths: Vec<PathBuf> = (0..COUNT).map(|at| folder.join(format!("IMG_{at:04}.jpg"))).collect();
    if paths.iter().all(|path| path.exists()) {
        return Ok(paths);
    }
    eprintln!("   making {COUNT} photos (once)");
    fs::create_dir_all(&folder)?;
    let sources = sources(place)?;
    for (at, path) in paths.iter().enumerate() {
        let source = &sources[at % sources.len()];
        let bytes = photo(source, SIZES[at % SIZES.len()], at as u32)?;
        fs::write(path.with_extension("part"), bytes)?;
        fs::rename(path.with_extension("part"), path)?;
    }
    Ok(paths)
}

/// Real photos of at least 0.2 MP.
fn sources(place: &Place) -> Result<Vec<RgbImage>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(&place.photos)
        .with_context(|| format!("no labelled photos in {}", place.photos.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "jpg" || ext == "jpeg" || ext == "png"))
        .collect();
    paths.sort();
    let photos: Vec<RgbImage> = paths
        .iter()
        .filter_map(|path| image::open(path).ok())
        .filter(|photo| photo.width() * photo.height() >= 200_000)
        .map(|photo| photo.to_rgb8())
        .take(40)
        .collect();
    if photos.is_empty() {
        bail!("{} holds no photo of 0.2 MP or more", place.photos.display());
    }
    Ok(photos)
}

/// Scaled to size with a little grain, so that a JPEG of it weighs what a phone's does.
fn photo(source: &RgbImage, (long, short): (u32, u32), seed: u32) -> Result<Vec<u8>> {
    let upright = source.height() > source.width();
    let (width, height) = if upright { (short, long) } else { (long, short) };
    let scaled = DynamicImage::ImageRgb8(source.clone()).resize_to_fill(width, height, FilterType::CatmullRom);
    let mut pixels = scaled.to_rgb8();
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    for pixel in pixels.pixels_mut() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let grain = (state % 9) as i16 - 4;
        for channel in &mut pixel.0 {
            *channel = (i16::from(*channel) + grain).clamp(0, 255) as u8;
        }
    }
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 82).encode_image(&pixels)?;
    Ok(bytes)
}
