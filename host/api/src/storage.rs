//! Where bytes live, for administrators.

use axum::Json as Answer;
use axum::extract::State;
use serde_json::{Value, json};

use crate::ApiState;
use crate::error::Result;
use crate::extract::Auth;
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    Routes::new().get("/latent/storage", "getStorageBackends", Access::Admin("server.storage"), get_storage_backends)
}

/// Every backend: `[{"name": "main", "ok": true, "error": null, "objects": 3, "bytes": 4711, "used": …, "free": …}]`; `used` and
/// `free` are null where the backend does not know. With `takes`, what new objects go there.
async fn get_storage_backends(State(state): State<ApiState>, _: Auth) -> Result<Answer<Value>> {
    let backends = state.gallery.backends().await;
    Ok(Answer(
        backends
            .iter()
            .map(|backend| {
                json!({
                    "name": backend.name,
                    "ok": backend.error.is_none(),
                    "error": backend.error,
                    "objects": backend.objects,
                    "bytes": backend.bytes,
                    "used": backend.usage.map(|(used, _)| used),
                    "free": backend.usage.map(|(_, free)| free),
                    "takes": backend.takes,
                })
            })
            .collect(),
    ))
}
