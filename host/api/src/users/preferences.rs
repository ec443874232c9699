//! What a user prefers.

use axum::Json as Answer;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use types::UserId;

use crate::error::{ApiError, Result};
use crate::extract::{Auth, Json};
use crate::routes::{Access, Routes};
use crate::users::AvatarColor;
use crate::{ApiState, is_kept};

pub fn routes() -> Routes {
    let path = "/users/me/preferences";
    Routes::new().get(path, "getMyPreferences", Access::User("userPreference.read"), get_my_preferences).put(
        path,
        "updateMyPreferences",
        Access::User("userPreference.update"),
        update_my_preferences,
    )
}

/// UserPreferencesUpdateDto: what is absent stays as it is.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    #[serde(skip_serializing)]
    avatar: Option<Avatar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    albums: Option<Albums>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cast: Option<Cast>,
    #[serde(skip_serializing_if = "Option::is_none")]
    download: Option<Download>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_notifications: Option<EmailNotifications>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folders: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memories: Option<Memories>,
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<People>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purchase: Option<Purchase>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratings: Option<Enabled>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recently_added: Option<Sidebar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shared_links: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Shown>,
}

#[derive(Deserialize)]
struct Avatar {
    color: Option<AvatarColor>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Asc,
    Desc,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Albums {
    #[serde(skip_serializing_if = "Option::is_none")]
    default_asset_order: Option<Order>,
}

#[derive(Deserialize, Serialize)]
struct Cast {
    #[serde(rename = "gCastEnabled", skip_serializing_if = "Option::is_none")]
    g_cast_enabled: Option<bool>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Download {
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    archive_size: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    include_embedded_videos: Option<bool>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct EmailNotifications {
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    album_invite: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    album_update: Option<bool>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sidebar_web: Option<bool>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Memories {
    /// Seconds of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<i32>,
    #[serde(flatten)]
    shown: Shown,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct People {
    /// Who has no name is listed from so many photos on.
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_faces: Option<i32>,
    #[serde(flatten)]
    shown: Shown,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Purchase {
    #[serde(skip_serializing_if = "Option::is_none")]
    show_support_badge: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hide_buy_button_until: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Enabled {
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sidebar {
    #[serde(skip_serializing_if = "Option::is_none")]
    sidebar_web: Option<bool>,
}

impl Changes {
    fn check(&self) -> Result<()> {
        let range = |field: &str, value: Option<i64>, most: i64| match value {
            Some(value) if !(1..=most).contains(&value) => Err(ApiError::field(field, format!("must be 1 to {most}"))),
            _ => Ok(()),
        };
        let archive = self.download.as_ref().and_then(|download| download.archive_size);
        range("download.archiveSize", archive, 1 << 50)?;
        let duration = self.memories.as_ref().and_then(|memories| memories.duration);
        range("memories.duration", duration.map(i64::from), 3_600)?;
        let faces = self.people.as_ref().and_then(|people| people.minimum_faces);
        range("people.minimumFaces", faces.map(i64::from), 100_000)?;
        let until = self.purchase.as_ref().and_then(|purchase| purchase.hide_buy_button_until.as_deref());
        if until.is_some_and(|text| !text.parse::<Timestamp>().is_ok_and(is_kept)) {
            return Err(ApiError::field("purchase.hideBuyButtonUntil", "is no date such as 2100-01-01T00:00:00.000Z"));
        }
        Ok(())
    }

    /// Makes them those of `user`, and answers with all.
    pub async fn apply(self, state: &ApiState, user: UserId) -> Result<Answer<Value>> {
        self.check()?;
        let color = self.avatar.as_ref().and_then(|avatar| avatar.color).map(AvatarColor::as_str);
        let changes = serde_json::to_value(&self).map_err(|error| ApiError::bad_request(error.to_string()))?;
        Ok(Answer(state.gallery.change_preferences(user, color, &changes).await?))
    }
}

async fn get_my_preferences(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    Ok(Answer(state.gallery.preferences(auth.user().id).await?))
}

async fn update_my_preferences(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Changes>,
) -> Result<Answer<Value>> {
    body.apply(&state, auth.user().id).await
}
