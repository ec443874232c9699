//! Tag "Stacks".

use std::collections::HashMap;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use gallery::stacks::{MOST_STACKED, WholeStack};
use serde::Deserialize;
use serde_json::{Value, json};
use store::assets::Asset;
use store::stacks::Stack;
use types::{AssetId, StackId};

use crate::bulk::Ids;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Id, Json, Query};
use crate::routes::{Access, Routes};
use crate::{ApiState, assets};

pub fn routes() -> Routes {
    Routes::new()
        .get("/stacks", "searchStacks", Access::User("stack.read"), search_stacks)
        .post("/stacks", "createStack", Access::User("stack.create"), create_stack)
        .delete("/stacks", "deleteStacks", Access::User("stack.delete"), delete_stacks)
        .get("/stacks/{id}", "getStack", Access::User("stack.read"), get_stack)
        .put("/stacks/{id}", "updateStack", Access::User("stack.update"), update_stack)
        .delete("/stacks/{id}", "deleteStack", Access::User("stack.delete"), delete_stack)
        .delete(
            "/stacks/{id}/assets/{assetId}",
            "removeAssetFromStack",
            Access::User("stack.update"),
            remove_asset_from_stack,
        )
}

/// StackResponseDto.
fn json(whole: &WholeStack) -> Value {
    let Stack { id, primary, .. } = &whole.stack;
    json!({ "id": id, "primaryAssetId": primary, "assets": whole.assets.iter().map(assets::json).collect::<Value>() })
}

/// AssetStackResponseDto in the answers for these assets.
pub async fn add_to(state: &ApiState, shown: &[Asset], answers: &mut [Value]) -> Result<()> {
    let stacks: HashMap<StackId, Stack> = state.gallery.stacks_with(shown).await?;
    for (asset, answer) in shown.iter().zip(answers) {
        if let Some(stack) = asset.stack.and_then(|id| stacks.get(&id)) {
            answer["stack"] = json!({
                "id": stack.id,
                "primaryAssetId": stack.primary,
                "assetCount": stack.assets.len(),
            });
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Search {
    primary_asset_id: Option<AssetId>,
}

async fn search_stacks(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Search>,
) -> Result<Answer<Value>> {
    let stacks = state.gallery.stacks_of(auth.user(), query.primary_asset_id).await?;
    Ok(Answer(stacks.iter().map(json).collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    asset_ids: Vec<AssetId>,
}

async fn create_stack(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Create>,
) -> Result<(StatusCode, Answer<Value>)> {
    let mut distinct = body.asset_ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if !(2..=MOST_STACKED).contains(&distinct.len()) {
        return Err(ApiError::field("assetIds", format!("must name 2 to {MOST_STACKED} assets")));
    }
    let stack = state.gallery.create_stack(auth.user(), &body.asset_ids).await?;
    Ok((StatusCode::CREATED, Answer(json(&stack))))
}

async fn delete_stacks(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Ids<StackId>>,
) -> Result<StatusCode> {
    state.gallery.delete_stacks(auth.user(), &body.ids).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn get_stack(State(state): State<ApiState>, auth: Auth, Id(id): Id<StackId>) -> Result<Answer<Value>> {
    Ok(Answer(json(&state.gallery.stack_of(auth.user(), id).await?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    primary_asset_id: Option<AssetId>,
}

async fn update_stack(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<StackId>,
    Json(body): Json<Update>,
) -> Result<Answer<Value>> {
    Ok(Answer(json(&state.gallery.update_stack(auth.user(), id, body.primary_asset_id).await?)))
}

async fn delete_stack(State(state): State<ApiState>, auth: Auth, Id(id): Id<StackId>) -> Result<StatusCode> {
    state.gallery.delete_stacks(auth.user(), &[id]).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_asset_from_stack(
    State(state): State<ApiState>,
    auth: Auth,
    Path((stack, asset)): Path<(String, String)>,
) -> Result<StatusCode> {
    let wrong = |name: &'static str| move |error: types::ParseIdError| ApiError::field(name, error.to_string());
    let stack: StackId = stack.parse().map_err(wrong("id"))?;
    let asset: AssetId = asset.parse().map_err(wrong("assetId"))?;
    state.gallery.take_out_of_stack(auth.user(), stack, asset).await?;
    Ok(StatusCode::NO_CONTENT)
}
