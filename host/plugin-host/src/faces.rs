//! A plugin that finds faces.

use std::sync::Arc;

use ::types::{DetectedFace, Point, Rect};
use inference::TensorData;
use media::Pixels;

use crate::bindings::face_detector::exports::latent::plugin::face_detection as guest;
use crate::bindings::lent::latent::plugin::types;
use crate::embedder::unit;
use crate::held::{HeldImage, HeldTensor};
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
                let found = match faces.call_detect(&mut instance.store, &handles).await? {
                    Ok(found) => found,
                    Err(error) => return Ok(Err(plugin_error(error))),
                };
                let state = instance.store.data_mut();
                state.usage.results += bytes(&found);
                let mut taken = Vec::with_capacity(found.len());
                for image in found {
                    taken.push(match image {
                        Ok(guest::Found { faces, embeddings }) => {
                            Ok((faces, embeddings.map(|tensor| state.take(tensor)).transpose()?))
                        }
                        Err(error) => Err(plugin_error(error)),
                    });
                }
                Ok(Ok(taken))
            })
        });
        let found = found.await?;
        if found.len() != count {
            return Err(PluginError::Other(format!("{} results for {count} images", found.len())));
        }
        Ok(found.into_iter().map(|found| found.and_then(|(faces, rows)| self.checked(faces, rows.as_ref()))).collect())
    }

    fn checked(&self, faces: Vec<guest::Face>, rows: Option<&HeldTensor>) -> Result<Vec<DetectedFace>, PluginError> {
        if faces.len() > MOST_FACES {
            return Err(PluginError::Other(format!("{} faces in one image", faces.len())));
        }
        let embeddings = self.embeddings(faces.len(), rows)?;
        let faces = faces.into_iter().zip(embeddings).enumerate();
        let checked = faces.map(|(at, (face, embedding))| {
            face_of(face, embedding).map_err(|why| PluginError::Other(format!("face {at}: {why}")))
        });
        checked.collect()
    }

    /// The rows of the tensor, one a face.
    fn embeddings(&self, faces: usize, rows: Option<&HeldTensor>) -> Result<Vec<Vec<f32>>, PluginError> {
        let dimensions = self.space.dimensions;
        match rows.map(|held| (&held.tensor.shape[..], &held.tensor.data)) {
            None if faces == 0 => Ok(Vec::new()),
            None => Err(PluginError::Other(format!("{faces} faces without their embeddings"))),
            Some((&[height, width], TensorData::F32(values)))
                if (height as usize, width as usize) == (faces, dimensions) =>
            {
                Ok(values.chunks_exact(dimensions).map(<[f32]>::to_vec).collect())
            }
            Some((shape, data)) => Err(PluginError::Other(format!(
                "embeddings as {} of {shape:?} where f32 of [{faces}, {dimensions}] belongs",
                data.dtype()
            ))),
        }
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

/// What lists of faces take in the guest's memory.
fn bytes(found: &[Result<guest::Found, types::Error>]) -> u64 {
    let face = |face: &guest::Face| 20 + 8 * face.landmarks.len();
    found.iter().flatten().flat_map(|found| &found.faces).map(face).sum::<usize>() as u64
}

fn face_of(face: guest::Face, embedding: Vec<f32>) -> Result<DetectedFace, String> {
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
    Ok(DetectedFace {
        area: area(face.area.x, face.area.y, face.area.width, face.area.height)?,
        score: face.score,
        landmarks: face.landmarks.iter().map(|mark| Point { x: mark.x, y: mark.y }).collect(),
        embedding: unit(embedding)?,
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
