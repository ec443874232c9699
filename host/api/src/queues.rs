//! Tag "Queues": what Immich 3 has in place of the job commands.

use axum::Json as Answer;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use gallery::GalleryError;
use serde::Deserialize;
use serde_json::{Value, json};
use types::QueueName;

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Json};
use crate::jobs::QUEUES;
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    Routes::new()
        .get("/queues", "getQueues", Access::Admin("queue.read"), get_queues)
        .get("/queues/{name}", "getQueue", Access::Admin("queue.read"), get_queue)
        .put("/queues/{name}", "updateQueue", Access::Admin("queue.update"), update_queue)
        .delete("/queues/{name}/jobs", "emptyQueue", Access::Admin("queueJob.delete"), empty_queue)
}

async fn get_queues(State(state): State<ApiState>, _: Auth) -> Result<Answer<Value>> {
    let mut answer = Vec::new();
    for (name, ours) in QUEUES {
        answer.push(queue_json(&state, name, ours.map(name_of).as_ref()).await?);
    }
    Ok(Answer(Value::Array(answer)))
}

async fn get_queue(State(state): State<ApiState>, _: Auth, Path(name): Path<String>) -> Result<Answer<Value>> {
    let ours = known(&name)?;
    Ok(Answer(queue_json(&state, &name, ours.as_ref()).await?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueueUpdate {
    is_paused: Option<bool>,
}

async fn update_queue(
    State(state): State<ApiState>,
    _: Auth,
    Path(name): Path<String>,
    Json(body): Json<QueueUpdate>,
) -> Result<Answer<Value>> {
    let ours = known(&name)?;
    match (&ours, body.is_paused) {
        (Some(queue), Some(true)) => state.gallery.pause_queue(queue).await?,
        (Some(queue), Some(false)) => state.gallery.resume_queue(queue).await?,
        (None, Some(true)) => return Err(nothing(&name)),
        (_, None) | (None, Some(false)) => {}
    }
    Ok(Answer(queue_json(&state, &name, ours.as_ref()).await?))
}

#[derive(Deserialize, Default)]
struct QueueDelete {
    /// The dead letters instead of what waits.
    #[serde(default)]
    failed: bool,
}

async fn empty_queue(
    State(state): State<ApiState>,
    _: Auth,
    Path(name): Path<String>,
    body: std::result::Result<Bytes, BytesRejection>,
) -> Result<StatusCode> {
    let body = body.map_err(|rejection| ApiError::new(rejection.status(), rejection.body_text()))?;
    let Some(queue) = known(&name)? else { return Ok(StatusCode::NO_CONTENT) };
    // Some clients send no body.
    let asked: QueueDelete = match &body[..] {
        [] => QueueDelete::default(),
        json => serde_json::from_slice(json).map_err(|error| ApiError::field("body", error.to_string()))?,
    };
    let queues = state.gallery.queue();
    match asked.failed {
        true => queues.clear_dead(&queue).await.map_err(GalleryError::from)?,
        false => queues.clear(&queue).await.map_err(GalleryError::from)?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Ours behind one of Immich's; `None`: nothing here does that work.
fn known(name: &str) -> Result<Option<QueueName>> {
    let found = QUEUES.iter().find(|(known, _)| *known == name);
    let (_, ours) = found.ok_or_else(|| ApiError::field("name", format!("there is no queue {name:?}")))?;
    Ok(ours.map(name_of))
}

fn name_of(name: &str) -> QueueName {
    QueueName(name.to_owned())
}

fn nothing(name: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, format!("nothing here does the work of {name:?} yet"))
}

async fn queue_json(state: &ApiState, name: &str, ours: Option<&QueueName>) -> Result<Value> {
    let counts = match ours {
        Some(queue) => state.gallery.queue().counts(queue).await.map_err(GalleryError::from)?,
        None => queue::Counts::default(),
    };
    let (waiting, paused) = if counts.paused { (0, counts.waiting) } else { (counts.waiting, 0) };
    Ok(json!({
        "name": name,
        "isPaused": counts.paused,
        "statistics": {
            "active": counts.active,
            "completed": 0,
            "failed": counts.failed,
            "delayed": counts.delayed,
            "waiting": waiting,
            "paused": paused,
        },
    }))
}
