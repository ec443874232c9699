//! Puts pictures and texts into one space, so that a text finds a picture. Each tower is opened when it is first needed.

mod image_tower;
mod settings;
mod text_tower;
pub mod tokenizer;

use std::cell::OnceCell;

use latent_plugin::embedding::{Embedder, Space};
use latent_plugin::image::Image;
use latent_plugin::tensor::Tensor;
use latent_plugin::{Error, Result};

use crate::image_tower::ImageTower;
use crate::settings::Settings;
use crate::text_tower::TextTower;

/// Raised when the same models give other vectors than before: what is stored is then stale.
const ALGORITHM: u32 = 1;

/// The plugin.
pub struct Search {
    settings: Settings,
    images: OnceCell<ImageTower>,
    texts: OnceCell<TextTower>,
}

impl Embedder for Search {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self> {
        Ok(Self { settings, images: OnceCell::new(), texts: OnceCell::new() })
    }

    fn describe(&self) -> Result<Space> {
        let (images, texts) = (self.images()?, self.texts()?);
        if images.dimensions != texts.dimensions {
            return Err(Error::Invalid(format!(
                "pictures have {} dimensions and texts {}: the two models are no pair",
                images.dimensions, texts.dimensions
            )));
        }
        Ok(Space {
            dimensions: images.dimensions,
            revision: format!("{ALGORITHM}+{}+{}", images.revision(), texts.revision()),
            languages: self.settings.languages.clone(),
        })
    }

    fn embed_images(&self, images: Vec<Image>) -> Result<Tensor> {
        self.images()?.embed(&images)
    }

    fn embed_texts(&self, texts: Vec<String>, _: Option<String>) -> Result<Tensor> {
        self.texts()?.embed(&texts)
    }
}

impl Search {
    fn images(&self) -> Result<&ImageTower> {
        once(&self.images, ImageTower::open)
    }

    fn texts(&self) -> Result<&TextTower> {
        once(&self.texts, || TextTower::open(self.settings.prompt.as_deref()))
    }
}

/// Makes it at the first call; after an error, the next call tries again.
fn once<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if cell.get().is_none() {
        let made = make()?;
        return Ok(cell.get_or_init(|| made));
    }
    cell.get().ok_or_else(|| Error::other("a tower was lost"))
}

#[cfg(target_family = "wasm")]
latent_plugin::export_embedder!(Search);
