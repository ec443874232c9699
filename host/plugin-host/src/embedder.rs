//! A plugin that gives pictures and texts a place in one space.

use std::sync::Arc;

use inference::TensorData;
use media::Pixels;

use crate::bindings::embedder::exports::latent::plugin::embedding as guest;
use crate::faces::{MOST_DIMENSIONS, named};
use crate::held::{HeldImage, HeldTensor};
use crate::storage::plugin_error;
use crate::text::clean;
use crate::{Plugin, PluginError};

/// Languages that a space can name.
const MOST_LANGUAGES: usize = 200;
/// A length may differ from 1 by this much: half-precision models round.
const NEARLY: f32 = 0.02;

/// The space of an embedder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingSpace {
    pub dimensions: usize,
    /// Embeddings of two revisions are never compared.
    pub revision: String,
    /// That its texts may be in, as BCP 47 tags; empty: not told.
    pub languages: Vec<String>,
}

/// A plugin of the world `embedder`. Cheap to clone.
#[derive(Clone)]
pub struct Embedder {
    plugin: Arc<Plugin>,
    space: EmbeddingSpace,
}

impl Plugin {
    /// This plugin as an embedder, if its world is that.
    pub fn embedder(self: &Arc<Self>) -> Option<Embedder> {
        Some(Embedder { plugin: self.clone(), space: self.embedding.get()?.clone() })
    }

    pub(crate) async fn describe_embedding(self: &Arc<Self>) -> Result<(), PluginError> {
        let space = self.call("embedding.describe", |instance| {
            Box::pin(async {
                let embedding = instance.exports.embedding()?;
                Ok(embedding.call_describe(&mut instance.store).await?.map_err(plugin_error))
            })
        });
        let guest::Space { dimensions, revision, languages } = space.await?;
        if dimensions == 0 || dimensions > MOST_DIMENSIONS {
            return Err(PluginError::Other(format!("it describes {dimensions} dimensions, which cannot be")));
        }
        let revision = named(revision)?;
        let languages = languages.iter().take(MOST_LANGUAGES).map(|tag| clean(tag, 35)).collect();
        let _ = self.embedding.set(EmbeddingSpace { dimensions: dimensions as usize, revision, languages });
        Ok(())
    }
}

impl Embedder {
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    pub fn describe(&self) -> &EmbeddingSpace {
        &self.space
    }

    /// A unit vector for each picture. What fails as a whole is tried picture by picture, so that a bad one fails alone.
    pub async fn embed_images(&self, images: Vec<Pixels>) -> Result<Vec<Result<Vec<f32>, PluginError>>, PluginError> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        match self.batch(images.clone()).await {
            Ok(vectors) => Ok(vectors.into_iter().map(Ok).collect()),
            Err(error) if !error.may_be_one_item() => Err(error),
            Err(error) if images.len() == 1 => Ok(vec![Err(error)]),
            Err(_) => {
                let mut vectors = Vec::with_capacity(images.len());
                for image in images {
                    let one = self.batch(vec![image]).await;
                    vectors
                        .push(one.and_then(|mut one| one.pop().ok_or_else(|| PluginError::Other("no vector".into()))));
                }
                Ok(vectors)
            }
        }
    }

    /// A unit vector for each text.
    pub async fn embed_texts(
        &self,
        texts: Vec<String>,
        language: Option<String>,
    ) -> Result<Vec<Vec<f32>>, PluginError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let count = texts.len();
        let vectors = self.plugin.call("embedding.embed-texts", move |instance| {
            Box::pin(async move {
                let embedding = instance.exports.embedding()?;
                match embedding.call_embed_texts(&mut instance.store, &texts, language.as_deref()).await? {
                    Ok(tensor) => Ok(Ok(instance.store.data_mut().take(tensor)?)),
                    Err(error) => Ok(Err(plugin_error(error))),
                }
            })
        });
        self.rows(&vectors.await?, count)
    }

    async fn batch(&self, images: Vec<Pixels>) -> Result<Vec<Vec<f32>>, PluginError> {
        let count = images.len();
        let vectors = self.plugin.call("embedding.embed-images", move |instance| {
            Box::pin(async move {
                let mut handles = Vec::with_capacity(images.len());
                for pixels in images {
                    handles.push(instance.store.data_mut().give(HeldImage::from(pixels))?);
                }
                let embedding = instance.exports.embedding()?;
                match embedding.call_embed_images(&mut instance.store, &handles).await? {
                    Ok(tensor) => Ok(Ok(instance.store.data_mut().take(tensor)?)),
                    Err(error) => Ok(Err(plugin_error(error))),
                }
            })
        });
        self.rows(&vectors.await?, count)
    }

    fn rows(&self, held: &HeldTensor, count: usize) -> Result<Vec<Vec<f32>>, PluginError> {
        let dimensions = self.space.dimensions;
        let tensor = &held.tensor;
        let fits =
            matches!(&tensor.shape[..], [rows, columns] if *rows as usize == count && *columns as usize == dimensions);
        let (TensorData::F32(values), true) = (&tensor.data, fits) else {
            let (shape, dtype) = (&tensor.shape, tensor.dtype());
            return Err(PluginError::Other(format!(
                "{dtype} of {shape:?} where f32 of [{count}, {dimensions}] belongs"
            )));
        };
        values.chunks_exact(dimensions).map(|row| unit(row.to_vec()).map_err(PluginError::Other)).collect()
    }
}

/// A vector that is finite and of nearly unit length, made exactly so.
pub(crate) fn unit(mut vector: Vec<f32>) -> Result<Vec<f32>, String> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if !((1.0 - NEARLY)..=(1.0 + NEARLY)).contains(&length) {
        return Err(format!("an embedding of length {length}, not 1"));
    }
    vector.iter_mut().for_each(|value| *value /= length);
    Ok(vector)
}
