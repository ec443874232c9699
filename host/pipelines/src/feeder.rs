//! Feeds the queue: the outbox after each commit, and what is open according to the database, for Redis may be emptied at any
//! moment. Keeps house beside that.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gallery::{Gallery, GalleryError, failpoint};
use media::ThumbnailSpec;
use store::steps::Wanted;
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use types::{AssetId, Job, JobId, JobKind, Priority, QueueName};

use crate::recipe::recipe;
use crate::{Definition, Pipelines, Step};

const OUTBOX_BATCH: i64 = 500;
/// Jobs of the reconciler that wait at most.
const WINDOW: u64 = 10_000;
const OUTBOX_EVERY: Duration = Duration::from_secs(2);
const RECONCILE_EVERY: Duration = Duration::from_secs(300);
/// While there is more than the window holds, or another node had the turn when something was to be done.
const RECONCILE_SOON: Duration = Duration::from_secs(15);
const KEEP_HOUSE_EVERY: Duration = Duration::from_secs(60);
/// An import is over when nobody's faces changed for so long.
const CALM: Duration = Duration::from_secs(300);
/// How long a comparison of the whole library is believed while no recipe changes.
const BELIEVED: i64 = 24 * 3_600;

/// Keeps the queue fed. Cheap to clone.
#[derive(Clone)]
pub struct Feeder {
    gallery: Gallery,
    pipelines: Pipelines,
    spec: ThumbnailSpec,
    state: Arc<State>,
}

/// What the clones share.
#[derive(Default)]
struct State {
    /// There is something for the reconciler.
    due: Notify,
    /// Redis was emptied, and has not been fed since.
    emptied: AtomicBool,
    /// By pipeline: the asset at which the last round ended, because its window was full.
    stopped_at: Mutex<HashMap<String, AssetId>>,
}

impl Feeder {
    pub fn new(gallery: Gallery, pipelines: Pipelines, spec: ThumbnailSpec) -> Self {
        Self { gallery, pipelines, spec, state: Arc::default() }
    }

    /// Until `stop`. What fails is tried again: the truth is in the database. Relay, reconciler and housekeeping do not wait for
    /// each other.
    pub async fn run(&self, stop: CancellationToken) {
        let work = async {
            tokio::join!(self.keep_relaying(), self.keep_reconciling(), self.keep_house(), self.keep_people())
        };
        tokio::select! {
            () = stop.cancelled() => {}
            _ = work => {}
        }
    }

    async fn keep_relaying(&self) {
        let mut tick = patient(OUTBOX_EVERY);
        loop {
            let result = tokio::select! {
                () = self.gallery.outbox_filled() => self.relay().await,
                _ = tick.tick() => self.relay_and_watch().await,
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
            // Stays set until a round has succeeded: the mark in Redis is there from now on.
            self.state.emptied.store(true, Ordering::Relaxed);
            self.state.due.notify_one();
        }
        self.relay().await
    }

    async fn keep_reconciling(&self) {
        loop {
            let wait = match self.reconcile().await {
                Ok(Reconciled { is_all: true, .. }) => RECONCILE_EVERY,
                Ok(_) => RECONCILE_SOON,
                Err(error) => {
                    tracing::warn!(%error, "Cannot reconcile yet");
                    RECONCILE_SOON
                }
            };
            tokio::select! {
                () = self.state.due.notified() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Garbage and old trash, by one node at a time.
    async fn keep_house(&self) {
        let mut tick = patient(KEEP_HOUSE_EVERY);
        loop {
            tick.tick().await;
            if let Err(error) = self.tidy().await {
                tracing::warn!(%error, "Cannot keep house yet");
            }
        }
    }

    async fn tidy(&self) -> Result<(), GalleryError> {
        let Some(_turn) = self.gallery.store().turn("housekeeping").await? else { return Ok(()) };
        self.gallery.sweep().await?;
        self.gallery.empty_old_trash().await?;
        Ok(())
    }

    /// The deferred pass over people's faces, which may take minutes; by one node at a time.
    async fn keep_people(&self) {
        let mut tick = patient(KEEP_HOUSE_EVERY);
        loop {
            tick.tick().await;
            if let Err(error) = self.recluster().await {
                tracing::warn!(%error, "Cannot look at people's faces again yet");
            }
        }
    }

    async fn recluster(&self) -> Result<(), GalleryError> {
        let Some(_turn) = self.gallery.store().turn("people").await? else { return Ok(()) };
        self.gallery.people().recluster_stale(CALM).await?;
        Ok(())
    }

    /// Hands the outbox to Redis. Pushed before deleted: a crash in between pushes twice, which is one job or does nothing twice.
    pub async fn relay(&self) -> Result<(), GalleryError> {
        let store = self.gallery.store();
        loop {
            let outgoing = store.outbox(OUTBOX_BATCH).await?;
            if outgoing.is_empty() {
                return Ok(());
            }
            for pipeline in self.pipelines.iter() {
                let concerned = outgoing.iter().filter(|event| event.trigger == pipeline.on);
                let assets: Vec<(AssetId, bool)> = concerned.map(|event| (event.asset, event.is_new)).collect();
                if assets.is_empty() {
                    continue;
                }
                store.open_assets(&pipeline.name, &assets).await?;
                failpoint::hit("outbox.opened");
                let job = |(asset, _): &(AssetId, bool)| job(pipeline, first(pipeline), *asset, Priority::Interactive);
                self.gallery.queue().push(&assets.iter().map(job).collect::<Vec<Job>>()).await?;
            }
            failpoint::hit("outbox.pushed");
            let ids: Vec<i64> = outgoing.iter().map(|event| event.id).collect();
            store.delete_outbox(&ids).await?;
        }
    }

    /// Feeds what is open, newest first, as far as the window has room; the next round goes on from there. Where a recipe has
    /// changed, the whole library is compared with it before.
    pub async fn reconcile(&self) -> Result<Reconciled, GalleryError> {
        let Some(_turn) = self.gallery.store().turn("reconciler").await? else { return Ok(Reconciled::default()) };
        let is_refeed = self.state.emptied.load(Ordering::Relaxed);
        if is_refeed {
            self.stopped_at().clear();
        }
        let mut reconciled = Reconciled { fed: 0, is_all: true };
        for pipeline in self.pipelines.iter() {
            let wanted = self.wanted(pipeline);
            self.compare(pipeline, &wanted).await?;
            let (fed, is_all) = self.feed(pipeline, &wanted).await?;
            reconciled.fed += fed;
            reconciled.is_all &= is_all;
        }
        if is_refeed {
            self.state.emptied.store(false, Ordering::Relaxed);
        }
        Ok(reconciled)
    }

    async fn compare(&self, pipeline: &Definition, wanted: &[Wanted]) -> Result<(), GalleryError> {
        let store = self.gallery.store();
        let key = format!("pipeline.{}.compared", pipeline.name);
        let mut hasher = DefaultHasher::new();
        wanted.hash(&mut hasher);
        let recipes = format!("{:016x}", hasher.finish());
        let now = seconds_since_1970();
        let known = store.fact(&key).await?.unwrap_or_default();
        if known["recipes"] == *recipes && known["at"].as_i64().is_some_and(|at| now - at < BELIEVED) {
            return Ok(());
        }
        let opened = store.open_due(&pipeline.name, wanted).await?;
        tracing::info!(pipeline = pipeline.name, opened, "Compared every asset with the recipes");
        Ok(store.set_fact(&key, &serde_json::json!({ "recipes": recipes, "at": now })).await?)
    }

    /// How many were fed, and whether that was all.
    async fn feed(&self, pipeline: &Definition, wanted: &[Wanted]) -> Result<(usize, bool), GalleryError> {
        let mut waiting: HashMap<QueueName, u64> = HashMap::new();
        let mut room = WINDOW;
        for queue in self.pipelines.queues() {
            let counts = self.gallery.queue().counts(&queue).await?;
            // What a paused queue holds is not in the way of the others.
            if !counts.paused {
                room = room.saturating_sub(counts.waiting + counts.delayed);
            }
            waiting.insert(queue, counts.waiting + counts.delayed);
        }
        let before = self.stopped_at().get(&pipeline.name).copied();
        let store = self.gallery.store();
        let due = store.assets_due(&pipeline.name, wanted, before, i64::try_from(room).unwrap_or(i64::MAX)).await?;
        let mut jobs = Vec::new();
        for (asset, steps, round) in &due {
            if steps.is_empty() {
                store.close_asset(*asset, &pipeline.name, wanted, *round).await?;
            }
            for queue in ready(pipeline, steps) {
                let of_queue = waiting.entry(queue.clone()).or_default();
                if *of_queue < WINDOW {
                    *of_queue += 1;
                    jobs.push(job(pipeline, queue.clone(), *asset, Priority::Backfill));
                }
            }
        }
        self.gallery.queue().push(&jobs).await?;
        let is_full = due.len() as u64 >= room;
        match due.last().filter(|_| is_full) {
            Some((last, ..)) => drop(self.stopped_at().insert(pipeline.name.clone(), *last)),
            None if is_full => {}
            None => drop(self.stopped_at().remove(&pipeline.name)),
        }
        // A round that began in the middle has not seen the newest.
        Ok((jobs.len(), !is_full && before.is_none()))
    }

    fn stopped_at(&self) -> std::sync::MutexGuard<'_, HashMap<String, AssetId>> {
        self.state.stopped_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the steps of a queue again: on every asset (`force`), or where a result is missing or has failed. Only says so: the
    /// reconciler feeds them within its window. Returns how many results were forgotten.
    pub async fn backfill(&self, queue: &QueueName, force: bool) -> Result<usize, GalleryError> {
        let mut forgotten = 0;
        for pipeline in self.pipelines.iter() {
            let steps: Vec<String> =
                pipeline.steps.iter().filter(|step| step.queue == *queue).map(|step| step.id.clone()).collect();
            if !steps.is_empty() {
                forgotten += self.gallery.store().forget_steps(&pipeline.name, &steps, !force).await?;
            }
        }
        self.state.due.notify_one();
        Ok(usize::try_from(forgotten).unwrap_or(usize::MAX))
    }

    /// Each step that a new asset goes through, and `pending` or how it ended.
    pub async fn steps(&self, asset: AssetId) -> Result<Vec<(String, String)>, GalleryError> {
        let mut steps = Vec::new();
        for pipeline in self.pipelines.iter() {
            let results = self.gallery.store().progress(asset, &pipeline.name).await?.results;
            for wanted in self.wanted(pipeline) {
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
    fn wanted(&self, pipeline: &Definition) -> Vec<Wanted> {
        let plugins = self.gallery.plugins();
        pipeline
            .steps
            .iter()
            .filter_map(|step| Some(Wanted { step: step.id.clone(), recipe: recipe(step, &self.spec, &plugins)? }))
            .collect()
    }
}

/// What a round of the reconciler did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    pub fed: usize,
    /// Nothing that is open is left for the next round.
    pub is_all: bool,
}

/// Ticks that were missed are not caught up with.
fn patient(every: Duration) -> Interval {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

fn seconds_since_1970() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A job waits in the queue of the step that it begins with; `None`: the first.
/// The queues of the steps that are due and wait for none that is: one that is paused is not in the way of another.
fn ready<'a>(pipeline: &'a Definition, due: &[String]) -> Vec<&'a QueueName> {
    let is_ready = |step: &&Step| due.contains(&step.id) && !step.after.iter().any(|after| due.contains(after));
    let mut queues: Vec<&QueueName> = pipeline.steps.iter().filter(is_ready).map(|step| &step.queue).collect();
    queues.dedup();
    queues
}

/// In the queue of the step that comes first, where nothing has been done yet.
fn first(pipeline: &Definition) -> QueueName {
    pipeline.steps.first().map_or_else(|| QueueName(pipeline.name.clone()), |step| step.queue.clone())
}

fn job(pipeline: &Definition, queue: QueueName, asset: AssetId, priority: Priority) -> Job {
    let kind = JobKind::Pipeline { pipeline: pipeline.name.clone(), asset, steps: Vec::new(), force: false };
    Job { id: JobId::generate(), queue, priority, kind, attempt: 0 }
}
