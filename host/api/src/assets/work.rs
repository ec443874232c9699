//! What is done to assets beside changing them: their steps run again, and what is known of one given to another.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use store::copies::Copied;
use types::{AssetId, QueueName};

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Json};

/// Assets whose steps run again by one request.
const MOST: usize = 10_000;

/// AssetJobName.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Name {
    RefreshFaces,
    RefreshMetadata,
    RegenerateThumbnail,
    TranscodeVideo,
}

impl Name {
    fn queue(self) -> &'static str {
        match self {
            Self::RefreshFaces => "faces",
            Self::RefreshMetadata => "metadata",
            Self::RegenerateThumbnail => "thumbnails",
            Self::TranscodeVideo => "video-conversion",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetJobs {
    asset_ids: Vec<AssetId>,
    name: Name,
}

pub async fn run_asset_jobs(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<AssetJobs>,
) -> Result<StatusCode> {
    if body.asset_ids.len() > MOST {
        return Err(ApiError::field("assetIds", format!("at most {MOST} at once")));
    }
    state.gallery.check_owned(auth.user(), &body.asset_ids, "asset.update").await?;
    let queue = QueueName(body.name.queue().to_owned());
    state.jobs.backfill(&queue, true, Some(&body.asset_ids)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Copy {
    source_id: AssetId,
    target_id: AssetId,
    #[serde(default = "yes")]
    albums: bool,
    #[serde(default = "yes")]
    shared_links: bool,
    #[serde(default = "yes")]
    favorite: bool,
    #[serde(default = "yes")]
    stack: bool,
    #[serde(default = "yes")]
    sidecar: bool,
}

pub async fn copy_asset(State(state): State<ApiState>, auth: Auth, Json(body): Json<Copy>) -> Result<StatusCode> {
    let Copy { source_id, target_id, albums, shared_links, favorite, stack, sidecar } = body;
    let what = Copied { albums, shared_links, favorite, stack, sidecar };
    state.gallery.copy_asset(auth.user(), source_id, target_id, what).await?;
    Ok(StatusCode::NO_CONTENT)
}
