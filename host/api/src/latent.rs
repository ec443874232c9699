//! Latent's own surface, under /api/latent.

mod plugins;

use axum::Json as Answer;
use axum::extract::State;
use serde_json::{Value, json};
use types::AssetId;
use types::wire::iso;

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Auth, Id};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    Routes::new()
        .get("/latent/assets/{id}/errors", "getAssetErrors", Access::User("asset.read"), get_asset_errors)
        .get("/latent/assets/{id}/steps", "getAssetSteps", Access::User("asset.read"), get_asset_steps)
        .merge(plugins::routes())
}

/// How far the pipelines are: `{"steps": {"ingest/thumbnails": "done", …}, "pending": [names], "progress": {"ingest/transcoding":
/// 0.25}}`.
async fn get_asset_steps(State(state): State<ApiState>, auth: Auth, Id(id): Id<AssetId>) -> Result<Answer<Value>> {
    state.gallery.asset_of(auth.user(), id).await?;
    let steps = state.jobs.steps(id).await?;
    let under_way = state.gallery.store().steps_under_way(id).await.map_err(gallery::GalleryError::from)?;
    let progress: serde_json::Map<String, Value> =
        under_way.iter().map(|(pipeline, step, part)| (format!("{pipeline}/{step}"), Value::from(*part))).collect();
    let pending: Vec<&String> = steps.iter().filter(|(_, status)| status == "pending").map(|(name, _)| name).collect();
    let all: serde_json::Map<String, Value> =
        steps.iter().map(|(name, status)| (name.clone(), Value::from(status.clone()))).collect();
    Ok(Answer(json!({ "steps": all, "pending": pending, "progress": progress })))
}

/// Why a photo has no thumbnail.
async fn get_asset_errors(State(state): State<ApiState>, auth: Auth, Id(id): Id<AssetId>) -> Result<Answer<Value>> {
    let errors = state.gallery.errors_of(auth.user(), id).await?;
    Ok(Answer(
        errors
            .iter()
            .map(|error| json!({ "step": error.step, "message": error.message, "at": iso(error.at) }))
            .collect(),
    ))
}
