//! The plugins' paths without a guest: their own source, compiled for this machine, on the same host code.

use anyhow::{Context as _, Result, ensure};
use media::Pixels;
use plugin_host::{Embedder, FaceDetector};
use types::DetectedFace;

use crate::detector::Detector;
use crate::embedder::{Embedder as FaceEmbedder, Source};
use crate::image::Image;
use crate::image_tower::ImageTower;
use crate::native::tally::{Kind, count};
use crate::settings::Settings;
use crate::{Rect, centerface};

/// The face plugin's own source, called directly.
pub struct Faces {
    detector: Detector,
    embedder: FaceEmbedder,
}

impl Faces {
    /// On the models that are bound to `detector` and `embedder` in this thread.
    pub fn open() -> Result<Self> {
        let settings = Settings::default();
        Ok(Self { detector: Detector::open(&settings)?, embedder: FaceEmbedder::open(&settings)? })
    }

    /// The faces of one picture.
    pub fn detect(&self, pixels: &Pixels) -> Result<Vec<DetectedFace>> {
        count(Kind::Handles, 1, 4);
        let image = [Image(pixels.clone())];
        let found = self.detector.find(&image).pop().unwrap_or_else(|| Ok(Vec::new()))?;
        let mut source = Source::new(&image[0]);
        let chips =
            found.iter().map(|face| self.embedder.align(&mut source, face)).collect::<crate::Result<Vec<_>>>()?;
        let rows = self.embedder.embed(chips).into_iter().collect::<crate::Result<Vec<_>>>()?;
        let Some(vectors) = self.embedder.together(&rows)? else { return Ok(Vec::new()) };
        count(Kind::Handles, 1, 4);
        let vectors = vectors.host_values()?.chunks_exact(self.embedder.dimensions as usize);
        let faces = found.into_iter().zip(vectors).map(|(face, embedding)| {
            // A rectangle and a score, five points.
            count(Kind::FacesReturned, 1, 16 + 4 + 5 * 8);
            DetectedFace {
                area: rect(face.area.clamped()),
                score: face.score,
                landmarks: face.landmarks.map(|[x, y]| types::Point { x, y }).into(),
                embedding: embedding.to_vec(),
            }
        });
        Ok(faces.collect())
    }

    /// Fails where the plugin is another space, or finds something else.
    pub fn ensure_agrees(&self, plugin: &FaceDetector, guest: &[DetectedFace], pixels: &Pixels) -> Result<()> {
        let space = plugin.describe();
        let revision = format!("{}+{}", self.detector.revision(), self.embedder.revision());
        ensure!(
            space.revision.ends_with(&revision)
                && space.dimensions == self.embedder.dimensions as usize
                && space.same_person == self.embedder.same_person,
            "the twin is another space than {space:?}"
        );
        let own = self.detect(pixels)?;
        ensure!(guest.len() == own.len(), "the plugin finds {} faces, its twin {}", guest.len(), own.len());
        guest.iter().zip(&own).try_for_each(|(guest, own)| alike(&guest.embedding, &own.embedding))
    }
}

/// As the plugin's.
pub fn rect(area: centerface::Area) -> Rect {
    Rect { x: area.x, y: area.y, width: area.width, height: area.height }
}

/// The search plugin's own source, called directly.
pub struct Tower(ImageTower);

impl Tower {
    /// On the model that is bound to `image` in this thread.
    pub fn open() -> Result<Self> {
        Ok(Self(ImageTower::open()?))
    }

    /// A unit vector: a handle of it is what the plugin returns, and the host reads what is behind it.
    pub fn embed(&self, pixels: &Pixels) -> Result<Vec<f32>> {
        count(Kind::Handles, 1, 4);
        let rows = self.0.embed(&[Image(pixels.clone())])?;
        count(Kind::Handles, 1, 4);
        Ok(rows.host_values()?.to_vec())
    }

    /// Fails where the plugin is another space, or gives another vector.
    pub fn ensure_agrees(&self, plugin: &Embedder, guest: &[f32], pixels: &Pixels) -> Result<()> {
        let space = plugin.describe();
        ensure!(
            space.revision.contains(&self.0.revision()) && space.dimensions == self.0.dimensions as usize,
            "the twin is another space than {space:?}"
        );
        alike(guest, &self.embed(pixels)?)
    }
}

fn alike(guest: &[f32], own: &[f32]) -> Result<()> {
    let cosine: f32 = guest.iter().zip(own).map(|(a, b)| a * b).sum();
    ensure!(guest.len() == own.len() && cosine > 0.999, "the plugin's vector is not its twin's: cosine {cosine}");
    Ok(())
}

/// What a batch of one gave.
pub fn only<T, E: Into<anyhow::Error>>(mut found: Vec<Result<T, E>>) -> Result<T> {
    found.pop().context("no answer")?.map_err(Into::into)
}
