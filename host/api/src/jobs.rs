//! Tag "Jobs": Immich's names for queues, ours behind them.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use gallery::GalleryError;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use types::QueueName;

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Json};
use crate::routes::{Access, Routes};

/// Immich's queue and ours; `None`: nothing here does that work, so its counts are zero.
pub(crate) const QUEUES: &[(&str, Option<&str>)] = &[
    ("thumbnailGeneration", Some("thumbnails")),
    ("metadataExtraction", Some("metadata")),
    ("videoConversion", Some("video-conversion")),
    ("faceDetection", Some("faces")),
    ("facialRecognition", None),
    ("smartSearch", Some("search")),
    ("duplicateDetection", None),
    ("backgroundTask", None),
    ("storageTemplateMigration", None),
    ("migration", None),
    ("search", None),
    ("sidecar", None),
    ("library", None),
    ("notifications", None),
    ("backupDatabase", None),
    ("ocr", None),
    ("workflow", None),
    ("integrityCheck", None),
    ("editor", None),
];

/// Grouping faces into people is no queue of ours: it follows each face, and a pass over all of an owner's faces follows an import.
const RECOGNITION: &str = "facialRecognition";
/// Nor is looking for duplicates: it follows each embedding.
const DUPLICATES: &str = "duplicateDetection";

pub fn routes() -> Routes {
    Routes::new().get("/jobs", "getQueuesLegacy", Access::Admin("job.read"), get_queues_legacy).put(
        "/jobs/{name}",
        "runQueueCommandLegacy",
        Access::Admin("job.create"),
        run_queue_command_legacy,
    )
}

async fn get_queues_legacy(State(state): State<ApiState>, _: Auth) -> Result<Answer<Value>> {
    let mut answer = Map::new();
    for (name, ours) in QUEUES {
        answer.insert((*name).to_owned(), queue_json(&state, *ours).await?);
    }
    Ok(Answer(Value::Object(answer)))
}

async fn queue_json(state: &ApiState, queue: Option<&str>) -> Result<Value> {
    let counts = match queue {
        Some(queue) => state.gallery.queue().counts(&QueueName(queue.into())).await.map_err(GalleryError::from)?,
        None => queue::Counts::default(),
    };
    let (waiting, paused) = if counts.paused { (0, counts.waiting) } else { (counts.waiting, 0) };
    Ok(json!({
        "jobCounts": {
            "active": counts.active,
            "completed": 0,
            "failed": counts.failed,
            "delayed": counts.delayed,
            "waiting": waiting,
            "paused": paused,
        },
        "queueStatus": { "isActive": counts.active > 0, "isPaused": counts.paused },
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Command {
    Start,
    Pause,
    Resume,
    Empty,
    ClearFailed,
}

#[derive(Deserialize)]
struct QueueCommand {
    command: Command,
    #[serde(default)]
    force: bool,
}

async fn run_queue_command_legacy(
    State(state): State<ApiState>,
    _: Auth,
    Path(name): Path<String>,
    Json(body): Json<QueueCommand>,
) -> Result<Answer<Value>> {
    let (_, ours) = QUEUES
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| ApiError::field("name", format!("there is no queue {name:?}")))?;
    if name == RECOGNITION || name == DUPLICATES {
        return in_passing(&state, &name, &body).await;
    }
    let Some(ours) = ours else {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, format!("nothing here does the work of {name:?} yet")));
    };
    let queue = QueueName((*ours).to_owned());
    let queues = state.gallery.queue();
    match body.command {
        Command::Start => drop(state.jobs.backfill(&queue, body.force, None).await?),
        Command::Pause => state.gallery.pause_queue(&queue).await?,
        Command::Resume => state.gallery.resume_queue(&queue).await?,
        Command::Empty => queues.clear(&queue).await.map_err(GalleryError::from)?,
        Command::ClearFailed => queues.clear_dead(&queue).await.map_err(GalleryError::from)?,
    }
    Ok(Answer(queue_json(&state, Some(ours)).await?))
}

async fn in_passing(state: &ApiState, name: &str, body: &QueueCommand) -> Result<Answer<Value>> {
    if !matches!(body.command, Command::Start) {
        let why = format!("{name:?} has no queue: it can only be started");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, why));
    }
    let (gallery, reset, is_recognition) = (state.gallery.clone(), body.force, name == RECOGNITION);
    tokio::spawn(async move {
        if !is_recognition {
            return match gallery.search().find_all_duplicates().await {
                Ok(assets) => tracing::info!(assets, "Looked for duplicates of all assets"),
                Err(error) => tracing::error!(%error, "Cannot look for duplicates; start it again"),
            };
        }
        match gallery.people().recluster_all(reset).await {
            Ok(owners) => tracing::info!(owners, "Grouped all faces anew"),
            Err(error) => tracing::error!(%error, "Cannot group faces anew; start it again"),
        }
    });
    Ok(Answer(queue_json(state, None).await?))
}
