//! Tag "Users".

use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use store::accounts::{User, UserChanges};
use types::wire::iso;

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Auth, Json, present};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    Routes::new()
        .get("/users", "searchUsers", Access::User("user.read"), search_users)
        .get("/users/me", "getMyUser", Access::User("user.read"), get_my_user)
        .put("/users/me", "updateMyUser", Access::User("user.update"), update_my_user)
        .get("/users/me/preferences", "getMyPreferences", Access::User("userPreference.read"), get_my_preferences)
}

/// UserResponseDto.
pub fn json(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "avatarColor": user.avatar_color,
        "profileImagePath": "",
        "profileChangedAt": iso(user.created_at),
    })
}

/// UserAdminResponseDto.
pub fn admin_json(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "avatarColor": user.avatar_color,
        "profileImagePath": "",
        "profileChangedAt": iso(user.created_at),
        "storageLabel": user.storage_label,
        "isAdmin": user.is_admin,
        "shouldChangePassword": user.should_change_password,
        "createdAt": iso(user.created_at),
        "updatedAt": iso(user.updated_at),
        "deletedAt": null,
        "oauthId": "",
        "clusterGroupId": user.id,
        "license": null,
        "quotaSizeInBytes": user.quota_bytes,
        "quotaUsageInBytes": user.used_bytes,
        "status": "active",
    })
}

async fn search_users(State(state): State<ApiState>, _: Auth) -> Result<Answer<Value>> {
    let users = state.gallery.store().users().await.map_err(gallery::GalleryError::from)?;
    Ok(Answer(users.iter().map(json).collect()))
}

async fn get_my_user(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let id = auth.user().id;
    // Not from the identity, which may be seconds old: the quota changes with every upload.
    let user = state.gallery.store().user(id).await.map_err(gallery::GalleryError::from)?;
    Ok(Answer(admin_json(user.as_ref().unwrap_or(&auth.0.user))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateMe {
    name: Option<String>,
    email: Option<String>,
    password: Option<String>,
    #[serde(default, deserialize_with = "present")]
    avatar_color: Option<Option<AvatarColor>>,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum AvatarColor {
    /// Also where somebody takes their colour away.
    #[default]
    Primary,
    Pink,
    Red,
    Yellow,
    Blue,
    Green,
    Purple,
    Orange,
    Gray,
    Amber,
}

impl AvatarColor {
    fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Pink => "pink",
            Self::Red => "red",
            Self::Yellow => "yellow",
            Self::Blue => "blue",
            Self::Green => "green",
            Self::Purple => "purple",
            Self::Orange => "orange",
            Self::Gray => "gray",
            Self::Amber => "amber",
        }
    }
}

async fn update_my_user(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<UpdateMe>,
) -> Result<Answer<Value>> {
    let id = auth.user().id;
    let changes = UserChanges {
        name: body.name.as_deref(),
        email: body.email.as_deref(),
        avatar_color: body.avatar_color.map(|color| color.unwrap_or_default().as_str()),
    };
    let user = state.gallery.update_me(id, changes, body.password.as_deref()).await?;
    Ok(Answer(admin_json(&user)))
}

/// The defaults: nothing of this can be changed yet.
async fn get_my_preferences(_: Auth) -> Result<Answer<Value>> {
    Ok(Answer(json!({
        "albums": { "defaultAssetOrder": "desc" },
        "cast": { "gCastEnabled": false },
        "download": { "archiveSize": 4_294_967_296_u64, "includeEmbeddedVideos": false },
        "emailNotifications": { "enabled": false, "albumInvite": false, "albumUpdate": false },
        "folders": { "enabled": false, "sidebarWeb": false },
        "memories": { "enabled": false, "sidebarWeb": false, "duration": 5 },
        "people": { "enabled": false, "sidebarWeb": false, "minimumFaces": store::people::LISTED_FROM },
        "purchase": { "showSupportBadge": false, "hideBuyButtonUntil": "2100-01-01T00:00:00.000Z" },
        "ratings": { "enabled": true },
        "recentlyAdded": { "sidebarWeb": false },
        "sharedLinks": { "enabled": false, "sidebarWeb": false },
        "tags": { "enabled": false, "sidebarWeb": false },
    })))
}
