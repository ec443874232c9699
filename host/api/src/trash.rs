//! Tag "Trash".

use axum::extract::State;
use axum::routing::post;
use axum::{Json as Answer, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use types::AssetId;

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Auth, Json};

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/trash/empty", post(empty_trash))
        .route("/trash/restore", post(restore_trash))
        .route("/trash/restore/assets", post(restore_assets))
}

async fn empty_trash(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let count = state.gallery.empty_trash(auth.may("asset.delete")?).await?;
    Ok(Answer(json!({ "count": count })))
}

async fn restore_trash(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let count = state.gallery.restore(auth.may("asset.delete")?, None).await?;
    Ok(Answer(json!({ "count": count })))
}

#[derive(Deserialize)]
struct Ids {
    ids: Vec<AssetId>,
}

async fn restore_assets(State(state): State<ApiState>, auth: Auth, Json(body): Json<Ids>) -> Result<Answer<Value>> {
    let count = state.gallery.restore(auth.may("asset.delete")?, Some(&body.ids)).await?;
    Ok(Answer(json!({ "count": count })))
}
