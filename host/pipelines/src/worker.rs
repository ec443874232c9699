//! A worker: claims jobs and runs their pipelines, as many at once as it may.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gallery::{Gallery, failpoint};
use media::{Limits, ThumbnailSpec};
use parking_lot::Mutex;
use queue::{Claimed, QueueError};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::{Job, JobKind, QueueName};

use crate::Pipelines;
use crate::darkroom::Darkroom;
use crate::run::{Later, Request, Tools};

/// How long an idle worker waits before it looks again by itself, for retries that are due and for what dead workers left. A job
/// that anybody pushes wakes it at once.
const IDLE: Duration = Duration::from_secs(1);
/// When Redis or the database is down.
const DOWN: Duration = Duration::from_secs(1);
/// When the storage or the database is away: its jobs are not to blame.
const POSTPONE: Duration = Duration::from_secs(5);
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
    /// How long work may go on after a stop before it is given back.
    pub grace: Duration,
}

/// Works until it is told to stop.
pub struct Worker {
    tools: Arc<Tools>,
    pipelines: Pipelines,
    /// Empty: all that there are.
    queues: Vec<QueueName>,
    concurrency: usize,
    grace: Duration,
    name: String,
    /// Jobs under way, by queue.
    in_hand: Mutex<HashMap<QueueName, usize>>,
    /// A job ended: its queue may have room again.
    ended: Notify,
    /// The grace is over.
    give_up: CancellationToken,
}

impl Worker {
    /// # Errors
    /// The system gives no more threads.
    pub fn new(gallery: Gallery, pipelines: Pipelines, config: WorkerConfig) -> io::Result<Arc<Self>> {
        let tools =
            Tools { gallery, spec: config.spec, limits: config.limits, darkroom: Darkroom::open(config.decoding)? };
        Ok(Arc::new(Self {
            tools: Arc::new(tools),
            pipelines,
            queues: config.queues,
            concurrency: config.concurrency.max(1),
            grace: config.grace,
            name: format!("worker-{}", types::JobId::generate()),
            in_hand: Mutex::default(),
            ended: Notify::new(),
            give_up: CancellationToken::new(),
        }))
    }

    /// Claims and works until `stop`; then finishes what it has, or gives it back when its grace is over.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(self.concurrency));
        let tasks = TaskTracker::new();
        let mut tidied = None;
        loop {
            let permit = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                permit = permits.clone().acquire_owned() => permit,
            };
            let Ok(permit) = permit else { break };
            // Not raced with the stop: a claim whose answer nobody reads would lie there until it is stale.
            match self.claim().await {
                Ok(Some(claimed)) => {
                    failpoint::hit("ingest.claimed");
                    let worker = self.clone();
                    let taken = Taken::of(&self, &claimed.job.queue);
                    tasks.spawn(async move {
                        worker.work(claimed).await;
                        drop(permit);
                        drop(taken);
                    });
                }
                Ok(None) => {
                    if tidied.is_none_or(|at: Instant| at.elapsed() > TIDY_EVERY) {
                        tidied = Some(Instant::now());
                        let _ = self.tools.gallery.queue().forget_the_gone(&self.pipelines.queues()).await;
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

    /// From the queues whose hours it is and that have room.
    async fn claim(&self) -> Result<Option<Claimed>, QueueError> {
        let (rules, now) = (self.pipelines.rules(), self.tools.gallery.now());
        let mut queues = if self.queues.is_empty() { self.pipelines.queues() } else { self.queues.clone() };
        {
            let in_hand = self.in_hand.lock();
            let has_room = |queue: &QueueName| rules.has_room(queue, in_hand.get(queue).copied().unwrap_or(0));
            queues.retain(|queue| rules.is_open(queue, now) && has_room(queue));
        }
        if queues.is_empty() {
            return Ok(None);
        }
        self.tools.gallery.queue().claim(&queues, &self.name).await
    }

    async fn wait(&self, stop: &CancellationToken, time: Duration) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.ended.notified() => {}
            () = self.tools.gallery.queue().pushed() => {}
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

    async fn run_job(&self, claimed: &Claimed) -> Result<(), Later> {
        let JobKind::Pipeline { pipeline, asset, steps, force } = &claimed.job.kind;
        let Some(definition) = self.pipelines.get(pipeline) else {
            tracing::warn!(pipeline, "A job names a pipeline that is not there any more");
            return Ok(());
        };
        let Job { queue, priority, attempt, .. } = &claimed.job;
        let (priority, attempt) = (*priority, *attempt);
        let pipeline = &*definition;
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

/// A job under way, counted for its queue until it is dropped.
struct Taken {
    worker: Arc<Worker>,
    queue: QueueName,
}

impl Taken {
    fn of(worker: &Arc<Worker>, queue: &QueueName) -> Self {
        *worker.in_hand.lock().entry(queue.clone()).or_default() += 1;
        Self { worker: worker.clone(), queue: queue.clone() }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(count) = self.worker.in_hand.lock().get_mut(&self.queue) {
            *count = count.saturating_sub(1);
        }
        self.worker.ended.notify_one();
    }
}
