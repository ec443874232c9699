//! Latent's own surface, under /api/latent.

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Answer, Router};
use serde_json::{Value, json};
use types::AssetId;
use types::wire::iso;

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Auth, Id};

pub fn routes() -> Router<ApiState> {
    Router::new().route("/latent/assets/{id}/errors", get(get_asset_errors))
}

/// Why a photo has no thumbnail.
async fn get_asset_errors(State(state): State<ApiState>, auth: Auth, Id(id): Id<AssetId>) -> Result<Answer<Value>> {
    let errors = state.gallery.errors_of(auth.may("asset.read")?, id).await?;
    Ok(Answer(
        errors.iter().map(|error| json!({ "step": error.step, "message": error.message, "at": iso(error.at) })).collect(),
    ))
}
