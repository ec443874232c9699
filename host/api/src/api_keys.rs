//! Tag "API keys".

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use gallery::accounts::Means;
use serde::Deserialize;
use serde_json::{Value, json};
use store::accounts::ApiKey;
use types::ApiKeyId;
use types::wire::iso;

use crate::error::{ApiError, Result};
use crate::extract::{Auth, Id, Json};
use crate::routes::{Access, Routes};
use crate::{ApiState, PERMISSIONS};

pub fn routes() -> Routes {
    Routes::new()
        .get("/api-keys", "getApiKeys", Access::User("apiKey.read"), get_api_keys)
        .post("/api-keys", "createApiKey", Access::User("apiKey.create"), create_api_key)
        .get("/api-keys/me", "getMyApiKey", Access::SignedIn, get_my_api_key)
        .get("/api-keys/{id}", "getApiKey", Access::User("apiKey.read"), get_api_key)
        .put("/api-keys/{id}", "updateApiKey", Access::User("apiKey.update"), update_api_key)
        .post("/api-keys/{id}/rotate", "rotateApiKey", Access::User("apiKey.rotate"), rotate_api_key)
        .delete("/api-keys/{id}", "deleteApiKey", Access::User("apiKey.delete"), delete_api_key)
}

fn json(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "permissions": key.permissions,
        "createdAt": iso(key.created_at),
        "updatedAt": iso(key.updated_at),
    })
}

async fn get_api_keys(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let user = auth.user();
    let keys = state.gallery.store().api_keys(user.id).await.map_err(gallery::GalleryError::from)?;
    Ok(Answer(keys.iter().map(json).collect()))
}

#[derive(Deserialize)]
struct Create {
    name: Option<String>,
    permissions: Vec<String>,
}

async fn create_api_key(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Create>,
) -> Result<(StatusCode, Answer<Value>)> {
    let user = auth.user();
    check_permissions(&auth, &body.permissions)?;
    let name = body.name.as_deref().unwrap_or("API Key");
    let (key, secret) = state.gallery.create_api_key(user.id, name, &body.permissions).await?;
    Ok((StatusCode::CREATED, Answer(with_secret(&key, &secret))))
}

fn with_secret(key: &ApiKey, secret: &str) -> Value {
    let mut answer = json(key);
    answer["secret"] = secret.into();
    answer["apiKey"] = json(key);
    answer
}

/// A key must not make a key that may more than itself.
fn check_permissions(auth: &Auth, permissions: &[String]) -> Result<()> {
    for permission in permissions {
        if !PERMISSIONS.contains(&permission.as_str()) {
            return Err(ApiError::field("permissions", format!("{permission:?} is no permission")));
        }
        auth.0.may(permission)?;
    }
    Ok(())
}

async fn get_api_key(State(state): State<ApiState>, auth: Auth, Id(id): Id<ApiKeyId>) -> Result<Answer<Value>> {
    Ok(Answer(json(&state.gallery.api_key_of(auth.user().id, id).await?)))
}

#[derive(Deserialize)]
struct Update {
    name: Option<String>,
    permissions: Option<Vec<String>>,
}

async fn update_api_key(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<ApiKeyId>,
    Json(body): Json<Update>,
) -> Result<Answer<Value>> {
    check_permissions(&auth, body.permissions.as_deref().unwrap_or_default())?;
    let (name, permissions) = (body.name.as_deref(), body.permissions.as_deref());
    Ok(Answer(json(&state.gallery.update_api_key(auth.user().id, id, name, permissions).await?)))
}

async fn rotate_api_key(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<ApiKeyId>,
) -> Result<(StatusCode, Answer<Value>)> {
    // The secret of a key that may more is not for one that may less.
    check_permissions(&auth, &state.gallery.api_key_of(auth.user().id, id).await?.permissions)?;
    let (key, secret) = state.gallery.rotate_api_key(auth.user().id, id).await?;
    Ok((StatusCode::CREATED, Answer(with_secret(&key, &secret))))
}

async fn get_my_api_key(auth: Auth) -> Result<Answer<Value>> {
    match &auth.0.means {
        Means::ApiKey(key) => Ok(Answer(json(key))),
        Means::Session(_) => Err(ApiError::new(StatusCode::FORBIDDEN, "Not authenticated with an API Key")),
    }
}

async fn delete_api_key(State(state): State<ApiState>, auth: Auth, Id(id): Id<ApiKeyId>) -> Result<StatusCode> {
    let user = auth.user();
    state.gallery.delete_api_key(user.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
