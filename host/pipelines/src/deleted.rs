//! Pipelines on `asset.deleted`: the asset is gone, and what was known of it is all there is.

use gallery::GalleryError;
use serde_json::Value;

use crate::definition::{Definition, Step, Then, Use};
use crate::run::{Later, Request, Tools, log};

impl Tools {
    /// All steps that have not ended, whatever their queue: none of them does more than write a line. What has ended is written
    /// down after each, so that a crash repeats one at most.
    pub(crate) async fn run_deleted(&self, request: &Request<'_>) -> Result<(), Later> {
        let Definition { name, steps, .. } = request.pipeline;
        let store = self.gallery.store();
        let later =
            |error: GalleryError| Later { step: steps[0].id.clone(), error: error.to_string(), retry: steps[0].retry };
        let found = store.deleted(name, request.asset).await.map_err(|error| later(error.into()))?;
        let Some(mut deleted) = found else { return Ok(()) };
        for step in steps {
            if deleted.ended.get(&step.id).is_some() {
                continue;
            }
            deleted.facts["findings"]["steps"] = deleted.ended.clone();
            let status = self.deleted_step(step, request, &deleted.facts);
            let saved = store.save_deleted_step(name, request.asset, &step.id, status).await;
            saved.map_err(|error| later(error.into()))?;
            deleted.ended[&step.id] = status.into();
        }
        store.close_deleted(name, request.asset).await.map_err(|error| later(error.into()))
    }

    fn deleted_step(&self, step: &Step, request: &Request<'_>, facts: &Value) -> &'static str {
        match step.when.as_ref().map(|condition| condition.holds(facts)) {
            Some(Ok(false)) => return "skipped",
            Some(Err(error)) => {
                tracing::warn!(asset.id = %request.asset, step = step.id, error, "A step cannot be done on an asset");
                return if step.on_failure.then == Then::Skip { "skipped" } else { "failed" };
            }
            None | Some(Ok(true)) => {}
        }
        if let Use::Log(message) = &step.uses {
            log(message, request.asset, &step.id);
        }
        metrics::counter!("latent_steps_total", "step" => step.id.clone()).increment(1);
        "done"
    }
}
