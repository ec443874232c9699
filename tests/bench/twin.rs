//! The plugins' paths without a guest, on the same host code.

use anyhow::Result;
use media::{Filter, Pixels};
use types::DetectedFace;

use crate::detector::Detector;
use crate::embedder::{Embedder, Source};
use crate::image::{Image, TensorOptions};
use crate::inference::Model;
use crate::settings::Settings;
use crate::tensor::{Tensor, batch};
use crate::{Rect, Size, centerface};

/// The face plugin's own source, called directly.
pub struct Faces {
    detector: Detector,
    embedder: Embedder,
}

impl Faces {
    /// On the models that are bound to `detector` and `embedder` in this thread.
    pub fn open() -> Result<Self> {
        let settings = Settings::default();
        Ok(Self { detector: Detector::open(&settings)?, embedder: Embedder::open(&settings)? })
    }

    /// What both models are, as the plugin's `describe` says it.
    pub fn space(&self) -> (String, u32, f32) {
        let revision = format!("{}+{}", self.detector.revision(), self.embedder.revision());
        (revision, self.embedder.dimensions, self.embedder.same_person)
    }

    /// The faces of one picture.
    pub fn detect(&self, pixels: &Pixels) -> Result<Vec<DetectedFace>> {
        let image = [Image(pixels.clone())];
        let found = self.detector.find(&image).pop().unwrap_or_else(|| Ok(Vec::new()))?;
        let mut source = Source::new(&image[0]);
        let chips =
            found.iter().map(|face| self.embedder.align(&mut source, face)).collect::<crate::Result<Vec<_>>>()?;
        let vectors = self.embedder.embed(&chips);
        let faces = found.into_iter().zip(vectors).map(|(face, embedding)| {
            Ok(DetectedFace {
                area: rect(face.area.clamped()),
                score: face.score,
                landmarks: face.landmarks.map(|[x, y]| types::Point { x, y }).into(),
                embedding: embedding?,
            })
        });
        faces.collect()
    }
}

/// As the plugin's.
pub fn rect(area: centerface::Area) -> Rect {
    Rect { x: area.x, y: area.y, width: area.width, height: area.height }
}

/// What the search plugin does with a picture: cut out the middle, scale, run, normalise.
pub struct Tower {
    model: Model,
    input: String,
    output: String,
    size: u32,
    share: f32,
    mean: [f32; 3],
    scale: [f32; 3],
}

impl Tower {
    /// On the model that is bound to `image` in this thread.
    pub fn open() -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Own {
            size: u32,
            short_side: u32,
            mean: [f32; 3],
            scale: [f32; 3],
        }
        let model = Model::open("image")?;
        let own: Own = model.settings()?;
        Ok(Self {
            input: model.input_name(None, 0)?,
            output: model.output_name(None, 0)?,
            size: own.size,
            share: own.size as f32 / own.short_side.max(own.size) as f32,
            mean: own.mean,
            scale: own.scale,
            model,
        })
    }

    /// A unit vector.
    pub fn embed(&self, pixels: &Pixels) -> Result<Vec<f32>> {
        let image = Image(pixels.clone());
        let Size { width, height } = image.size();
        let side = width.min(height) as f32 * self.share;
        let (across, down) = (side / width.max(1) as f32, side / height.max(1) as f32);
        let middle = Rect { x: (1.0 - across) / 2.0, y: (1.0 - down) / 2.0, width: across, height: down };
        let small = image.crop(middle)?.stretch(Size { width: self.size, height: self.size }, Filter::Bicubic)?;
        let tensor: Tensor = small.to_tensor(TensorOptions::rgb_planes(self.mean, self.scale))?;
        let input = batch(&[tensor], &[3, self.size, self.size])?;
        let vectors = self.model.run(&[(&self.input, &input)])?.take(&self.output)?;
        Ok(vectors.l2_normalize(1)?.values()?)
    }
}
