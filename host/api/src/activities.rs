//! Tag "Activities".

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use gallery::activities::Said;
use serde::Deserialize;
use serde_json::{Value, json};
use store::activities::{Activity, ActivityFilter};
use types::wire::iso;
use types::{ActivityId, AlbumId, AssetId, UserId};

use crate::error::{ApiError, Result};
use crate::extract::{Auth, Id, Json, Query};
use crate::routes::{Access, Routes};
use crate::{ApiState, users};

pub fn routes() -> Routes {
    Routes::new()
        .get("/activities", "getActivities", Access::User("activity.read"), get_activities)
        .post("/activities", "createActivity", Access::User("activity.create"), create_activity)
        .get(
            "/activities/statistics",
            "getActivityStatistics",
            Access::User("activity.statistics"),
            get_activity_statistics,
        )
        .delete("/activities/{id}", "deleteActivity", Access::User("activity.delete"), delete_activity)
}

/// ActivityResponseDto.
fn json(activity: &Activity) -> Value {
    json!({
        "id": activity.id,
        "assetId": activity.asset,
        "createdAt": iso(activity.created_at),
        "type": if activity.comment.is_some() { "comment" } else { "like" },
        "comment": activity.comment,
        "user": users::json(&activity.user),
    })
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Comment,
    Like,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Level {
    Album,
    Asset,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    album_id: AlbumId,
    asset_id: Option<AssetId>,
    level: Option<Level>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    user_id: Option<UserId>,
}

async fn get_activities(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Listing>,
) -> Result<Answer<Value>> {
    let filter = ActivityFilter {
        album: query.album_id,
        asset: match (query.asset_id, query.level) {
            (Some(_), Some(Level::Album)) => return Err(ApiError::field("level", "album has no assetId")),
            (Some(asset), _) => Some(Some(asset)),
            (None, Some(Level::Album)) => Some(None),
            (None, _) => None,
        },
        about_assets: query.level == Some(Level::Asset),
        user: query.user_id,
        is_comment: query.kind.map(|kind| kind == Kind::Comment),
    };
    let found = state.gallery.activities(auth.user(), &filter).await?;
    Ok(Answer(found.iter().map(json).collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statistics {
    album_id: AlbumId,
    asset_id: Option<AssetId>,
}

async fn get_activity_statistics(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Statistics>,
) -> Result<Answer<Value>> {
    let (comments, likes) = state.gallery.count_activities(auth.user(), query.album_id, query.asset_id).await?;
    Ok(Answer(json!({ "comments": comments, "likes": likes })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    album_id: AlbumId,
    asset_id: Option<AssetId>,
    #[serde(rename = "type")]
    kind: Kind,
    comment: Option<String>,
}

async fn create_activity(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Create>,
) -> Result<(StatusCode, Answer<Value>)> {
    let comment = match (body.kind, body.comment.as_deref()) {
        (Kind::Comment, None) => return Err(ApiError::field("comment", "is missing")),
        (Kind::Like, Some(text)) if !text.is_empty() => {
            return Err(ApiError::field("comment", "is not part of a like"));
        }
        (Kind::Like, _) => None,
        (Kind::Comment, text) => text,
    };
    Ok(match state.gallery.say(auth.user(), (body.album_id, body.asset_id), comment).await? {
        Said::New(activity) => (StatusCode::CREATED, Answer(json(&activity))),
        Said::Again(activity) => (StatusCode::OK, Answer(json(&activity))),
    })
}

async fn delete_activity(State(state): State<ApiState>, auth: Auth, Id(id): Id<ActivityId>) -> Result<StatusCode> {
    state.gallery.unsay(auth.user(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
