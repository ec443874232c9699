//! Tag "Users".

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Answer, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use store::accounts::User;
use types::wire::iso;

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Auth, Json};

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/users", get(search_users))
        .route("/users/me", get(get_my_user).put(update_my_user))
        .route("/users/me/preferences", get(get_my_preferences))
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

async fn search_users(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    auth.may("user.read")?;
    let users = state.gallery.store().users().await.map_err(gallery::GalleryError::from)?;
    Ok(Answer(users.iter().map(json).collect()))
}

async fn get_my_user(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let id = auth.may("user.read")?.id;
    // Not from the identity, which may be seconds old: the quota changes with every upload.
    let user = state.gallery.store().user(id).await.map_err(gallery::GalleryError::from)?;
    Ok(Answer(admin_json(user.as_ref().unwrap_or(&auth.0.user))))
}

#[derive(Deserialize)]
struct UpdateMe {
    name: Option<String>,
    email: Option<String>,
    password: Option<String>,
}

async fn update_my_user(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<UpdateMe>,
) -> Result<Answer<Value>> {
    let id = auth.may("user.update")?.id;
    let user =
        state.gallery.update_me(id, body.name.as_deref(), body.email.as_deref(), body.password.as_deref()).await?;
    Ok(Answer(admin_json(&user)))
}

/// The defaults: nothing of this can be changed yet.
async fn get_my_preferences(auth: Auth) -> Result<Answer<Value>> {
    auth.may("userPreference.read")?;
    Ok(Answer(json!({
        "albums": { "defaultAssetOrder": "desc" },
        "cast": { "gCastEnabled": false },
        "download": { "archiveSize": 4_294_967_296_u64, "includeEmbeddedVideos": false },
        "emailNotifications": { "enabled": false, "albumInvite": false, "albumUpdate": false },
        "folders": { "enabled": false, "sidebarWeb": false },
        "memories": { "enabled": false, "duration": 5 },
        "people": { "enabled": false, "sidebarWeb": false, "minimumFaces": 3 },
        "purchase": { "showSupportBadge": false, "hideBuyButtonUntil": "2100-01-01T00:00:00.000Z" },
        "ratings": { "enabled": true },
        "recentlyAdded": { "sidebarWeb": false },
        "sharedLinks": { "enabled": false, "sidebarWeb": false },
        "tags": { "enabled": false, "sidebarWeb": false },
    })))
}
