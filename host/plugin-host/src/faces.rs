//! A plugin that finds faces.

use std::sync::Arc;

use ::types::{DetectedFace, Point, Rect};
use media::Pixels;

use crate::bindings::face_detector::exports::latent::plugin::face_detection as guest;
use crate::bindings::lent::latent::plugin::types;
use crate::embedder::unit;
use crate::held::HeldImage;
use crate::storage::plugin_error;
use crate::text::{clean, is_name};
use crate::{Plugin, PluginError};

/// Faces of one picture.
const MOST_FACES: usize = 1_000;
/// Values of an embedding: pgvector's HNSW indexes no longer halfvec.
pub(crate) const MOST_DIMENSIONS: u32 = 4_000;
/// Rounding may put an edge so far outside.
const SLACK: f32 = 1e-3;

/// The space that a detector's embeddings lie in.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceSpace {
    pub dimensions: usize,
    /// Faces of two revisions are never compared.
    pub revision: String,
    /// Two faces are of one person from this cosine on.
    pub same_person: f32,
}

/// A plugin of the world `face-detector`. Cheap to clone.
#[derive(Clone)]
pub struct FaceDetector {
    plugin: Arc<Plugin>,
    space: FaceSpace,
}

impl Plugin {
    /// This plugin as a detector, if its world is that.
    pub fn face_detector(self: &Arc<Self>) -> Option<FaceDetector> {
        Some(FaceDetector { plugin: self.clone(), space: self.faces.get()?.clone() })
    }

    pub(crate) async fn describe_faces(self: &Arc<Self>) -> Result<(), PluginError> {
        let space = self.call("face-detection.describe", |instance| {
            Box::pin(async {
                let faces = instance.exports.faces()?;
                Ok(faces.call_describe(&mut instance.store).await?.map_err(plugin_error))
            })
        });
        let guest::Space { dimensions, revision, same_person } = space.await?;
        if dimensions == 0 || dimensions > MOST_DIMENSIONS || !(-1.0..=1.0).contains(&same_person) {
            let why = format!("it describes {dimensions} dimensions and the cosine {same_person}, which cannot be");
            return Err(PluginError::Other(why));
        }
        let revision = named(revision)?;
        let _ = self.faces.set(FaceSpace { dimensions: dimensions as usize, revision, same_person });
        Ok(())
    }
}

impl FaceDetector {
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    pub fn describe(&self) -> &FaceSpace {
        &self.space
    }

    /// The faces of each picture. What fails as a whole is tried picture by picture, so that a bad one fails alone.
    pub async fn detect(
        &self,
        images: Vec<Pixels>,
    ) -> Result<Vec<Result<Vec<DetectedFace>, PluginError>>, PluginError> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        match self.batch(images.clone()).await {
            Err(error) if images.len() > 1 && error.may_be_one_item() => {
                let mut found = Vec::with_capacity(images.len());
                for image in images {
                    found.push(self.batch(vec![image]).await.and_then(|mut one| one.pop().unwrap_or(Ok(Vec::new()))));
                }
                Ok(found)
            }
            // Of one picture there is nothing to be told apart.
            Err(error) if images.len() == 1 && error.may_be_one_item() => Ok(vec![Err(error)]),
            found => found,
        }
    }

    async fn batch(&self, images: Vec<Pixels>) -> Result<Vec<Result<Vec<DetectedFace>, PluginError>>, PluginError> {
        let count = images.len();
        let found = self.plugin.call("face-detection.detect", move |instance| {
            Box::pin(async move {
                let mut handles = Vec::with_capacity(images.len());
                for pixels in images {
                    handles.push(instance.store.data_mut().give(HeldImage::from(pixels))?);
                }
                let faces = instance.exports.faces()?;
                let found = faces.call_detect(&mut instance.store, &handles).await?.map_err(plugin_error);
                instance.store.data_mut().usage.results += found.as_deref().map_or(0, bytes);
                Ok(found)
            })
        });
        let found = found.await?;
        if found.len() != count {
            return Err(PluginError::Other(format!("{} results for {count} images", found.len())));
        }
        Ok(found.into_iter().map(|faces| self.checked(faces.map_err(plugin_error)?)).collect())
    }

    fn checked(&self, faces: Vec<guest::Face>) -> Result<Vec<DetectedFace>, PluginError> {
        if faces.len() > MOST_FACES {
            return Err(PluginError::Other(format!("{} faces in one image", faces.len())));
        }
        let faces = faces.into_iter().enumerate();
        let checked = faces.map(|(at, face)| {
            face_of(face, self.space.dimensions).map_err(|why| PluginError::Other(format!("face {at}: {why}")))
        });
        checked.collect()
    }
}

/// A revision is a part of its space's name in the database.
pub(crate) fn named(revision: String) -> Result<String, PluginError> {
    match is_name(&revision) {
        true => Ok(revision),
        false => Err(PluginError::Other(format!(
            "its revision {:?} is no name: 1 to 128 letters, digits and . _ - + / : = @",
            clean(&revision, 60)
        ))),
    }
}

/// What a list of faces takes in the guest's memory.
fn bytes(found: &[Result<Vec<guest::Face>, types::Error>]) -> u64 {
    let face = |face: &guest::Face| 20 + 8 * face.landmarks.len() + 4 * face.embedding.len();
    found.iter().flatten().flatten().map(face).sum::<usize>() as u64
}

fn face_of(face: guest::Face, dimensions: usize) -> Result<DetectedFace, String> {
    if !(0.0..=1.0).contains(&face.score) {
        return Err(format!("the score {}", face.score));
    }
    if !matches!(face.landmarks.len(), 0 | 5) {
        return Err(format!("{} landmarks; 5 or none", face.landmarks.len()));
    }
    // A mark may lie beyond the edge that cuts a face, but not anywhere.
    if !face.landmarks.iter().all(|mark| [mark.x, mark.y].iter().all(|at| (-1.0..=2.0).contains(at))) {
        return Err("a landmark far outside the image".into());
    }
    if face.embedding.len() != dimensions {
        return Err(format!("an embedding of {} dimensions, not {dimensions}", face.embedding.len()));
    }
    Ok(DetectedFace {
        area: area(face.area.x, face.area.y, face.area.width, face.area.height)?,
        score: face.score,
        landmarks: face.landmarks.iter().map(|mark| Point { x: mark.x, y: mark.y }).collect(),
        embedding: unit(face.embedding)?,
    })
}

/// Within the image, with an area.
fn area(x: f32, y: f32, width: f32, height: f32) -> Result<Rect, String> {
    let inside = |at: f32| (-SLACK..=1.0 + SLACK).contains(&at);
    let positive = |side: f32| side.is_finite() && side > 0.0;
    if ![x, y, x + width, y + height].into_iter().all(inside) || !positive(width) || !positive(height) {
        return Err(format!("the area ({x}, {y}, {width}, {height}) does not lie in the image"));
    }
    let (left, top) = (x.clamp(0.0, 1.0), y.clamp(0.0, 1.0));
    let (right, bottom) = ((x + width).clamp(0.0, 1.0), (y + height).clamp(0.0, 1.0));
    if right <= left || bottom <= top {
        return Err("an area of nothing".into());
    }
    Ok(Rect { x: left, y: top, width: right - left, height: bottom - top })
}
