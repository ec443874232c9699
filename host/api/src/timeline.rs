//! Tag "Timeline". Buckets are columns, built as text in the database.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json as Answer, Router};
use gallery::TimelineFilter;
use jiff::civil;
use serde::Deserialize;
use serde_json::{Value, json};
use types::{UserId, Visibility};

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Query};

pub fn routes() -> Router<ApiState> {
    Router::new().route("/timeline/buckets", get(get_time_buckets)).route("/timeline/bucket", get(get_time_bucket))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    visibility: Option<Visibility>,
    is_favorite: Option<bool>,
    #[serde(default)]
    is_trashed: bool,
    order: Option<String>,
    #[serde(default)]
    with_coordinates: bool,
    time_bucket: Option<String>,
    // What is not there yet must not be ignored: a client would show the whole library as one album.
    album_id: Option<String>,
    person_id: Option<String>,
    tag_id: Option<String>,
    user_id: Option<String>,
    bbox: Option<String>,
}

impl Filter {
    fn read(&self, owner: UserId) -> Result<TimelineFilter> {
        let unknown =
            [("albumId", &self.album_id), ("personId", &self.person_id), ("tagId", &self.tag_id), ("bbox", &self.bbox)];
        if let Some((name, _)) = unknown.into_iter().find(|(_, value)| value.is_some()) {
            return Err(ApiError::field(name, "is not supported yet"));
        }
        if self.user_id.as_ref().is_some_and(|id| *id != owner.to_string()) {
            return Err(ApiError::bad_request("Not found or no timeline.read access"));
        }
        if self.visibility == Some(Visibility::Locked) {
            return Err(ApiError::new(axum::http::StatusCode::UNAUTHORIZED, "Elevated permission is required"));
        }
        Ok(TimelineFilter {
            owner,
            visibility: self.visibility,
            is_favorite: self.is_favorite,
            is_trashed: self.is_trashed,
            oldest_first: self.order.as_deref() == Some("asc"),
            with_coordinates: self.with_coordinates,
        })
    }
}

async fn get_time_buckets(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Filter>,
) -> Result<Answer<Value>> {
    let user = auth.may("asset.read")?;
    let buckets = state.gallery.time_buckets(&query.read(user.id)?).await?;
    Ok(Answer(buckets.iter().map(|(month, count)| json!({ "timeBucket": month, "count": count })).collect()))
}

async fn get_time_bucket(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Filter>,
) -> Result<impl IntoResponse> {
    let user = auth.may("asset.read")?;
    let filter = query.read(user.id)?;
    let text = query.time_bucket.ok_or_else(|| ApiError::field("timeBucket", "is missing"))?;
    let month: civil::Date = text
        .get(..10)
        .and_then(|date| date.parse().ok())
        .ok_or_else(|| ApiError::field("timeBucket", format!("{text:?} is no date such as 2024-03-01")))?;
    let body = state.gallery.time_bucket(&filter, month).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body))
}
