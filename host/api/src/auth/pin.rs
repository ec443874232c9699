//! The PIN code and the locked folder.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use gallery::pin::Proof;
use serde::Deserialize;
use serde_json::{Value, json};
use types::wire::iso;

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Json};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    let path = "/auth/pin-code";
    Routes::new()
        .get("/auth/status", "getAuthStatus", Access::SignedIn, get_auth_status)
        .post(path, "setupPinCode", Access::User("pinCode.create"), setup_pin_code)
        .put(path, "changePinCode", Access::User("pinCode.update"), change_pin_code)
        .delete(path, "resetPinCode", Access::User("pinCode.delete"), reset_pin_code)
        .post("/auth/session/unlock", "unlockAuthSession", Access::SignedIn, unlock_auth_session)
        .post("/auth/session/lock", "lockAuthSession", Access::SignedIn, lock_auth_session)
}

async fn get_auth_status(State(state): State<ApiState>, Auth(identity): Auth) -> Result<Answer<Value>> {
    // Not from the identity, which may be seconds old.
    let user = state.gallery.user_of(identity.user.id).await?;
    let mut answer = json!({
        "pinCode": user.pin_hash.is_some(),
        "password": user.password_hash.is_some(),
        "isElevated": identity.user.sees_locked,
    });
    if let Some(at) = identity.expires_at {
        answer["expiresAt"] = iso(at).into();
    }
    if let Some(at) = identity.elevated_until.filter(|_| identity.user.sees_locked) {
        answer["pinExpiresAt"] = iso(at).into();
    }
    Ok(Answer(answer))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Setup {
    pin_code: String,
}

async fn setup_pin_code(State(state): State<ApiState>, auth: Auth, Json(body): Json<Setup>) -> Result<StatusCode> {
    state.gallery.set_up_pin(auth.user().id, &body.pin_code).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    pin_code: Option<String>,
    password: Option<String>,
}

impl Said {
    fn proof(&self) -> Proof<'_> {
        Proof { pin: self.pin_code.as_deref(), password: self.password.as_deref() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    new_pin_code: String,
    #[serde(flatten)]
    said: Said,
}

async fn change_pin_code(State(state): State<ApiState>, auth: Auth, Json(body): Json<Change>) -> Result<StatusCode> {
    state.gallery.change_pin(auth.user().id, body.said.proof(), &body.new_pin_code).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reset_pin_code(State(state): State<ApiState>, auth: Auth, Json(body): Json<Said>) -> Result<StatusCode> {
    state.gallery.reset_pin(auth.user().id, body.proof()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unlock_auth_session(
    State(state): State<ApiState>,
    Auth(identity): Auth,
    Json(body): Json<Said>,
) -> Result<StatusCode> {
    if body.pin_code.is_none() && body.password.is_none() {
        return Err(ApiError::field("pinCode", "is missing"));
    }
    state.gallery.unlock(&identity, body.proof()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn lock_auth_session(State(state): State<ApiState>, Auth(identity): Auth) -> Result<StatusCode> {
    state.gallery.lock(&identity).await?;
    Ok(StatusCode::NO_CONTENT)
}
