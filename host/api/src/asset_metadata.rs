//! Tag "Assets": what clients keep with an asset, a JSON object for each key of theirs.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use store::asset_metadata::{Entry, NewEntry};
use types::AssetId;
use types::wire::iso;

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Id, Json};
use crate::routes::{Access, Routes};

const KEY: &str = "/assets/{id}/metadata/{key}";

pub fn routes() -> Routes {
    Routes::new()
        .put("/assets/metadata", "updateBulkAssetMetadata", Access::User("asset.update"), update_bulk_asset_metadata)
        .delete("/assets/metadata", "deleteBulkAssetMetadata", Access::User("asset.update"), delete_bulk_asset_metadata)
        .get("/assets/{id}/metadata", "getAssetMetadata", Access::User("asset.read"), get_asset_metadata)
        .put("/assets/{id}/metadata", "updateAssetMetadata", Access::User("asset.update"), update_asset_metadata)
        .get(KEY, "getAssetMetadataByKey", Access::User("asset.read"), get_asset_metadata_by_key)
        .delete(KEY, "deleteAssetMetadata", Access::User("asset.update"), delete_asset_metadata)
}

/// AssetMetadataResponseDto.
fn json(entry: &Entry) -> Value {
    json!({ "key": entry.key, "value": entry.value, "updatedAt": iso(entry.updated_at) })
}

async fn get_asset_metadata(State(state): State<ApiState>, auth: Auth, Id(id): Id<AssetId>) -> Result<Answer<Value>> {
    Ok(Answer(state.gallery.asset_metadata(auth.user(), id).await?.iter().map(json).collect()))
}

#[derive(Deserialize)]
struct Entries<T> {
    items: Vec<T>,
}

/// AssetMetadataUpsertItemDto.
#[derive(Debug, Deserialize)]
pub struct Item {
    pub key: String,
    pub value: Value,
}

async fn update_asset_metadata(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<AssetId>,
    Json(body): Json<Entries<Item>>,
) -> Result<Answer<Value>> {
    // Also where nothing is written, the asset must be theirs.
    let entries: Vec<NewEntry> = body.items.into_iter().map(|item| (id, item.key, item.value)).collect();
    if entries.is_empty() {
        state.gallery.asset_metadata(auth.user(), id).await?;
    }
    Ok(Answer(state.gallery.set_asset_metadata(auth.user(), &entries).await?.iter().map(json).collect()))
}

/// The asset and the key of a path.
fn named((id, key): (String, String)) -> Result<(AssetId, String)> {
    let id = id.parse().map_err(|error: types::ParseIdError| ApiError::field("id", error.to_string()))?;
    if key.contains('\0') {
        return Err(ApiError::field("key", "must not contain NUL"));
    }
    Ok((id, key))
}

async fn get_asset_metadata_by_key(
    State(state): State<ApiState>,
    auth: Auth,
    Path(path): Path<(String, String)>,
) -> Result<Answer<Value>> {
    let (id, key) = named(path)?;
    Ok(Answer(json(&state.gallery.asset_metadata_of(auth.user(), id, &key).await?)))
}

async fn delete_asset_metadata(
    State(state): State<ApiState>,
    auth: Auth,
    Path(path): Path<(String, String)>,
) -> Result<StatusCode> {
    state.gallery.delete_asset_metadata(auth.user(), &[named(path)?]).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkItem {
    asset_id: AssetId,
    #[serde(flatten)]
    item: Item,
}

async fn update_bulk_asset_metadata(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Entries<BulkItem>>,
) -> Result<Answer<Value>> {
    let entries: Vec<NewEntry> =
        body.items.into_iter().map(|BulkItem { asset_id, item }| (asset_id, item.key, item.value)).collect();
    let written = state.gallery.set_asset_metadata(auth.user(), &entries).await?;
    let answer = |entry: &Entry| {
        let mut answer = json(entry);
        answer["assetId"] = json!(entry.asset);
        answer
    };
    Ok(Answer(written.iter().map(answer).collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkKey {
    asset_id: AssetId,
    key: String,
}

async fn delete_bulk_asset_metadata(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Entries<BulkKey>>,
) -> Result<StatusCode> {
    let entries: Vec<(AssetId, String)> = body.items.into_iter().map(|item| (item.asset_id, item.key)).collect();
    state.gallery.delete_asset_metadata(auth.user(), &entries).await?;
    Ok(StatusCode::NO_CONTENT)
}
