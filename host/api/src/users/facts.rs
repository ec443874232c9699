//! Whether a user was shown around, and the licence that they have.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Auth, Json};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    let (onboarding, license) = ("/users/me/onboarding", "/users/me/license");
    let user = Access::User;
    Routes::new()
        .get(onboarding, "getUserOnboarding", user("userOnboarding.read"), get_user_onboarding)
        .put(onboarding, "setUserOnboarding", user("userOnboarding.update"), set_user_onboarding)
        .delete(onboarding, "deleteUserOnboarding", user("userOnboarding.delete"), delete_user_onboarding)
        .get(license, "getUserLicense", user("userLicense.read"), get_user_license)
        .put(license, "setUserLicense", user("userLicense.update"), set_user_license)
        .delete(license, "deleteUserLicense", user("userLicense.delete"), delete_user_license)
}

async fn get_user_onboarding(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    // Not from the identity, which may be seconds old.
    let user = state.gallery.user_of(auth.user().id).await?;
    Ok(Answer(json!({ "isOnboarded": user.onboarded })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Onboarding {
    pub is_onboarded: bool,
}

async fn set_user_onboarding(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Onboarding>,
) -> Result<Answer<Value>> {
    let is_onboarded = state.gallery.set_onboarded(auth.user().id, body.is_onboarded).await?;
    Ok(Answer(json!({ "isOnboarded": is_onboarded })))
}

async fn delete_user_onboarding(State(state): State<ApiState>, auth: Auth) -> Result<StatusCode> {
    state.gallery.forget_onboarded(auth.user().id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct License {
    pub license_key: String,
    pub activation_key: String,
}

async fn get_user_license(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    Ok(Answer(state.gallery.license_of(auth.user()).await?))
}

async fn set_user_license(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<License>,
) -> Result<Answer<Value>> {
    Ok(Answer(state.gallery.set_license(auth.user(), &body.license_key, &body.activation_key).await?))
}

async fn delete_user_license(State(state): State<ApiState>, auth: Auth) -> Result<StatusCode> {
    state.gallery.delete_license(auth.user()).await?;
    Ok(StatusCode::NO_CONTENT)
}
