//! Runs over many assets: started by hand, by a schedule or by the job commands, done within the reconciler's window behind what
//! somebody waits for. They are in the database, so that neither a restart nor an empty Redis ends one.

use gallery::GalleryError;
use jiff::Timestamp;
use store::runs::{NewRun, Run};
use store::steps::Wanted;
use types::{AssetId, Job, Priority, QueueName, RunId};

use crate::definition::Definition;
use crate::feeder::{Feeder, first, job};
use crate::suggest;
use crate::trigger::Trigger;

/// A sample of the pace is good for this long.
const SAMPLE: i64 = 60;
/// Assets of a run by name that somebody waits for.
const WAITED_FOR: usize = 1_000;
/// Runs that are shown.
const SHOWN: i64 = 20;

/// What somebody wants to run.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    pub pipeline: String,
    /// `manual`, `schedule` or `queue`; empty: `manual`.
    pub cause: &'static str,
    /// Empty: all.
    pub steps: Vec<String>,
    /// Also where there is a result already; otherwise where one is missing or has failed.
    pub force: bool,
    /// `None`: all.
    pub assets: Option<Vec<AssetId>>,
}

/// How far a run is.
#[derive(Debug, Clone)]
pub struct Progress {
    pub run: Run,
    /// Assets that are still due.
    pub left: i64,
    /// Steps that failed since it began.
    pub failed: i64,
    /// Assets a second, of late.
    pub per_second: Option<f64>,
}

impl Progress {
    pub fn done(&self) -> i64 {
        (self.run.total - self.left).max(0)
    }

    /// Until it is done, at this pace.
    pub fn seconds_left(&self) -> Option<i64> {
        let pace = self.per_second.filter(|pace| *pace > 0.0 && self.left > 0)?;
        Some((self.left as f64 / pace).ceil() as i64)
    }
}

impl Feeder {
    /// Begins a run. Its work is fed by the reconciler, behind what somebody waits for; a few assets by name are not kept
    /// waiting.
    ///
    /// # Errors
    /// There is no such pipeline or step, or nothing of it can be run.
    pub async fn start(&self, request: &RunRequest) -> Result<Progress, GalleryError> {
        let (definition, wanted) = self.planned(request)?;
        let run = self.store().start_run(&new_run(request, &wanted)).await?;
        tracing::info!(
            run.id = %run.id, pipeline = run.pipeline, cause = run.cause, assets = run.total, force = run.force, "A run begins"
        );
        if let Some(assets) = request.assets.as_ref().filter(|assets| assets.len() <= WAITED_FOR) {
            let queue = first(&definition);
            let job = |asset: &AssetId| job(&definition, queue.clone(), *asset, Priority::Interactive);
            self.queue().push(&assets.iter().map(job).collect::<Vec<Job>>()).await?;
        }
        self.hurry();
        let left = run.total;
        Ok(Progress { run, left, failed: 0, per_second: None })
    }

    /// For how many assets such a run would do something; it is not begun.
    ///
    /// # Errors
    /// Those of [`Feeder::start`].
    pub async fn count(&self, request: &RunRequest) -> Result<i64, GalleryError> {
        let (_, wanted) = self.planned(request)?;
        Ok(self.store().count_due(&new_run(request, &wanted)).await?)
    }

    fn planned(&self, request: &RunRequest) -> Result<(std::sync::Arc<Definition>, Vec<Wanted>), GalleryError> {
        let definition = self.pipelines().named(&request.pipeline).map_err(GalleryError::NotFound)?;
        if let Trigger::Deleted = definition.on {
            let why =
                format!("the pipeline {:?} is about assets that are gone: it cannot be run again", definition.name);
            return Err(GalleryError::Invalid(why));
        }
        for step in &request.steps {
            if definition.step(step).is_none() {
                let hint = suggest::hint(step, definition.steps.iter().map(|step| &*step.id));
                let why = format!("the pipeline {:?} has no step {step:?}{hint}", definition.name);
                return Err(GalleryError::Invalid(why));
            }
        }
        let mut wanted = self.wanted(&definition);
        wanted.retain(|wanted| request.steps.is_empty() || request.steps.contains(&wanted.step));
        Ok((definition, wanted))
    }

    /// Runs the steps of a queue again, in every pipeline that all assets are kept up to date with: on every asset (`force`), or
    /// where a result is missing or has failed. `only`: on none but these. Returns on how many assets.
    pub async fn backfill(
        &self,
        queue: &QueueName,
        force: bool,
        only: Option<&[AssetId]>,
    ) -> Result<i64, GalleryError> {
        let mut assets = 0;
        for pipeline in self.pipelines().all() {
            let steps: Vec<String> =
                pipeline.steps.iter().filter(|step| step.queue == *queue).map(|step| step.id.clone()).collect();
            if !steps.is_empty() && matches!(pipeline.on, Trigger::Created) {
                let (pipeline, only) = (pipeline.name.clone(), only.map(<[_]>::to_vec));
                let request = RunRequest { pipeline, cause: "queue", steps, force, assets: only };
                assets += self.start(&request).await?.run.total;
            }
        }
        self.hurry();
        Ok(assets)
    }

    /// How far the newest runs are, the newest first.
    pub async fn runs(&self) -> Result<Vec<Progress>, GalleryError> {
        let mut found = Vec::new();
        for run in self.store().runs(SHOWN).await? {
            found.push(self.progress_of(run).await?);
        }
        Ok(found)
    }

    /// # Errors
    /// There is no such run.
    pub async fn progress(&self, id: RunId) -> Result<Progress, GalleryError> {
        let run = self.store().run(id).await?;
        let run = run.ok_or_else(|| GalleryError::NotFound(format!("there is no run {id}")))?;
        self.progress_of(run).await
    }

    /// Whoever sees that nothing is left ends it.
    async fn progress_of(&self, mut run: Run) -> Result<Progress, GalleryError> {
        let now = self.now();
        let wanted = self.wanted_by(&run);
        let (left, failed) = self.store().run_left(&run, &wanted).await?;
        if run.ended_at.is_none() && left == 0 {
            self.store().end_run(run.id).await?;
            run.ended_at = Some(now);
        }
        if run.ended_at.is_some() {
            return Ok(Progress { left: 0, failed, per_second: None, run });
        }
        let (since, then_left) = run.sample.unwrap_or((run.started_at, run.total));
        let seconds = now.duration_since(since).as_secs_f64();
        let per_second = (seconds > 1.0).then(|| (then_left - left).max(0) as f64 / seconds);
        Ok(Progress { run, left, failed, per_second })
    }

    /// Ends the runs of which nothing is left, and notes how far the others are. By whoever has the reconciler's turn. Returns
    /// how many go on.
    pub(crate) async fn look_after_runs(&self) -> Result<usize, GalleryError> {
        let (now, mut active) = (self.now(), 0);
        for run in self.store().active_runs().await? {
            let wanted = self.wanted_by(&run);
            if !self.store().is_run_open(run.id, &wanted).await? {
                tracing::info!(run.id = %run.id, pipeline = run.pipeline, "A run is done");
                self.store().end_run(run.id).await?;
                continue;
            }
            active += 1;
            if run.sample.is_none_or(|(at, _)| is_old(at, now)) {
                let (left, _) = self.store().run_left(&run, &wanted).await?;
                self.store().sample_run(run.id, now, left).await?;
            }
        }
        Ok(active)
    }

    /// What a run is about, with the recipes of now. A pipeline or a step that is not there any more has nothing to do.
    fn wanted_by(&self, run: &Run) -> Vec<Wanted> {
        let Some(pipeline) = self.pipelines().get(&run.pipeline) else { return Vec::new() };
        let mut wanted = self.wanted(&pipeline);
        wanted.retain(|wanted| run.steps.contains(&wanted.step));
        wanted
    }
}

fn is_old(at: Timestamp, now: Timestamp) -> bool {
    now.as_second() - at.as_second() >= SAMPLE
}

fn new_run<'a>(request: &'a RunRequest, wanted: &'a [Wanted]) -> NewRun<'a> {
    NewRun {
        pipeline: &request.pipeline,
        cause: if request.cause.is_empty() { "manual" } else { request.cause },
        wanted,
        force: request.force,
        assets: request.assets.as_deref(),
    }
}
