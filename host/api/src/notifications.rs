//! Tag "Notifications".

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use gallery::notifications::News;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use store::notifications::{Notification, NotificationFilter};
use types::wire::iso;
use types::{NotificationId, UserId};

use crate::error::{ApiError, Result};
use crate::extract::{Auth, Id, Json, Query, present};
use crate::routes::{Access, Routes};
use crate::{ApiState, is_kept};

pub fn routes() -> Routes {
    Routes::new()
        .get("/notifications", "getNotifications", Access::User("notification.read"), get_notifications)
        .put("/notifications", "updateNotifications", Access::User("notification.update"), update_notifications)
        .delete("/notifications", "deleteNotifications", Access::User("notification.delete"), delete_notifications)
        .get("/notifications/{id}", "getNotification", Access::User("notification.read"), get_notification)
        .put("/notifications/{id}", "updateNotification", Access::User("notification.update"), update_notification)
        .delete("/notifications/{id}", "deleteNotification", Access::User("notification.delete"), delete_notification)
        .post("/admin/notifications", "createNotification", Access::Admin("notification.create"), create_notification)
}

/// NotificationDto.
pub fn json(notification: &Notification) -> Value {
    let mut answer = json!({
        "id": notification.id,
        "createdAt": iso(notification.created_at),
        "level": notification.level,
        "type": notification.kind,
        "title": notification.title,
    });
    if let Some(description) = &notification.description {
        answer["description"] = description.as_str().into();
    }
    if let Some(data) = &notification.data {
        answer["data"] = data.clone();
    }
    if let Some(at) = notification.read_at {
        answer["readAt"] = iso(at).into();
    }
    answer
}

#[derive(Deserialize, Clone, Copy)]
enum Kind {
    JobFailed,
    BackupFailed,
    SystemMessage,
    AlbumInvite,
    AlbumUpdate,
    ClusterGroupRequest,
    Custom,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::JobFailed => "JobFailed",
            Self::BackupFailed => "BackupFailed",
            Self::SystemMessage => "SystemMessage",
            Self::AlbumInvite => "AlbumInvite",
            Self::AlbumUpdate => "AlbumUpdate",
            Self::ClusterGroupRequest => "ClusterGroupRequest",
            Self::Custom => "Custom",
        }
    }
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Level {
    Success,
    Error,
    Warning,
    Info,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

#[derive(Deserialize)]
struct Wanted {
    id: Option<NotificationId>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    level: Option<Level>,
    unread: Option<bool>,
}

async fn get_notifications(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Wanted>,
) -> Result<Answer<Value>> {
    let filter = NotificationFilter {
        id: query.id,
        kind: query.kind.map(|kind| kind.as_str().to_owned()),
        level: query.level.map(|level| level.as_str().to_owned()),
        unread: query.unread,
    };
    let found = state.gallery.notifications(auth.user().id, &filter).await?;
    Ok(Answer(found.iter().map(json).collect()))
}

async fn get_notification(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<NotificationId>,
) -> Result<Answer<Value>> {
    Ok(Answer(json(&state.gallery.notification(auth.user().id, id, "notification.read").await?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    /// Absent: as it is; null: not read.
    #[serde(default, deserialize_with = "present")]
    read_at: Option<Option<Timestamp>>,
}

async fn update_notification(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<NotificationId>,
    Json(body): Json<Update>,
) -> Result<Answer<Value>> {
    let user = auth.user().id;
    if let Some(read_at) = body.read_at {
        state.gallery.read_notifications(user, &[id], kept(read_at)?).await?;
    }
    Ok(Answer(json(&state.gallery.notification(user, id, "notification.update").await?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateAll {
    ids: Vec<NotificationId>,
    #[serde(default, deserialize_with = "present")]
    read_at: Option<Option<Timestamp>>,
}

async fn update_notifications(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<UpdateAll>,
) -> Result<StatusCode> {
    let user = auth.user().id;
    match body.read_at {
        Some(read_at) => state.gallery.read_notifications(user, &body.ids, kept(read_at)?).await?,
        None => return Err(ApiError::field("readAt", "is missing")),
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_notification(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<NotificationId>,
) -> Result<StatusCode> {
    state.gallery.delete_notifications(auth.user().id, &[id]).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct DeleteAll {
    ids: Vec<NotificationId>,
}

async fn delete_notifications(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<DeleteAll>,
) -> Result<StatusCode> {
    state.gallery.delete_notifications(auth.user().id, &body.ids).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    user_id: UserId,
    title: String,
    description: Option<String>,
    data: Option<Value>,
    level: Option<Level>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    read_at: Option<Timestamp>,
}

async fn create_notification(
    State(state): State<ApiState>,
    _: Auth,
    Json(body): Json<Create>,
) -> Result<(StatusCode, Answer<Value>)> {
    let news = News {
        user: body.user_id,
        kind: body.kind.unwrap_or(Kind::Custom).as_str(),
        level: body.level.unwrap_or(Level::Info).as_str(),
        title: body.title,
        description: body.description,
        data: body.data,
        read_at: kept(body.read_at)?,
    };
    Ok((StatusCode::CREATED, Answer(json(&state.gallery.notify(news).await?))))
}

fn kept(at: Option<Timestamp>) -> Result<Option<Timestamp>> {
    match at {
        Some(at) if !is_kept(at) => Err(ApiError::field("readAt", "is in no year from 1 to 9999")),
        at => Ok(at),
    }
}
