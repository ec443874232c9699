//! Tag "Timeline". Buckets are columns, built as text in the database.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use gallery::timeline::TimelineOf;
use gallery::{Scope, TimelineFilter};
use jiff::civil;
use serde::Deserialize;
use serde_json::{Value, json};
use types::{AlbumId, TagId, UserId, Visibility};

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Caller, Query};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    Routes::new().get("/timeline/buckets", "getTimeBuckets", Access::Shared("asset.read"), get_time_buckets).get(
        "/timeline/bucket",
        "getTimeBucket",
        Access::Shared("asset.read"),
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
    #[serde(default)]
    with_partners: bool,
    #[serde(default)]
    with_stacked: bool,
    time_bucket: Option<String>,
    // What is not there yet must not be ignored: a client would show the whole library as one album.
    album_id: Option<AlbumId>,
    person_id: Option<String>,
    tag_id: Option<TagId>,
    user_id: Option<UserId>,
    bbox: Option<String>,
}

impl Filter {
    async fn read(&self, state: &ApiState, caller: &Caller) -> Result<TimelineFilter> {
        let unknown = [("personId", &self.person_id), ("bbox", &self.bbox)];
        if let Some((name, _)) = unknown.into_iter().find(|(_, value)| value.is_some()) {
            return Err(ApiError::field(name, "is not supported yet"));
        }
        if self.visibility == Some(Visibility::Locked) && !caller.viewer().user().is_some_and(|user| user.sees_locked) {
            return Err(ApiError::elevation());
        }
        if self.order_by == Some(OrderBy::CreatedAt) {
            return Err(ApiError::field("orderBy", "createdAt is not supported yet"));
        }
        let viewer = caller.viewer();
        let scope = state.gallery.timeline_scope(viewer, self.whose()).await?;
        let me = viewer.user().map(|user| user.id);
        self.check_partners(&scope, me)?;
        let oldest_first = match (self.order, self.album_id) {
            (None, Some(album)) => state.gallery.is_oldest_first(album).await?,
            (order, _) => order == Some(Direction::Asc),
        };
        Ok(TimelineFilter {
            scope,
            viewer: me,
            visibility: self.visibility,
            is_favorite: self.is_favorite,
            is_trashed: self.is_trashed,
            oldest_first,
            with_coordinates: self.with_coordinates,
            without_metadata: !viewer.sees_metadata(),
            with_stacked: self.with_stacked,
            tag: self.tag_id,
        })
    }

    fn whose(&self) -> TimelineOf {
        match (self.album_id, self.user_id) {
            (Some(album), _) => TimelineOf::Album(album),
            (None, _) if self.with_partners => TimelineOf::Partners,
            (None, Some(user)) => TimelineOf::User(user),
            (None, None) => TimelineOf::Oneself,
        }
    }

    /// Of somebody else's there is the timeline alone.
    fn check_partners(&self, scope: &Scope, me: Option<UserId>) -> Result<()> {
        let is_others = match scope {
            Scope::Of(user) => Some(*user) != me,
            Scope::OfAll(_) => true,
            Scope::Album(_) => false,
        };
        let is_plain = self.is_favorite.is_none()
            && !self.is_trashed
            && self.visibility.is_none_or(|visibility| visibility == Visibility::Timeline);
        match is_others && !is_plain {
            true => Err(ApiError::bad_request(
                "withPartners is only supported for non-archived, non-trashed, non-favorited assets",
            )),
            false => Ok(()),
        }
    }
}

async fn get_time_buckets(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<Filter>,
) -> Result<Answer<Value>> {
    let filter = query.read(&state, &caller).await?;
    let buckets = state.gallery.time_buckets(&filter).await?;
    Ok(Answer(buckets.iter().map(|(month, count)| json!({ "timeBucket": month, "count": count })).collect()))
}

async fn get_time_bucket(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<Filter>,
) -> Result<impl IntoResponse> {
    let filter = query.read(&state, &caller).await?;
    let text = query.time_bucket.ok_or_else(|| ApiError::field("timeBucket", "is missing"))?;
    let month: civil::Date = text
        .get(..10)
        .and_then(|date| date.parse().ok())
        .ok_or_else(|| ApiError::field("timeBucket", format!("{text:?} is no date such as 2024-03-01")))?;
    let body = state.gallery.time_bucket(&filter, month).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body))
}
