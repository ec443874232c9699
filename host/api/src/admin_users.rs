//! Tag "Users (admin)".

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use gallery::users::{AccountChanges, NewAccount};
use serde::Deserialize;
use serde_json::{Value, json};
use types::{UserId, Visibility};

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Auth, Id, Json, Query, present};
use crate::routes::{Access, Routes};
use crate::sessions;
use crate::users::preferences::Changes;
use crate::users::{AvatarColor, admin_json};

pub fn routes() -> Routes {
    let (read, update, delete) = ("adminUser.read", "adminUser.update", "adminUser.delete");
    let preferences = "/admin/users/{id}/preferences";
    Routes::new()
        .get("/admin/users", "searchUsersAdmin", Access::Admin(read), search_users_admin)
        .post("/admin/users", "createUserAdmin", Access::Admin("adminUser.create"), create_user_admin)
        .get("/admin/users/{id}", "getUserAdmin", Access::Admin(read), get_user_admin)
        .put("/admin/users/{id}", "updateUserAdmin", Access::Admin(update), update_user_admin)
        .delete("/admin/users/{id}", "deleteUserAdmin", Access::Admin(delete), delete_user_admin)
        .post("/admin/users/{id}/restore", "restoreUserAdmin", Access::Admin(delete), restore_user_admin)
        .get(
            "/admin/users/{id}/sessions",
            "getUserSessionsAdmin",
            Access::Admin("adminSession.read"),
            get_user_sessions_admin,
        )
        .get(preferences, "getUserPreferencesAdmin", Access::Admin(read), get_user_preferences_admin)
        .put(preferences, "updateUserPreferencesAdmin", Access::Admin(update), update_user_preferences_admin)
        .get("/admin/users/{id}/statistics", "getUserStatisticsAdmin", Access::Admin(read), get_user_statistics_admin)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    id: Option<UserId>,
    #[serde(default)]
    with_deleted: bool,
}

async fn search_users_admin(
    State(state): State<ApiState>,
    _: Auth,
    Query(query): Query<Wanted>,
) -> Result<Answer<Value>> {
    let users = state.gallery.users_for_admin(query.id, query.with_deleted).await?;
    Ok(Answer(users.iter().map(admin_json).collect()))
}

/// `notify` is dropped: there is no e-mail, as the server's features say.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    email: String,
    name: String,
    password: String,
    pin_code: Option<String>,
    #[serde(default)]
    is_admin: bool,
    /// The password is the administrator's until its user has chosen another.
    should_change_password: Option<bool>,
    storage_label: Option<String>,
    quota_size_in_bytes: Option<i64>,
    avatar_color: Option<AvatarColor>,
}

async fn create_user_admin(
    State(state): State<ApiState>,
    _: Auth,
    Json(body): Json<Create>,
) -> Result<(StatusCode, Answer<Value>)> {
    let new = NewAccount {
        email: body.email,
        name: body.name,
        password: body.password,
        pin: body.pin_code,
        is_admin: body.is_admin,
        should_change_password: body.should_change_password.unwrap_or(true),
        storage_label: body.storage_label.filter(|label| !label.is_empty()),
        quota_bytes: body.quota_size_in_bytes,
        avatar_color: body.avatar_color.map(AvatarColor::as_str),
    };
    Ok((StatusCode::CREATED, Answer(admin_json(&state.gallery.create_account(new).await?))))
}

async fn get_user_admin(State(state): State<ApiState>, _: Auth, Id(id): Id<UserId>) -> Result<Answer<Value>> {
    Ok(Answer(admin_json(&state.gallery.user_for_admin(id).await?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    email: Option<String>,
    name: Option<String>,
    password: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pin_code: Option<Option<String>>,
    is_admin: Option<bool>,
    should_change_password: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    storage_label: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    quota_size_in_bytes: Option<Option<i64>>,
    #[serde(default, deserialize_with = "present")]
    avatar_color: Option<Option<AvatarColor>>,
}

async fn update_user_admin(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<UserId>,
    Json(body): Json<Update>,
) -> Result<Answer<Value>> {
    let changes = AccountChanges {
        email: body.email,
        name: body.name,
        password: body.password,
        pin: body.pin_code,
        is_admin: body.is_admin,
        should_change_password: body.should_change_password,
        // The page of Immich 3.2 sends an empty one where there is none.
        storage_label: body.storage_label.map(|label| label.filter(|label| !label.is_empty())),
        quota_bytes: body.quota_size_in_bytes,
        avatar_color: body.avatar_color.map(|color| color.unwrap_or_default().as_str()),
    };
    Ok(Answer(admin_json(&state.gallery.update_account(auth.user(), id, changes).await?)))
}

#[derive(Deserialize)]
struct Delete {
    #[serde(default)]
    force: bool,
}

async fn delete_user_admin(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<UserId>,
    Json(body): Json<Delete>,
) -> Result<Answer<Value>> {
    Ok(Answer(admin_json(&state.gallery.delete_account(auth.user(), id, body.force).await?)))
}

async fn restore_user_admin(State(state): State<ApiState>, _: Auth, Id(id): Id<UserId>) -> Result<Answer<Value>> {
    Ok(Answer(admin_json(&state.gallery.restore_account(id).await?)))
}

async fn get_user_sessions_admin(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<UserId>,
) -> Result<Answer<Value>> {
    state.gallery.user_for_admin(id).await?;
    let sessions = state.gallery.sessions_of(id).await?;
    Ok(Answer(sessions.iter().map(|session| sessions::json(session, Some(&auth.0))).collect()))
}

async fn get_user_preferences_admin(
    State(state): State<ApiState>,
    _: Auth,
    Id(id): Id<UserId>,
) -> Result<Answer<Value>> {
    state.gallery.user_for_admin(id).await?;
    Ok(Answer(state.gallery.preferences(id).await?))
}

async fn update_user_preferences_admin(
    State(state): State<ApiState>,
    _: Auth,
    Id(id): Id<UserId>,
    Json(body): Json<Changes>,
) -> Result<Answer<Value>> {
    body.apply(&state, id).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statistics {
    is_favorite: Option<bool>,
    #[serde(default)]
    is_trashed: bool,
    visibility: Option<Visibility>,
}

async fn get_user_statistics_admin(
    State(state): State<ApiState>,
    _: Auth,
    Id(id): Id<UserId>,
    Query(query): Query<Statistics>,
) -> Result<Answer<Value>> {
    let user = state.gallery.user_for_admin(id).await?;
    let (images, videos) =
        state.gallery.statistics(&user, query.visibility, query.is_favorite, query.is_trashed).await?;
    Ok(Answer(json!({ "images": images, "videos": videos, "total": images + videos })))
}
