//! Tag "Tags".

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use store::tags::{Tag, TagChanges};
use types::wire::iso;
use types::{AssetId, TagId};

use crate::ApiState;
use crate::bulk::{self, Ids};
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Id, Json, present};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    Routes::new()
        .get("/tags", "getAllTags", Access::User("tag.read"), get_all_tags)
        .post("/tags", "createTag", Access::User("tag.create"), create_tag)
        .put("/tags", "upsertTags", Access::User("tag.create"), upsert_tags)
        .put("/tags/assets", "bulkTagAssets", Access::User("tag.asset"), bulk_tag_assets)
        .get("/tags/{id}", "getTagById", Access::User("tag.read"), get_tag_by_id)
        .put("/tags/{id}", "updateTag", Access::User("tag.update"), update_tag)
        .delete("/tags/{id}", "deleteTag", Access::User("tag.delete"), delete_tag)
        .put("/tags/{id}/assets", "tagAssets", Access::User("tag.asset"), tag_assets)
        .delete("/tags/{id}/assets", "untagAssets", Access::User("tag.asset"), untag_assets)
}

/// TagResponseDto: what a tag does not have is absent.
pub fn json(tag: &Tag) -> Value {
    let mut json = json!({
        "id": tag.id,
        "name": tag.name(),
        "value": tag.value,
        "createdAt": iso(tag.created_at),
        "updatedAt": iso(tag.updated_at),
    });
    if let Some(parent) = tag.parent {
        json["parentId"] = json!(parent);
    }
    if let Some(color) = &tag.color {
        json["color"] = json!(color);
    }
    json
}

/// The tags of one asset in its answer.
pub async fn add_to(state: &ApiState, asset: AssetId, answer: &mut Value) -> Result<()> {
    let tags = state.gallery.store().tags_of(&[asset]).await.map_err(gallery::GalleryError::from)?;
    answer["tags"] = tags.iter().map(|(_, tag)| json(tag)).collect();
    Ok(())
}

async fn get_all_tags(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    Ok(Answer(state.gallery.tags(auth.user()).await?.iter().map(json).collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    name: String,
    parent_id: Option<TagId>,
    color: Option<String>,
}

async fn create_tag(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Create>,
) -> Result<(StatusCode, Answer<Value>)> {
    let color = body.color.as_deref().map(color).transpose()?;
    let tag = state.gallery.create_tag(auth.user(), &body.name, body.parent_id, color.as_deref()).await?;
    Ok((StatusCode::CREATED, Answer(json(&tag))))
}

/// `#rgb`, `#rrggbb` or `#rrggbbaa`; the page also sends it without the `#`.
fn color(text: &str) -> Result<String> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    if ![3, 6, 8].contains(&digits.len()) || !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(ApiError::field("color", "is no color such as #ff8800"));
    }
    Ok(format!("#{}", digits.to_ascii_lowercase()))
}

#[derive(Deserialize)]
struct Upsert {
    tags: Vec<String>,
}

async fn upsert_tags(State(state): State<ApiState>, auth: Auth, Json(body): Json<Upsert>) -> Result<Answer<Value>> {
    const MOST: usize = 1_000;
    if body.tags.len() > MOST {
        return Err(ApiError::field("tags", format!("at most {MOST} at once")));
    }
    Ok(Answer(state.gallery.upsert_tags(auth.user(), &body.tags).await?.iter().map(json).collect()))
}

async fn get_tag_by_id(State(state): State<ApiState>, auth: Auth, Id(id): Id<TagId>) -> Result<Answer<Value>> {
    Ok(Answer(json(&state.gallery.tag(auth.user(), id, "tag.read").await?)))
}

#[derive(Deserialize)]
struct Update {
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    color: Option<Option<String>>,
}

async fn update_tag(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<TagId>,
    Json(body): Json<Update>,
) -> Result<Answer<Value>> {
    let color = match body.color {
        Some(Some(text)) => Some(Some(color(&text)?)),
        Some(None) => Some(None),
        None => None,
    };
    let changes = TagChanges { name: body.name, color };
    Ok(Answer(json(&state.gallery.update_tag(auth.user(), id, changes).await?)))
}

async fn delete_tag(State(state): State<ApiState>, auth: Auth, Id(id): Id<TagId>) -> Result<StatusCode> {
    state.gallery.delete_tag(auth.user(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn tag_assets(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<TagId>,
    Json(body): Json<Ids<AssetId>>,
) -> Result<Answer<Value>> {
    Ok(Answer(bulk::json(&state.gallery.tag_assets(auth.user(), id, &body.ids).await?)))
}

async fn untag_assets(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<TagId>,
    Json(body): Json<Ids<AssetId>>,
) -> Result<Answer<Value>> {
    Ok(Answer(bulk::json(&state.gallery.untag_assets(auth.user(), id, &body.ids).await?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bulk {
    tag_ids: Vec<TagId>,
    asset_ids: Vec<AssetId>,
}

async fn bulk_tag_assets(State(state): State<ApiState>, auth: Auth, Json(body): Json<Bulk>) -> Result<Answer<Value>> {
    const MOST: usize = 1_000_000;
    if body.tag_ids.len().saturating_mul(body.asset_ids.len()) > MOST {
        return Err(ApiError::field("assetIds", format!("at most {MOST} pairs of a tag and an asset at once")));
    }
    let count = state.gallery.bulk_tag_assets(auth.user(), &body.tag_ids, &body.asset_ids).await?;
    Ok(Answer(json!({ "count": count })))
}
