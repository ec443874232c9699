//! Tag "Sessions".

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use gallery::accounts::{Device, Identity, Means};
use serde::Deserialize;
use serde_json::{Value, json};
use store::sessions::SessionRow;
use types::SessionId;
use types::wire::iso;

use crate::ApiState;
use crate::auth::app_version;
use crate::error::Result;
use crate::extract::{Auth, Id, Json};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    Routes::new()
        .get("/sessions", "getSessions", Access::User("session.read"), get_sessions)
        .post("/sessions", "createSession", Access::User("session.create"), create_session)
        .delete("/sessions", "deleteAllSessions", Access::User("session.delete"), delete_all_sessions)
        .put("/sessions/{id}", "updateSession", Access::User("session.update"), update_session)
        .delete("/sessions/{id}", "deleteSession", Access::User("session.delete"), delete_session)
        .post("/sessions/{id}/lock", "lockSession", Access::User("session.lock"), lock_session)
}

/// SessionResponseDto. `of`: the session that asks.
pub fn json(session: &SessionRow, of: Option<&Identity>) -> Value {
    let is_current = of.is_some_and(|identity| matches!(identity.means, Means::Session(id) if id == session.id));
    let mut answer = json!({
        "id": session.id,
        "deviceType": session.device_type,
        "deviceOS": session.device_os,
        "appVersion": session.app_version,
        "createdAt": iso(session.created_at),
        "updatedAt": iso(session.updated_at),
        "current": is_current,
        "isPendingSyncReset": session.is_pending_sync_reset,
    });
    if let Some(at) = session.expires_at {
        answer["expiresAt"] = iso(at).into();
    }
    answer
}

async fn get_sessions(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let sessions = state.gallery.sessions_of(auth.user().id).await?;
    Ok(Answer(sessions.iter().map(|session| json(session, Some(&auth.0))).collect()))
}

#[derive(Deserialize)]
struct Create {
    #[serde(rename = "deviceType", default)]
    device_type: String,
    #[serde(rename = "deviceOS", default)]
    device_os: String,
    /// Seconds.
    duration: Option<f64>,
}

async fn create_session(
    State(state): State<ApiState>,
    auth: Auth,
    headers: HeaderMap,
    Json(body): Json<Create>,
) -> Result<(StatusCode, Answer<Value>)> {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let device = Device { kind: &body.device_type, os: &body.device_os, app_version: app_version(agent) };
    let (session, token) = state.gallery.create_session(&auth.0, device, body.duration).await?;
    let mut answer = json(&session, Some(&auth.0));
    answer["token"] = token.into();
    Ok((StatusCode::CREATED, Answer(answer)))
}

async fn delete_all_sessions(State(state): State<ApiState>, auth: Auth) -> Result<StatusCode> {
    state.gallery.end_other_sessions(&auth.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    is_pending_sync_reset: Option<bool>,
}

async fn update_session(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<SessionId>,
    Json(body): Json<Update>,
) -> Result<Answer<Value>> {
    let session = state.gallery.update_session(auth.user().id, id, body.is_pending_sync_reset).await?;
    Ok(Answer(json(&session, Some(&auth.0))))
}

async fn delete_session(State(state): State<ApiState>, auth: Auth, Id(id): Id<SessionId>) -> Result<StatusCode> {
    state.gallery.end_session(auth.user().id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn lock_session(State(state): State<ApiState>, auth: Auth, Id(id): Id<SessionId>) -> Result<StatusCode> {
    state.gallery.lock_session(auth.user().id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
