//! Pipelines, for administrators: /api/latent/pipelines.

use axum::Json as Answer;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::Value;
use types::{AssetId, RunId};

use crate::error::Result;
use crate::extract::{Auth, Id, Json};
use crate::routes::{Access, Routes};
use crate::{ApiState, AskedRun};

pub fn routes() -> Routes {
    Routes::new()
        .get("/latent/pipelines", "getPipelines", Access::Admin("job.read"), get_pipelines)
        .post("/latent/pipelines/reload", "reloadPipelines", Access::Admin("job.create"), reload_pipelines)
        .post("/latent/pipelines/{name}/run", "runPipeline", Access::Admin("job.create"), run_pipeline)
        .get("/latent/pipeline-runs/{id}", "getPipelineRun", Access::Admin("job.read"), get_pipeline_run)
}

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    counts: bool,
}

/// With `?counts=true` also how the results of each step stand, which takes a while in a large library.
async fn get_pipelines(State(state): State<ApiState>, _: Auth, Query(shown): Query<Shown>) -> Result<Answer<Value>> {
    Ok(Answer(state.jobs.overview(shown.counts).await?))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Run {
    #[serde(default)]
    steps: Vec<String>,
    #[serde(default)]
    force: bool,
    assets: Option<Vec<AssetId>>,
    #[serde(default)]
    dry_run: bool,
}

/// Runs it on all assets, or on some: where a result is missing or has failed, or (`force`) everywhere. With `dryRun` only
/// `{"total": …}`.
async fn run_pipeline(
    State(state): State<ApiState>,
    _: Auth,
    Path(pipeline): Path<String>,
    Json(body): Json<Run>,
) -> Result<Answer<Value>> {
    let Run { steps, force, assets, dry_run } = body;
    Ok(Answer(state.jobs.run(AskedRun { pipeline, steps, force, assets, dry_run }).await?))
}

async fn get_pipeline_run(State(state): State<ApiState>, _: Auth, Id(id): Id<RunId>) -> Result<Answer<Value>> {
    Ok(Answer(state.jobs.progress(id).await?))
}

async fn reload_pipelines(State(state): State<ApiState>, _: Auth) -> Result<Answer<Value>> {
    Ok(Answer(state.jobs.reload().await?))
}
