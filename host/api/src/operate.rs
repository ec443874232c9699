//! For operators and their machines, beside the API.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json as Answer, Router};
use serde_json::{Value, json};

use crate::ApiState;
use crate::error::Result;

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/.well-known/immich", get(well_known))
        .route("/custom.css", get(custom_css))
}

/// 200 when a request can be served; otherwise 503 with what cannot.
async fn readyz(State(state): State<ApiState>) -> (StatusCode, String) {
    match state.gallery.ready().await {
        Ok(()) => (StatusCode::OK, "ready".into()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

async fn metrics(State(state): State<ApiState>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (state.metrics)())
}

/// What an administrator adds to the look of Immich's page, which asks for it.
async fn custom_css(State(state): State<ApiState>) -> Result<impl IntoResponse> {
    let css = state.gallery.running_config().await?.custom_css;
    Ok(([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], css))
}

/// The apps and the CLI find the API by it.
async fn well_known() -> Answer<Value> {
    Answer(json!({ "api": { "endpoint": "/api" } }))
}
