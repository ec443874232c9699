//! One pipeline on one asset: the steps that are due, in their order. The original is read once.

use bytes::Bytes;
use cel::{Context, Value};
use gallery::{Gallery, GalleryError, failpoint};
use media::{Limits, ThumbnailSpec};
use store::assets::Asset;
use store::steps::StepResult;
use tokio::sync::Semaphore;
use types::{AssetId, AssetType};

use crate::definition::{Condition, Definition, Step, Use};
use crate::recipe::recipe;

/// What a run needs beside the asset.
pub struct Tools {
    pub gallery: Gallery,
    pub spec: ThumbnailSpec,
    pub limits: Limits,
    /// Images in memory at once: decoding is what costs memory.
    pub decoding: Semaphore,
}

/// What a run asks for.
pub struct Request<'a> {
    pub pipeline: &'a Definition,
    pub asset: AssetId,
    /// Empty: every step that is due.
    pub steps: &'a [String],
    /// Also where a result of the same recipe is there.
    pub force: bool,
}

/// A step that may succeed later.
#[derive(Debug)]
pub struct Later {
    pub step: String,
    pub error: String,
    pub retry: crate::Retry,
}

/// How a step ended.
enum Outcome {
    Done,
    /// Never, with these bytes.
    Impossible(String),
}

impl Tools {
    /// Runs what is due. An asset that is gone needs nothing.
    pub async fn run(&self, request: &Request<'_>) -> Result<(), Later> {
        let first = &request.pipeline.steps[0];
        let later =
            |error: GalleryError| Later { step: first.id.clone(), error: error.to_string(), retry: first.retry };
        let Some(mut asset) = self.gallery.for_ingest(request.asset).await.map_err(later)? else { return Ok(()) };
        let results = self.gallery.store().step_results(asset.id, &request.pipeline.name).await;
        let mut results = results.map_err(|error| later(error.into()))?;
        let mut original: Option<Bytes> = None;
        for step in &request.pipeline.steps {
            let recipe = recipe(step, &self.spec);
            let named = request.steps.is_empty() || request.steps.contains(&step.id);
            let there = results.iter().any(|result| result.step == step.id && result.recipe == recipe);
            if !named || there && !(request.force && named) {
                continue;
            }
            let outcome = self.step(step, &asset, &mut original).await;
            let later = |error: String| Later { step: step.id.clone(), error, retry: step.retry };
            let (status, error) = match outcome {
                Ok(Some(Outcome::Done)) => ("done", None),
                Ok(None) => ("skipped", None),
                Ok(Some(Outcome::Impossible(why))) => ("failed", Some(why)),
                Err(error) => return Err(later(error.to_string())),
            };
            let result = StepResult { step: step.id.clone(), recipe, status: status.into() };
            if let Some(error) = &error {
                tracing::warn!(asset.id = %asset.id, step = step.id, error, "A step cannot be done on an asset");
            }
            let saved =
                self.gallery.store().save_step(asset.id, &request.pipeline.name, &result, error.as_deref()).await;
            saved.map_err(|error| later(error.to_string()))?;
            failpoint::hit("ingest.step-saved");
            results.push(result);
            // What one step found, the condition of the next may ask for.
            match self.gallery.for_ingest(request.asset).await {
                Ok(Some(fresh)) => asset = fresh,
                Ok(None) => return Ok(()),
                Err(error) => return Err(later(error.to_string())),
            }
        }
        Ok(())
    }

    /// `None`: its condition does not hold.
    async fn step(
        &self,
        step: &Step,
        asset: &Asset,
        original: &mut Option<Bytes>,
    ) -> Result<Option<Outcome>, GalleryError> {
        if let Some(condition) = &step.when {
            match holds(condition, asset) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(why) => return Ok(Some(Outcome::Impossible(why))),
            }
        }
        let outcome = match step.uses {
            Use::Metadata => self.metadata(asset, original).await?,
            Use::Thumbnails => self.thumbnails(asset, original).await?,
        };
        metrics::counter!("latent_steps_total", "step" => step.id.clone()).increment(1);
        Ok(Some(outcome))
    }

    async fn original<'a>(&self, asset: &Asset, original: &'a mut Option<Bytes>) -> Result<&'a Bytes, GalleryError> {
        match original {
            Some(bytes) => Ok(bytes),
            None => Ok(original.insert(self.gallery.original_bytes(asset).await?)),
        }
    }

    async fn metadata(&self, asset: &Asset, original: &mut Option<Bytes>) -> Result<Outcome, GalleryError> {
        let metadata = if asset.kind == AssetType::Image {
            let bytes = self.original(asset, original).await?.clone();
            blocking(move || media::metadata(&bytes)).await?
        } else {
            media::Metadata::default()
        };
        self.gallery.save_metadata(asset, metadata, None).await?;
        Ok(Outcome::Done)
    }

    async fn thumbnails(&self, asset: &Asset, original: &mut Option<Bytes>) -> Result<Outcome, GalleryError> {
        let _permit = self.decoding.acquire().await.map_err(std::io::Error::other)?;
        let bytes = self.original(asset, original).await?.clone();
        let (spec, limits) = (self.spec.clone(), self.limits.clone());
        match blocking(move || media::thumbnails(&bytes, &spec, &limits)).await? {
            Ok(made) => {
                self.gallery.save_thumbnails(asset, &made).await?;
                Ok(Outcome::Done)
            }
            Err(error) => Ok(Outcome::Impossible(error.to_string())),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, GalleryError> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?)
}

/// Evaluates a condition over `asset`.
fn holds(condition: &Condition, asset: &Asset) -> Result<bool, String> {
    let mut context = Context::default();
    let exif = asset.exif.as_ref();
    let facts = serde_json::json!({
        "type": asset.kind.as_str(),
        "fileName": asset.file_name,
        "mimeType": asset.mime_type,
        "size": asset.file_size,
        "visibility": asset.visibility.as_str(),
        "isFavorite": asset.is_favorite,
        "make": exif.and_then(|exif| exif.make.clone()),
        "model": exif.and_then(|exif| exif.model.clone()),
        "city": exif.and_then(|exif| exif.city.clone()),
        "country": exif.and_then(|exif| exif.country.clone()),
    });
    let wrong =
        |error: &dyn std::fmt::Display| format!("the condition {:?} cannot be evaluated: {error}", condition.text);
    context.add_variable("asset", facts).map_err(|error| wrong(&error))?;
    match condition.program.execute(&context) {
        Ok(Value::Bool(value)) => Ok(value),
        Ok(other) => Err(wrong(&format!("it gives {other:?}, not true or false"))),
        Err(error) => Err(wrong(&error)),
    }
}
