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
    // A key must not make a key that may more than itself.
    for permission in &body.permissions {
        if !PERMISSIONS.contains(&permission.as_str()) {
            return Err(ApiError::field("permissions", format!("{permission:?} is no permission")));
        }
        auth.0.may(permission)?;
    }
    let name = body.name.as_deref().unwrap_or("API Key");
    let (key, secret) = state.gallery.create_api_key(user.id, name, &body.permissions).await?;
    let mut answer = json(&key);
    answer["secret"] = secret.into();
    answer["apiKey"] = json(&key);
    Ok((StatusCode::CREATED, Answer(answer)))
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
