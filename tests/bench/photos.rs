//! Photos as cameras make them, from the labelled real ones: scaled up, with a little grain, as heavy as asked for, and with
//! EXIF. Made once and kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use media::{Codec, Filter, Fit, Limits, Pixels};
use types::Size;

use crate::{Place, camera};

/// Long and short side of 12, 8, 5 and 3 MP at 4:3.
const SIZES: [(u32, u32); 4] = [(4032, 3024), (3264, 2448), (2592, 1944), (2048, 1536)];
/// Among these is the one that comes nearest to the weight that is asked for.
const QUALITIES: std::ops::RangeInclusive<u8> = 30..=97;
/// Of the photos of the import; Immich was measured with such.
const IMPORT_MEGABYTES: f64 = 1.3;

/// How a set is made.
struct Recipe {
    /// Changes whenever the others do: a folder of the cache.
    name: &'static str,
    count: usize,
    sizes: &'static [(u32, u32)],
    /// Grey levels that a pixel is off by, at most.
    grain: i16,
    /// Bytes of a file for each pixel, about.
    weight: f64,
}

/// 200 photos of 3 to 12 MP, 1.3 MB each on average, all different.
///
/// # Errors
/// Also where their mean is off by more than a tenth.
pub fn import_set(place: &Place) -> Result<Vec<PathBuf>> {
    let paths = made(place, &Recipe { name: "import-v3", count: 200, sizes: &SIZES, grain: 2, weight: 0.1835 })?;
    let mean = mean_megabytes(&paths)?;
    let off = (mean / IMPORT_MEGABYTES - 1.0).abs();
    ensure!(off <= 0.1, "the photos have {mean:.2} MB on average, not {IMPORT_MEGABYTES}: change the recipe's weight");
    Ok(paths)
}

/// Photos of 12 MP and 3 to 5 MB.
pub fn twelve_megapixels(place: &Place) -> Result<Vec<PathBuf>> {
    made(place, &Recipe { name: "twelve-v3", count: 6, sizes: &SIZES[..1], grain: 5, weight: 0.33 })
}

/// For the suite: what is made is a photo with everything that a camera says.
pub fn check(place: &Place) -> Result<()> {
    let source = sources(place)?.swap_remove(0);
    let recipe = Recipe { name: "", count: 1, sizes: &[], grain: 2, weight: 0.2 };
    for seed in 0..5 {
        let jpeg = photo(&source, (640, 480), seed, &recipe)?;
        let metadata = media::metadata(&jpeg);
        let place = metadata.latitude.zip(metadata.longitude).and_then(|(lat, lon)| media::place(lat, lon));
        let complete = metadata.make.is_some()
            && metadata.model.is_some()
            && metadata.lens_model.is_some()
            && metadata.exposure_time.is_some()
            && metadata.iso.is_some()
            && metadata.taken_local.is_some_and(|taken| taken.date().first_of_month().to_string() == camera::MONTH)
            && metadata.time_zone.as_ref().is_some_and(|zone| zone.contains('/'))
            && place.is_some();
        ensure!(complete, "a photo's metadata are not read: {metadata:?}");
        media::decode(&jpeg, None, &Limits::default())?;
    }
    Ok(())
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
pub fn mean_megabytes(paths: &[PathBuf]) -> Result<f64> {
    let sizes = paths.iter().map(|path| Ok(fs::metadata(path)?.len())).collect::<Result<Vec<u64>>>()?;
    Ok(sizes.iter().sum::<u64>() as f64 / 1e6 / sizes.len().max(1) as f64)
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
    let jpeg = as_heavy(&pixels, (f64::from(width * height) * recipe.weight) as usize)?;
    Ok(camera::dress(&jpeg, (width, height), seed))
}

/// The JPEG whose quality brings it nearest to so many bytes.
fn as_heavy(pixels: &Pixels, wanted: usize) -> Result<Vec<u8>> {
    let (mut low, mut high) = QUALITIES.into_inner();
    let mut nearest = media::encode(pixels, Codec::Jpeg, low)?;
    while low < high {
        let quality = (low + high).div_ceil(2);
        let bytes = media::encode(pixels, Codec::Jpeg, quality)?;
        match bytes.len() > wanted {
            true => high = quality - 1,
            false => low = quality,
        }
        if bytes.len().abs_diff(wanted) < nearest.len().abs_diff(wanted) {
            nearest = bytes;
        }
    }
    Ok(nearest)
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
