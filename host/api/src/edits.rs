//! Tag "Assets": what is done to an original when it is shown.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use gallery::edits::Action;
use serde::Deserialize;
use serde_json::{Value, json};
use store::edits::Edit;
use types::AssetId;

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Auth, Id, Json};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    Routes::new()
        .get("/assets/{id}/edits", "getAssetEdits", Access::User("asset.edit.get"), get_asset_edits)
        .put("/assets/{id}/edits", "editAsset", Access::User("asset.edit.create"), edit_asset)
        .delete("/assets/{id}/edits", "removeAssetEdits", Access::User("asset.edit.delete"), remove_asset_edits)
}

/// AssetEditsResponseDto.
fn json(asset: AssetId, edits: &[Edit]) -> Value {
    let json = |edit: &Edit| json!({ "id": edit.id, "action": edit.action, "parameters": edit.parameters });
    json!({ "assetId": asset, "edits": edits.iter().map(json).collect::<Value>() })
}

async fn get_asset_edits(State(state): State<ApiState>, auth: Auth, Id(id): Id<AssetId>) -> Result<Answer<Value>> {
    Ok(Answer(json(id, &state.gallery.edits_of(auth.user(), id).await?)))
}

#[derive(Deserialize)]
struct Edits {
    edits: Vec<Action>,
}

/// Answers when it is rendered.
async fn edit_asset(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<AssetId>,
    Json(body): Json<Edits>,
) -> Result<Answer<Value>> {
    Ok(Answer(json(id, &state.gallery.edit_asset(auth.user(), id, &body.edits).await?)))
}

async fn remove_asset_edits(State(state): State<ApiState>, auth: Auth, Id(id): Id<AssetId>) -> Result<StatusCode> {
    state.gallery.remove_edits(auth.user(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
