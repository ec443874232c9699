//! Tag "Authentication".

mod pin;

use std::net::SocketAddr;

use axum::Json as Answer;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use gallery::accounts::Device;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::Result;
use crate::extract::{Auth, Json};
use crate::routes::{Access, Routes};
use crate::{ApiState, cookies, users};

pub fn routes() -> Routes {
    Routes::new()
        .post("/auth/admin-sign-up", "signUpAdmin", Access::Public, sign_up_admin)
        .post("/auth/login", "login", Access::Public, login)
        .post("/auth/logout", "logout", Access::SignedIn, logout)
        .post("/auth/validateToken", "validateAccessToken", Access::SignedIn, validate_access_token)
        .post("/auth/change-password", "changePassword", Access::User("auth.changePassword"), change_password)
        .merge(pin::routes())
}

#[derive(Deserialize)]
struct SignUp {
    email: String,
    name: String,
    password: String,
}

async fn sign_up_admin(State(state): State<ApiState>, Json(body): Json<SignUp>) -> Result<Response> {
    let user = state.gallery.sign_up_admin(&body.email, &body.name, &body.password).await?;
    Ok((StatusCode::CREATED, Answer(users::admin_json(&user))).into_response())
}

#[derive(Deserialize)]
struct Login {
    email: String,
    password: String,
}

async fn login(
    State(state): State<ApiState>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(body): Json<Login>,
) -> Result<Response> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    let (kind, os, agent) = (text("devicemodel"), text("devicetype"), text("user-agent"));
    let device = Device { kind: &kind, os: &os, app_version: app_version(&agent) };
    let from = from.ip().to_string();
    let login = state.gallery.login(&body.email, &body.password, &from, device).await?;
    let answer = json!({
        "accessToken": login.token,
        "userId": login.user.id,
        "userEmail": login.user.email,
        "name": login.user.name,
        "isAdmin": login.user.is_admin,
        "profileImagePath": users::profile_image_path(&login.user),
        "shouldChangePassword": login.user.should_change_password,
        "isOnboarded": login.user.onboarded,
    });
    let mut response = (StatusCode::CREATED, Answer(answer)).into_response();
    cookies::set(response.headers_mut(), &login.token, state.secure_cookies);
    Ok(response)
}

/// The phone says `Immich_Android_3.2.0`.
pub fn app_version(user_agent: &str) -> Option<&str> {
    let (_, version) = user_agent.strip_prefix("Immich_")?.split_once('_')?;
    let is_version = version.len() <= 32 && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    Some(version).filter(|version| is_version && !version.is_empty())
}

async fn logout(State(state): State<ApiState>, Auth(identity): Auth) -> Result<Response> {
    state.gallery.logout(&identity).await?;
    let answer = json!({ "successful": true, "redirectUri": "/auth/login?autoLaunch=0" });
    let mut response = Answer(answer).into_response();
    cookies::clear(response.headers_mut());
    Ok(response)
}

async fn validate_access_token(_: Auth) -> Answer<Value> {
    Answer(json!({ "authStatus": true }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangePassword {
    password: String,
    new_password: String,
    #[serde(default)]
    invalidate_sessions: bool,
}

async fn change_password(
    State(state): State<ApiState>,
    Auth(identity): Auth,
    Json(body): Json<ChangePassword>,
) -> Result<Answer<Value>> {
    let ChangePassword { password, new_password, invalidate_sessions } = body;
    let user = state.gallery.change_password(&identity, &password, &new_password, invalidate_sessions).await?;
    Ok(Answer(users::admin_json(&user)))
}
