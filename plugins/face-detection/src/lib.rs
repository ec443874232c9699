//! Finds faces, aligns them and turns each into a vector. Pixels stay in the host: what crosses is a few numbers a face.

pub mod align;
pub mod centerface;
mod detector;
mod embedder;
pub mod settings;

use latent_plugin::faces::{Face, FaceDetector, Space};
use latent_plugin::image::Image;
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

    fn detect(&self, images: Vec<Image>) -> Result<Vec<Result<Vec<Face>>>> {
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
        let mut vectors = self.embedder.embed(&chips).into_iter();
        Ok(pictures.into_iter().map(|found| found.and_then(|found| described(found, &mut vectors))).collect())
    }
}

impl Faces {
    fn align(&self, image: &Image, found: &[Found]) -> Result<Vec<latent_plugin::tensor::Tensor>> {
        let mut source = Source::new(image);
        found.iter().map(|face| self.embedder.align(&mut source, face)).collect()
    }
}

/// Takes as many vectors as there are faces. One that failed fails its picture, and the others are still taken.
fn described(found: Vec<Found>, vectors: &mut impl Iterator<Item = Result<Vec<f32>>>) -> Result<Vec<Face>> {
    let count = found.len();
    let vectors: Vec<_> = vectors.take(count).collect();
    found
        .into_iter()
        .zip(vectors)
        .map(|(found, embedding)| {
            Ok(Face {
                area: rect(found.area.clamped()),
                score: found.score,
                landmarks: found.landmarks.map(|[x, y]| Point { x, y }).into(),
                embedding: embedding?,
            })
        })
        .collect()
}

fn rect(area: centerface::Area) -> Rect {
    Rect { x: area.x, y: area.y, width: area.width, height: area.height }
}

#[cfg(target_family = "wasm")]
latent_plugin::export_face_detector!(Faces);
