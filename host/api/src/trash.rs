//! Tag "Trash".

use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use types::AssetId;

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Auth, Json};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    Routes::new()
        .post("/trash/empty", "emptyTrash", Access::User("asset.delete"), empty_trash)
        .post("/trash/restore", "restoreTrash", Access::User("asset.delete"), restore_trash)
        .post("/trash/restore/assets", "restoreAssets", Access::User("asset.delete"), restore_assets)
}

async fn empty_trash(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let count = state.gallery.empty_trash(auth.user()).await?;
    Ok(Answer(json!({ "count": count })))
}

async fn restore_trash(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let count = state.gallery.restore(auth.user(), None).await?;
    Ok(Answer(json!({ "count": count })))
}

#[derive(Deserialize)]
struct Ids {
    ids: Vec<AssetId>,
}

async fn restore_assets(State(state): State<ApiState>, auth: Auth, Json(body): Json<Ids>) -> Result<Answer<Value>> {
    let count = state.gallery.restore(auth.user(), Some(&body.ids)).await?;
    Ok(Answer(json!({ "count": count })))
}
