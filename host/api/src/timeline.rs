//! Tag "Timeline". Buckets are columns, built as text in the database.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use gallery::TimelineFilter;
use jiff::civil;
use serde::Deserialize;
use serde_json::{Value, json};
use store::accounts::User;
use types::Visibility;

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Query};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    Routes::new().get("/timeline/buckets", "getTimeBuckets", Access::User("asset.read"), get_time_buckets).get(
        "/timeline/bucket",
        "getTimeBucket",
        Access::User("asset.read"),
        get_time_bucket,
    )
}

#[derive(Debug, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Asc,
    Desc,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum OrderBy {
    TakenAt,
    CreatedAt,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    visibility: Option<Visibility>,
    is_favorite: Option<bool>,
    #[serde(default)]
    is_trashed: bool,
    order: Option<Direction>,
    order_by: Option<OrderBy>,
    #[serde(default)]
    with_coordinates: bool,
    /// Nobody has a partner and nothing is stacked yet: with them there is nothing more, without them nothing less.
    #[serde(rename = "withPartners")]
    _with_partners: Option<bool>,
    #[serde(rename = "withStacked")]
    _with_stacked: Option<bool>,
    time_bucket: Option<String>,
    // What is not there yet must not be ignored: a client would show the whole library as one album.
    album_id: Option<String>,
    person_id: Option<String>,
    tag_id: Option<String>,
    user_id: Option<String>,
    bbox: Option<String>,
}

impl Filter {
    fn read(&self, user: &User) -> Result<TimelineFilter> {
        let owner = user.id;
        let unknown =
            [("albumId", &self.album_id), ("personId", &self.person_id), ("tagId", &self.tag_id), ("bbox", &self.bbox)];
        if let Some((name, _)) = unknown.into_iter().find(|(_, value)| value.is_some()) {
            return Err(ApiError::field(name, "is not supported yet"));
        }
        if self.user_id.as_ref().is_some_and(|id| *id != owner.to_string()) {
            return Err(ApiError::bad_request("Not found or no timeline.read access"));
        }
        if self.visibility == Some(Visibility::Locked) && !user.sees_locked {
            return Err(ApiError::elevation());
        }
        if self.order_by == Some(OrderBy::CreatedAt) {
            return Err(ApiError::field("orderBy", "createdAt is not supported yet"));
        }
        Ok(TimelineFilter {
            owner,
            visibility: self.visibility,
            is_favorite: self.is_favorite,
            is_trashed: self.is_trashed,
            oldest_first: self.order == Some(Direction::Asc),
            with_coordinates: self.with_coordinates,
        })
    }
}

async fn get_time_buckets(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Filter>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    let buckets = state.gallery.time_buckets(&query.read(user)?).await?;
    Ok(Answer(buckets.iter().map(|(month, count)| json!({ "timeBucket": month, "count": count })).collect()))
}

async fn get_time_bucket(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Filter>,
) -> Result<impl IntoResponse> {
    let user = auth.user();
    let filter = query.read(user)?;
    let text = query.time_bucket.ok_or_else(|| ApiError::field("timeBucket", "is missing"))?;
    let month: civil::Date = text
        .get(..10)
        .and_then(|date| date.parse().ok())
        .ok_or_else(|| ApiError::field("timeBucket", format!("{text:?} is no date such as 2024-03-01")))?;
    let body = state.gallery.time_bucket(&filter, month).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body))
}
