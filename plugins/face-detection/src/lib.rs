//! Finds faces, aligns them and turns each into a vector. Pixels stay in the host: what crosses is a few numbers a face.

pub mod align;
pub mod centerface;
mod detector;
mod embedder;
pub mod settings;

use latent_plugin::faces::{self, Face, FaceDetector, Space};
use latent_plugin::image::Image;
use latent_plugin::tensor::Tensor;
use latent_plugin::{Point, Rect, Result};

use crate::detector::{Detector, Found};
use crate::embedder::{Embedder, Source};
use crate::settings::Settings;

/// Raised when the same models give other faces or vectors than before: what is stored is then stale.
const ALGORITHM: u32 = 1;

/// The plugin.
pub struct Faces {
    detector: Detector,
    embedder: Embedder,
}

impl FaceDetector for Faces {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self> {
        Ok(Self { detector: Detector::open(&settings)?, embedder: Embedder::open(&settings)? })
    }

    fn describe(&self) -> Result<Space> {
        Ok(Space {
            dimensions: self.embedder.dimensions,
            revision: format!("{ALGORITHM}+{}+{}", self.detector.revision(), self.embedder.revision()),
            same_person: self.embedder.same_person,
        })
    }

    fn detect(&self, images: Vec<Image>) -> Result<Vec<Result<faces::Found>>> {
        let found = self.detector.find(&images);
        // The faces of all pictures go through the embedder together.
        let mut chips = Vec::new();
        let mut pictures = Vec::with_capacity(images.len());
        for (image, found) in images.iter().zip(found) {
            pictures.push(found.and_then(|found| {
                let aligned = self.align(image, &found)?;
                chips.extend(aligned);
                Ok(found)
            }));
        }
        let mut rows = self.embedder.embed(chips).into_iter();
        Ok(pictures.into_iter().map(|found| found.and_then(|found| self.described(found, &mut rows))).collect())
    }
}

impl Faces {
    fn align(&self, image: &Image, found: &[Found]) -> Result<Vec<Tensor>> {
        let mut source = Source::new(image);
        found.iter().map(|face| self.embedder.align(&mut source, face)).collect()
    }

    /// Takes as many rows as there are faces. One that failed fails its picture, and the others are still taken.
    fn described(&self, found: Vec<Found>, rows: &mut impl Iterator<Item = Result<Tensor>>) -> Result<faces::Found> {
        let rows: Vec<_> = rows.take(found.len()).collect();
        let rows = rows.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(faces::Found { embeddings: self.embedder.together(&rows)?, faces: found.into_iter().map(face).collect() })
    }
}

fn face(found: Found) -> Face {
    Face {
        area: rect(found.area.clamped()),
        score: found.score,
        landmarks: found.landmarks.map(|[x, y]| Point { x, y }).into(),
    }
}

fn rect(area: centerface::Area) -> Rect {
    Rect { x: area.x, y: area.y, width: area.width, height: area.height }
}

#[cfg(target_family = "wasm")]
latent_plugin::export_face_detector!(Faces);
