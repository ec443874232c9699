//! What ingest could do at most: the CPU time of its parts, each measured alone on the photos of the import.

use anyhow::Result;
use media::{Limits, Pixels, ThumbnailSpec};

use crate::house::{EMBEDDER, House};
use crate::{Place, photos, process, twin};

/// Every so many of the import's photos is measured: four sizes and all kinds of pictures.
const STEP: usize = 9;

/// CPU seconds an asset, and what was found.
pub struct Limit {
    pub thumbnails: f64,
    pub detection: f64,
    pub embedding: f64,
    /// Faces a photo.
    pub faces: f64,
}

impl Limit {
    /// Assets a second if all cores did nothing but these parts.
    pub fn rate(&self) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        cores as f64 / (self.thumbnails + self.detection + self.embedding)
    }
}

/// Measures the parts one after the other.
pub fn of(place: &Place) -> Result<Limit> {
    let paths: Vec<_> = photos::import_set(place)?.into_iter().step_by(STEP).collect();
    let each = 1.0 / paths.len() as f64;
    let house = House::new(place, None)?;
    let guests = house.host.guests().clone();
    let (detector, embedder) =
        guests.block_on(async { Ok::<_, anyhow::Error>((house.faces().await?, house.embedder(EMBEDDER).await?)) })?;
    let files = paths.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let detect = |pixels: &Pixels| -> Result<usize> {
        Ok(twin::only(guests.block_on(detector.detect(vec![pixels.clone()]))?)?.len())
    };
    let embed = |pixels: &Pixels| -> Result<()> {
        twin::only(guests.block_on(embedder.embed_images(vec![pixels.clone()]))?).map(drop)
    };
    let mut previews = Vec::new();
    let thumbnails = cpu(|| {
        for bytes in &files {
            previews.push(media::thumbnails(bytes, &ThumbnailSpec::default(), &Limits::default())?.pixels);
        }
        Ok(())
    })?;
    // The first run of a model makes room for it.
    detect(&previews[0])?;
    embed(&previews[0])?;
    let mut faces = 0;
    let detection = cpu(|| {
        for preview in &previews {
            faces += detect(preview)?;
        }
        Ok(())
    })?;
    let embedding = cpu(|| previews.iter().try_for_each(embed))?;
    Ok(Limit {
        thumbnails: thumbnails * each,
        detection: detection * each,
        embedding: embedding * each,
        faces: faces as f64 * each,
    })
}

/// CPU seconds of this whole process.
fn cpu(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = process::own_seconds();
    work()?;
    Ok(process::own_seconds() - before)
}
