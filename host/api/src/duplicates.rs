//! Tag "Duplicates".

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use store::duplicates::{Decided, Decision};
use types::{AssetId, DuplicateId};

use crate::bulk::Ids;
use crate::error::Result;
use crate::extract::{Auth, Id, Json};
use crate::routes::{Access, Routes};
use crate::{ApiState, assets};

pub fn routes() -> Routes {
    Routes::new()
        .get("/duplicates", "getAssetDuplicates", Access::User("duplicate.read"), get_asset_duplicates)
        .delete("/duplicates", "deleteDuplicates", Access::User("duplicate.delete"), delete_duplicates)
        .post("/duplicates/resolve", "resolveDuplicates", Access::User("duplicate.delete"), resolve_duplicates)
        .delete("/duplicates/{id}", "deleteDuplicate", Access::User("duplicate.delete"), delete_duplicate)
}

async fn get_asset_duplicates(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let groups = state.gallery.duplicates(auth.user()).await?;
    let json = |group: &gallery::duplicates::Group| {
        json!({
            "duplicateId": group.id,
            "assets": group.assets.iter().map(assets::json).collect::<Value>(),
            "suggestedKeepAssetIds": group.best,
        })
    };
    Ok(Answer(groups.iter().map(json).collect()))
}

/// They are no duplicates: the assets stay.
async fn delete_duplicates(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Ids<DuplicateId>>,
) -> Result<StatusCode> {
    state.gallery.dismiss_duplicates(auth.user(), &body.ids).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_duplicate(State(state): State<ApiState>, auth: Auth, Id(id): Id<DuplicateId>) -> Result<StatusCode> {
    state.gallery.dismiss_duplicates(auth.user(), &[id]).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Resolve {
    groups: Vec<ResolveGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResolveGroup {
    duplicate_id: DuplicateId,
    keep_asset_ids: Vec<AssetId>,
    trash_asset_ids: Vec<AssetId>,
}

/// Each group by itself.
async fn resolve_duplicates(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Resolve>,
) -> Result<Answer<Value>> {
    let mut answers = Vec::with_capacity(body.groups.len());
    for ResolveGroup { duplicate_id: id, keep_asset_ids: keep, trash_asset_ids: trash } in body.groups {
        let wrong = |why: String| json!({ "id": id, "success": false, "error": "validation", "errorMessage": why });
        if let Some(both) = keep.iter().find(|asset| trash.contains(asset)) {
            answers.push(wrong(format!("{both} cannot be both kept and trashed")));
            continue;
        }
        let decision = Decision { group: id, keep, trash };
        answers.push(match state.gallery.resolve_duplicates(auth.user(), &decision).await? {
            Decided::Done { .. } => json!({ "id": id, "success": true }),
            Decided::Unknown => json!({ "id": id, "success": false, "error": "not_found" }),
            Decided::NotOfIt(asset) => wrong(format!("{asset} is not in the group")),
        });
    }
    Ok(Answer(answers.into()))
}
