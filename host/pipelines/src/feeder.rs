//! Feeds the queue: the outbox after each commit, and what is due according to the step results, for Redis may be emptied at any
//! moment.

use std::time::Duration;

use gallery::{Gallery, GalleryError, failpoint};
use media::ThumbnailSpec;
use store::steps::Wanted;
use tokio_util::sync::CancellationToken;
use types::{AssetId, Job, JobId, JobKind, Priority, QueueName};

use crate::recipe::recipe;
use crate::{Definition, Pipelines};

const OUTBOX_BATCH: i64 = 500;
/// Jobs that one round of the reconciler feeds at most.
const WINDOW: i64 = 10_000;
const OUTBOX_EVERY: Duration = Duration::from_secs(2);
const RECONCILE_EVERY: Duration = Duration::from_secs(300);
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Keeps the queue fed.
#[derive(Clone)]
pub struct Feeder {
    gallery: Gallery,
    pipelines: Pipelines,
    spec: ThumbnailSpec,
}

impl Feeder {
    pub fn new(gallery: Gallery, pipelines: Pipelines, spec: ThumbnailSpec) -> Self {
        Self { gallery, pipelines, spec }
    }

    /// Until `stop`. What fails is tried again: the truth is in the database.
    pub async fn run(&self, stop: CancellationToken) {
        let mut reconcile = tokio::time::interval(RECONCILE_EVERY);
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        let mut relay = tokio::time::interval(OUTBOX_EVERY);
        reconcile.tick().await;
        if let Err(error) = self.reconcile().await {
            tracing::warn!(%error, "Cannot reconcile yet");
        }
        loop {
            let result = tokio::select! {
                () = stop.cancelled() => return,
                () = self.gallery.outbox_filled() => self.relay().await,
                _ = relay.tick() => self.relay_and_watch().await,
                _ = reconcile.tick() => self.reconcile().await.map(drop),
                _ = sweep.tick() => self.gallery.sweep().await.map(drop),
            };
            if let Err(error) = result {
                tracing::warn!(%error, "Cannot feed the queue yet");
            }
        }
    }

    async fn relay_and_watch(&self) -> Result<(), GalleryError> {
        if self.gallery.queue().was_emptied().await? {
            tracing::info!("Redis is new or was emptied: feeding it from the database");
            self.gallery.restore_pauses(&self.queues()).await?;
            self.reconcile().await?;
        }
        self.relay().await
    }

    /// Hands the outbox to Redis. Pushed before deleted: a crash in between pushes twice, which is one job or does nothing twice.
    pub async fn relay(&self) -> Result<(), GalleryError> {
        loop {
            let outgoing = self.gallery.store().outbox(OUTBOX_BATCH).await?;
            if outgoing.is_empty() {
                return Ok(());
            }
            let jobs: Vec<Job> = outgoing
                .iter()
                .flat_map(|event| self.pipelines.on(&event.trigger).map(move |pipeline| (event, pipeline)))
                .map(|(event, pipeline)| job(pipeline, event.asset, &[], false, Priority::Interactive))
                .collect();
            self.gallery.queue().push(&jobs).await?;
            failpoint::hit("outbox.pushed");
            let ids: Vec<i64> = outgoing.iter().map(|event| event.id).collect();
            self.gallery.store().delete_outbox(&ids).await?;
        }
    }

    /// Compares step results with the pipelines and feeds what is due, newest first, within the window. Returns how many.
    pub async fn reconcile(&self) -> Result<usize, GalleryError> {
        let mut fed = 0;
        for pipeline in self.pipelines.iter() {
            let wanted = self.wanted(pipeline, None);
            let due = self.gallery.store().assets_due(&pipeline.name, &wanted, None, WINDOW).await?;
            let jobs: Vec<Job> =
                due.iter().map(|asset| job(pipeline, *asset, &[], false, Priority::Backfill)).collect();
            self.gallery.queue().push(&jobs).await?;
            fed += jobs.len();
        }
        Ok(fed)
    }

    /// Runs the steps of a queue again: on every asset (`force`), or where a result is missing or has failed.
    pub async fn backfill(&self, queue: &QueueName, force: bool) -> Result<usize, GalleryError> {
        let mut fed = 0;
        for pipeline in self.pipelines.iter() {
            let steps: Vec<String> =
                pipeline.steps.iter().filter(|step| step.queue == *queue).map(|step| step.id.clone()).collect();
            if steps.is_empty() {
                continue;
            }
            for step in &steps {
                self.gallery.store().forget_steps(&pipeline.name, step, !force).await?;
            }
            let wanted = self.wanted(pipeline, Some(&steps));
            let mut before = None;
            loop {
                let due = self.gallery.store().assets_due(&pipeline.name, &wanted, before, WINDOW).await?;
                let jobs: Vec<Job> = due
                    .iter()
                    .map(|asset| Job {
                        queue: queue.clone(),
                        ..job(pipeline, *asset, &steps, false, Priority::Backfill)
                    })
                    .collect();
                self.gallery.queue().push(&jobs).await?;
                fed += jobs.len();
                before = due.last().copied();
                if due.len() < WINDOW as usize {
                    break;
                }
            }
        }
        Ok(fed)
    }

    /// Each step that a new asset goes through, and `pending` or how it ended.
    pub async fn steps(&self, asset: AssetId) -> Result<Vec<(String, String)>, GalleryError> {
        let mut steps = Vec::new();
        for pipeline in self.pipelines.iter() {
            let results = self.gallery.store().step_results(asset, &pipeline.name).await?;
            for wanted in self.wanted(pipeline, None) {
                let ended = results.iter().find(|result| result.step == wanted.step && result.recipe == wanted.recipe);
                let status = ended.map_or("pending", |result| &result.status).to_owned();
                steps.push((format!("{}/{}", pipeline.name, wanted.step), status));
            }
        }
        Ok(steps)
    }

    /// The queues that somebody may watch.
    pub fn queues(&self) -> Vec<QueueName> {
        self.pipelines.queues()
    }

    /// Steps whose plugin is not installed are wanted by nobody.
    fn wanted(&self, pipeline: &Definition, only: Option<&[String]>) -> Vec<Wanted> {
        let plugins = self.gallery.plugins();
        pipeline
            .steps
            .iter()
            .filter(|step| only.is_none_or(|only| only.contains(&step.id)))
            .filter_map(|step| Some(Wanted { step: step.id.clone(), recipe: recipe(step, &self.spec, &plugins)? }))
            .collect()
    }
}

/// A job waits in the queue of its first step.
fn job(pipeline: &Definition, asset: AssetId, steps: &[String], force: bool, priority: Priority) -> Job {
    let kind = JobKind::Pipeline { pipeline: pipeline.name.clone(), asset, steps: steps.to_vec(), force };
    let queue = pipeline.steps.first().map_or_else(|| QueueName(pipeline.name.clone()), |step| step.queue.clone());
    Job { id: JobId::generate(), queue, priority, kind, attempt: 0 }
}
