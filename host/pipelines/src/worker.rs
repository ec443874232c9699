//! A worker: claims jobs and runs their pipelines, as many at once as it may.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gallery::{Gallery, Looker, failpoint};
use media::{Limits, ThumbnailSpec};
use queue::Claimed;
use store::steps::StepResult;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::{Job, JobKind, QueueName};

use crate::Pipelines;
use crate::darkroom::Darkroom;
use crate::definition::{Step, Use};
use crate::recipe::recipe;
use crate::run::{Later, Request, Tools};

/// How long an idle worker waits before it looks again by itself, for retries that are due and for what dead workers left. A job
/// that anybody pushes wakes it at once.
const IDLE: Duration = Duration::from_secs(1);
/// When Redis or the database is down.
const DOWN: Duration = Duration::from_secs(1);
/// When the storage or the database is away: its jobs are not to blame.
const POSTPONE: Duration = Duration::from_secs(5);
/// A job that so many workers did not survive is not given to another.
const MOST_DELIVERIES: u64 = 4;
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Empty: all queues.
    pub queues: Vec<QueueName>,
    /// Assets at once.
    pub concurrency: usize,
    /// Images in memory at once.
    pub decoding: usize,
    pub spec: ThumbnailSpec,
    pub limits: Limits,
    /// Transcodes at once, beside the other assets: each may take hours.
    pub transcodes: usize,
    /// How long work may go on after a stop before it is given back.
    pub grace: Duration,
}

/// Works until it is told to stop.
pub struct Worker {
    tools: Arc<Tools>,
    pipelines: Pipelines,
    queues: Vec<QueueName>,
    concurrency: usize,
    transcodes: usize,
    grace: Duration,
    name: String,
    /// The grace is over.
    give_up: CancellationToken,
}

impl Worker {
    /// # Errors
    /// The system gives no more threads.
    pub fn new(gallery: Gallery, pipelines: Pipelines, config: WorkerConfig) -> io::Result<Arc<Self>> {
        let queues = if config.queues.is_empty() { pipelines.queues() } else { config.queues };
        let tools =
            Tools { gallery, spec: config.spec, limits: config.limits, darkroom: Darkroom::open(config.decoding)? };
        Ok(Arc::new(Self {
            tools: Arc::new(tools),
            pipelines,
            queues,
            concurrency: config.concurrency.max(1),
            transcodes: config.transcodes.max(1),
            grace: config.grace,
            name: format!("worker-{}", types::JobId::generate()),
            give_up: CancellationToken::new(),
        }))
    }

    /// Claims and works until `stop`; then finishes what it has, or gives it back when its grace is over.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(self.concurrency));
        let turns = Arc::new(Semaphore::new(self.transcodes));
        let tasks = TaskTracker::new();
        let mut tidied = None;
        loop {
            let permit = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                permit = permits.clone().acquire_owned() => permit,
            };
            let Ok(permit) = permit else { break };
            // While as many videos as may be are transcoded, the queue of transcodes is left alone: its jobs would only stand here.
            let turn = turns.clone().try_acquire_owned().ok();
            let slow = self.slow();
            let claims = |queue: &&QueueName| turn.is_some() || !slow.contains(queue);
            let queues: Vec<QueueName> = self.queues.iter().filter(claims).cloned().collect();
            // Not raced with the stop: a claim whose answer nobody reads would lie there until it is stale.
            match self.tools.gallery.queue().claim(&queues, &self.name).await {
                Ok(Some(claimed)) => {
                    failpoint::hit("ingest.claimed");
                    let worker = self.clone();
                    // A transcode takes hours: it has a turn of its own, and stands in the way of nothing else.
                    let held = match turn.filter(|_| slow.contains(&claimed.job.queue)) {
                        Some(turn) => turn,
                        None => permit,
                    };
                    tasks.spawn(async move {
                        worker.work(claimed).await;
                        drop(held);
                    });
                }
                Ok(None) => {
                    if tidied.is_none_or(|at: Instant| at.elapsed() > TIDY_EVERY) {
                        tidied = Some(Instant::now());
                        let _ = self.tools.gallery.queue().forget_the_gone(&self.queues).await;
                    }
                    self.wait(&stop, IDLE).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "Cannot claim work, trying again");
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(DOWN) => {}
                    }
                }
            }
        }
        tasks.close();
        if tokio::time::timeout(self.grace, tasks.wait()).await.is_err() {
            tracing::warn!(jobs = tasks.len(), grace = ?self.grace, "Jobs did not end in time, giving them back");
            self.give_up.cancel();
            tasks.wait().await;
        }
    }

    /// The queues in which videos are transcoded.
    fn slow(&self) -> Vec<QueueName> {
        let plugins = self.tools.gallery.plugins();
        let is_slow = |step: &&Step| {
            let Use::Plugin(name) = &step.uses else { return false };
            matches!(plugins.named(name), Some(Looker::Transcoder(_)))
        };
        let steps = self.pipelines.iter().flat_map(|pipeline| &pipeline.steps);
        steps.filter(is_slow).map(|step| step.queue.clone()).collect()
    }

    async fn wait(&self, stop: &CancellationToken, time: Duration) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.tools.gallery.queue().pushed() => {}
            () = tokio::time::sleep(time) => {}
        }
    }

    async fn work(&self, claimed: Claimed) {
        if claimed.deliveries > MOST_DELIVERIES {
            return self.condemn(&claimed).await;
        }
        let mut beat = tokio::time::interval(self.tools.gallery.queue().heartbeat_every());
        beat.tick().await;
        let run = self.run_job(&claimed);
        tokio::pin!(run);
        let result = loop {
            tokio::select! {
                result = &mut run => break result,
                () = self.give_up.cancelled() => {
                    if let Err(error) = self.tools.gallery.queue().give_back(&claimed).await {
                        tracing::warn!(%error, "Cannot give a job back; it is taken over when it is stale");
                    }
                    return;
                }
                _ = beat.tick() => {
                    if let Err(error) = self.tools.gallery.queue().heartbeat(&claimed, &self.name).await {
                        tracing::warn!(%error, "Cannot tell Redis that a job goes on");
                    }
                }
            }
        };
        self.end(&claimed, result).await;
    }

    /// A job that kills whoever has it: its steps have failed, so that nobody feeds it again.
    async fn condemn(&self, claimed: &Claimed) {
        let JobKind::Pipeline { pipeline, asset, .. } = &claimed.job.kind;
        let why = format!("{} workers ended while they did this", claimed.deliveries - 1);
        tracing::error!(asset.id = %asset, queue = %claimed.job.queue, why, "A job is given up");
        let store = self.tools.gallery.store();
        let plugins = self.tools.gallery.plugins();
        let steps = self.pipelines.get(pipeline).into_iter().flat_map(|pipeline| &pipeline.steps);
        let results = store.progress(*asset, pipeline).await.unwrap_or_default().results;
        for step in steps.filter(|step| step.queue == claimed.job.queue) {
            let Some(recipe) = recipe(step, &self.tools.spec, &plugins) else { continue };
            if results.iter().any(|result| result.step == step.id && result.recipe == recipe) {
                continue;
            }
            let failed = StepResult { step: step.id.clone(), recipe, status: "failed".into() };
            if let Err(error) = store.save_step(*asset, pipeline, &failed, Some(&why)).await {
                tracing::warn!(%error, "Cannot note that a step was given up");
            }
        }
        if let Err(error) = self.tools.gallery.queue().bury(claimed).await {
            tracing::warn!(%error, "Cannot bury a job");
        }
    }

    async fn run_job(&self, claimed: &Claimed) -> Result<(), Later> {
        let JobKind::Pipeline { pipeline, asset, steps, force } = &claimed.job.kind;
        let Some(pipeline) = self.pipelines.get(pipeline) else {
            tracing::warn!(pipeline, "A job names a pipeline that is not there any more");
            return Ok(());
        };
        let Job { queue, priority, attempt, .. } = &claimed.job;
        let (priority, attempt) = (*priority, *attempt);
        self.tools.run(&Request { pipeline, asset: *asset, steps, force: *force, queue, priority, attempt }).await
    }

    async fn end(&self, claimed: &Claimed, result: Result<(), Later>) {
        let queue = self.tools.gallery.queue();
        let ended = match result {
            Ok(()) => queue.acknowledge(claimed).await,
            Err(later) if let Err(why) = self.tools.gallery.ready().await => {
                tracing::warn!(step = later.step, error = later.error, why, "A step cannot be done now");
                queue.postpone(claimed, POSTPONE).await
            }
            Err(later) if claimed.job.attempt < later.retry.attempts => {
                let delay = later.retry.backoff * 2_u32.pow(claimed.job.attempt.saturating_sub(1).min(10));
                tracing::warn!(step = later.step, error = later.error, ?delay, "A step failed, trying again later");
                queue.retry(claimed, delay).await
            }
            Err(later) => {
                tracing::error!(
                    step = later.step,
                    error = later.error,
                    "A step failed too often; the reconciler will try again"
                );
                queue.bury(claimed).await
            }
        };
        if let Err(error) = ended {
            // The claim goes stale and somebody takes it over; doing it twice does no harm.
            tracing::warn!(%error, "Cannot tell Redis how a job ended");
        }
    }
}
