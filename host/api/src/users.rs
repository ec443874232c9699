//! Tag "Users".

mod facts;
pub mod preferences;
mod profile;

use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use store::accounts::{User, UserChanges};
use types::UserId;
use types::wire::iso;

pub use facts::{License, Onboarding};

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Auth, Id, Json, present};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    Routes::new()
        .get("/users", "searchUsers", Access::User("user.read"), search_users)
        .get("/users/me", "getMyUser", Access::User("user.read"), get_my_user)
        .put("/users/me", "updateMyUser", Access::User("user.update"), update_my_user)
        .get("/users/{id}", "getUser", Access::User("user.read"), get_user)
        .merge(preferences::routes())
        .merge(facts::routes())
        .merge(profile::routes())
}

/// Clients ask for the picture where this is not empty, and see by it when it is another.
pub fn profile_image_path(user: &User) -> String {
    let name = user.profile_location.as_deref().and_then(|location| location.rsplit(['/', ':']).next());
    name.map(|name| format!("profile/{name}")).unwrap_or_default()
}

/// UserResponseDto.
pub fn json(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "avatarColor": user.avatar_color,
        "profileImagePath": profile_image_path(user),
        "profileChangedAt": iso(user.profile_changed_at),
    })
}

/// UserAdminResponseDto.
pub fn admin_json(user: &User) -> Value {
    let status = match user.deleted_at {
        _ if user.is_removing => "removing",
        Some(_) => "deleted",
        None => "active",
    };
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "avatarColor": user.avatar_color,
        "profileImagePath": profile_image_path(user),
        "profileChangedAt": iso(user.profile_changed_at),
        "storageLabel": user.storage_label,
        "isAdmin": user.is_admin,
        "shouldChangePassword": user.should_change_password,
        "createdAt": iso(user.created_at),
        "updatedAt": iso(user.updated_at),
        "deletedAt": user.deleted_at.map(iso),
        "oauthId": "",
        "clusterGroupId": user.id,
        "license": user.license,
        "quotaSizeInBytes": user.quota_bytes,
        "quotaUsageInBytes": user.used_bytes,
        "status": status,
    })
}

async fn search_users(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    Ok(Answer(state.gallery.users_seen_by(auth.user()).await?.iter().map(json).collect()))
}

async fn get_user(State(state): State<ApiState>, _: Auth, Id(id): Id<UserId>) -> Result<Answer<Value>> {
    Ok(Answer(json(&state.gallery.user_of(id).await?)))
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
pub enum AvatarColor {
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
    pub fn as_str(self) -> &'static str {
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
