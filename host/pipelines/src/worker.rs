//! A worker: claims jobs and runs their pipelines, as many at once as it may.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use gallery::{Gallery, failpoint};
use media::{Limits, ThumbnailSpec};
use queue::Claimed;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::{Job, JobKind, QueueName};

use crate::Pipelines;
use crate::darkroom::Darkroom;
use crate::run::{Later, Request, Tools};

/// How long an idle worker waits before it looks again; a job of this process wakes it at once.
const IDLE: Duration = Duration::from_millis(250);
/// When Redis or the database is down.
const DOWN: Duration = Duration::from_secs(1);

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
}

/// Works until it is told to stop.
pub struct Worker {
    tools: Arc<Tools>,
    pipelines: Pipelines,
    queues: Vec<QueueName>,
    concurrency: usize,
    name: String,
    done: Notify,
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
            name: format!("worker-{}", types::JobId::generate()),
            done: Notify::new(),
        }))
    }

    /// Claims and works until `stop`; then finishes what it has.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(self.concurrency));
        let tasks = TaskTracker::new();
        while !stop.is_cancelled() {
            let Ok(permit) = permits.clone().acquire_owned().await else { break };
            match self.tools.gallery.queue().claim(&self.queues, &self.name).await {
                Ok(Some(claimed)) => {
                    failpoint::hit("ingest.claimed");
                    let worker = self.clone();
                    tasks.spawn(async move {
                        worker.work(claimed).await;
                        drop(permit);
                        worker.done.notify_one();
                    });
                }
                Ok(None) => self.wait(&stop, IDLE).await,
                Err(error) => {
                    tracing::warn!(%error, "Cannot claim work, trying again");
                    self.wait(&stop, DOWN).await;
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn wait(&self, stop: &CancellationToken, time: Duration) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.done.notified() => {}
            () = tokio::time::sleep(time) => {}
        }
    }

    async fn work(&self, claimed: Claimed) {
        let mut beat = tokio::time::interval(self.tools.gallery.queue().heartbeat_every());
        beat.tick().await;
        let run = self.run_job(&claimed);
        tokio::pin!(run);
        let result = loop {
            tokio::select! {
                result = &mut run => break result,
                _ = beat.tick() => {
                    if let Err(error) = self.tools.gallery.queue().heartbeat(&claimed, &self.name).await {
                        tracing::warn!(%error, "Cannot tell Redis that a job goes on");
                    }
                }
            }
        };
        self.end(&claimed, result).await;
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
