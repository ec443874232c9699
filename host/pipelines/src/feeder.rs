//! Feeds the queue: the outbox after each commit, and what is open according to the database, for Redis may be emptied at any
//! moment. Keeps house beside that.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gallery::{Gallery, GalleryError, failpoint};
use jiff::Timestamp;
use media::ThumbnailSpec;
use queue::Queue;
use store::Store;
use store::steps::{StepResult, Wanted};
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use types::{AssetId, Job, JobId, JobKind, Priority, QueueName, RunId};

use crate::recipe::recipe;
use crate::trigger::Trigger;
use crate::{Definition, DefinitionError, Pipelines, Step};

const OUTBOX_BATCH: i64 = 500;
/// Jobs of the reconciler that wait at most.
const WINDOW: u64 = 10_000;
const OUTBOX_EVERY: Duration = Duration::from_secs(2);
const RECONCILE_EVERY: Duration = Duration::from_secs(300);
/// While there is more than the window holds, or another node had the turn when something was to be done.
const RECONCILE_SOON: Duration = Duration::from_secs(15);
/// How often the folder of the pipelines is looked at.
const LOOK: Duration = Duration::from_secs(2);
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
    /// The newest run that this process knows: another may have begun one.
    newest_run: Mutex<Option<RunId>>,
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
            tokio::join!(
                self.keep_relaying(),
                self.keep_reconciling(),
                self.keep_schedules(),
                self.keep_reading(),
                self.keep_house(),
                self.keep_people()
            )
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
        let newest = self.store().newest_run().await?;
        if std::mem::replace(&mut *self.state.newest_run.lock().unwrap_or_else(PoisonError::into_inner), newest)
            != newest
            && newest.is_some()
        {
            self.hurry();
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

    /// Garbage, old trash and the memories of the day, by one node at a time.
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
        self.gallery.keep_memories().await?;
        self.gallery.remove_accounts().await?;
        self.gallery.forget_old_notifications().await?;
        self.store().delete_expired_sessions(self.gallery.now()).await?;
        let names: Vec<String> = self.pipelines.all().iter().map(|pipeline| pipeline.name.clone()).collect();
        self.store().forget_deleted_of_others(&names).await?;
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
        let store = self.store();
        loop {
            let outgoing = store.outbox(OUTBOX_BATCH).await?;
            if outgoing.is_empty() {
                break;
            }
            for pipeline in self.pipelines.all() {
                let concerned = outgoing.iter().filter(|event| event.trigger == pipeline.on.name());
                let mut assets: Vec<(AssetId, bool)> = concerned.map(|event| (event.asset, event.is_new)).collect();
                if assets.is_empty() {
                    continue;
                }
                if let Trigger::Created = pipeline.on {
                    store.open_assets(&pipeline.name, &assets).await?;
                } else {
                    assets.sort();
                    assets.dedup_by_key(|(asset, _)| *asset);
                    let ids: Vec<AssetId> = assets.iter().map(|(asset, _)| *asset).collect();
                    store.reopen_assets(&pipeline.name, &ids).await?;
                }
                failpoint::hit("outbox.opened");
                let job =
                    |(asset, _): &(AssetId, bool)| job(&pipeline, first(&pipeline), *asset, Priority::Interactive);
                self.queue().push(&assets.iter().map(job).collect::<Vec<Job>>()).await?;
            }
            failpoint::hit("outbox.pushed");
            let ids: Vec<i64> = outgoing.iter().map(|event| event.id).collect();
            store.delete_outbox(&ids).await?;
        }
        self.relay_deleted().await
    }

    /// The same for assets that are gone.
    async fn relay_deleted(&self) -> Result<(), GalleryError> {
        let store = self.store();
        loop {
            let outgoing = store.deleted_outbox(OUTBOX_BATCH).await?;
            if outgoing.is_empty() {
                return Ok(());
            }
            let events: Vec<i64> = outgoing.iter().map(|(event, _)| *event).collect();
            let mut pipelines = self.pipelines.all();
            pipelines.retain(|pipeline| matches!(pipeline.on, Trigger::Deleted));
            if !pipelines.is_empty() {
                let names: Vec<String> = pipelines.iter().map(|pipeline| pipeline.name.clone()).collect();
                store.open_deleted(&events, &names).await?;
            }
            for pipeline in &pipelines {
                let job = |(_, asset): &(i64, AssetId)| job(pipeline, first(pipeline), *asset, Priority::Interactive);
                self.queue().push(&outgoing.iter().map(job).collect::<Vec<Job>>()).await?;
            }
            store.delete_deleted_outbox(&events).await?;
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
        for pipeline in self.pipelines.all() {
            let wanted = self.wanted(&pipeline);
            // What an event or a run starts is done for those assets, and not kept up to date by itself.
            if let Trigger::Created = pipeline.on {
                self.compare(&pipeline, &wanted).await?;
            }
            let (fed, is_all) = match pipeline.on {
                Trigger::Deleted => self.feed_deleted(&pipeline).await?,
                _ => self.feed(&pipeline, &wanted).await?,
            };
            reconciled.fed += fed;
            reconciled.is_all &= is_all;
        }
        // How far a run is, is looked at while it goes on.
        reconciled.is_all &= self.look_after_runs().await? == 0;
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
        let now = self.now().as_second();
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
        let (mut waiting, room) = self.room().await?;
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

    async fn feed_deleted(&self, pipeline: &Definition) -> Result<(usize, bool), GalleryError> {
        let (_, room) = self.room().await?;
        let limit = i64::try_from(room).unwrap_or(i64::MAX);
        let due = self.store().deleted_due(&pipeline.name, limit).await?;
        let job = |asset: &AssetId| job(pipeline, first(pipeline), *asset, Priority::Backfill);
        self.queue().push(&due.iter().map(job).collect::<Vec<Job>>()).await?;
        Ok((due.len(), (due.len() as u64) < room))
    }

    /// How many jobs wait in each queue, and how many more may.
    async fn room(&self) -> Result<(HashMap<QueueName, u64>, u64), GalleryError> {
        let (mut waiting, mut room) = (HashMap::new(), WINDOW);
        for queue in self.pipelines.queues() {
            let counts = self.queue().counts(&queue).await?;
            // What a queue holds that is paused, or whose hours it is not, is not in the way of the others.
            if !counts.paused && self.pipelines.rules().is_open(&queue, self.now()) {
                room = room.saturating_sub(counts.waiting + counts.delayed);
            }
            waiting.insert(queue, counts.waiting + counts.delayed);
        }
        Ok((waiting, room))
    }

    fn stopped_at(&self) -> std::sync::MutexGuard<'_, HashMap<String, AssetId>> {
        self.state.stopped_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each step that an asset goes through, and `pending` or how it ended. Of a pipeline that not every asset goes through, what
    /// it did or is to do.
    pub async fn steps(&self, asset: AssetId) -> Result<Vec<(String, String)>, GalleryError> {
        let mut steps = Vec::new();
        for pipeline in self.pipelines.all() {
            let progress = self.store().progress(asset, &pipeline.name).await?;
            let is_for_all = matches!(pipeline.on, Trigger::Created);
            for wanted in self.wanted(&pipeline) {
                let is_this = |result: &&StepResult| result.step == wanted.step;
                let ended = progress.results.iter().find(is_this);
                // An old result is as good as none where it will be made anew.
                let ended =
                    ended.filter(|result| result.recipe == wanted.recipe || !is_for_all && progress.round.is_none());
                let status = match ended {
                    Some(result) => result.status.clone(),
                    None if is_for_all || progress.round.is_some() => "pending".to_owned(),
                    None => continue,
                };
                steps.push((format!("{}/{}", pipeline.name, wanted.step), status));
            }
        }
        Ok(steps)
    }

    /// The queues that somebody may watch.
    pub fn queues(&self) -> Vec<QueueName> {
        self.pipelines.queues()
    }

    /// The pipelines as they are now.
    pub fn pipelines(&self) -> &Pipelines {
        &self.pipelines
    }

    /// Reads the pipelines again; what is wrong with them leaves them as they were.
    pub fn reload(&self) -> Vec<DefinitionError> {
        let problems = self.pipelines.reload(&self.gallery.plugins(), self.now());
        self.hurry();
        problems
    }

    /// Reads the pipelines again whenever a file of theirs changes.
    async fn keep_reading(&self) {
        let mut known = self.pipelines.state();
        loop {
            sleep(LOOK).await;
            let state = self.pipelines.state();
            if state != known {
                known = state;
                self.reload();
            }
        }
    }

    /// Ends its connections to the database, before that is stopped.
    pub fn close(&self) {
        self.store().close();
    }

    pub(crate) fn gallery(&self) -> &Gallery {
        &self.gallery
    }

    pub(crate) fn store(&self) -> &Store {
        self.gallery.store()
    }

    pub(crate) fn queue(&self) -> &Queue {
        self.gallery.queue()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.gallery.now()
    }

    pub(crate) fn recipe(&self, step: &Step) -> Option<String> {
        recipe(step, &self.spec, &self.gallery.plugins())
    }

    /// There is something for the reconciler.
    pub(crate) fn hurry(&self) {
        self.state.due.notify_one();
    }

    /// Steps whose plugin is not installed are wanted by nobody.
    pub(crate) fn wanted(&self, pipeline: &Definition) -> Vec<Wanted> {
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

/// A job waits in the queue of the step that it begins with; `None`: the first.
/// The queues of the steps that are due and wait for none that is: one that is paused is not in the way of another.
fn ready<'a>(pipeline: &'a Definition, due: &[String]) -> Vec<&'a QueueName> {
    let is_ready = |step: &&Step| due.contains(&step.id) && !step.after.iter().any(|after| due.contains(after));
    let mut queues: Vec<&QueueName> = pipeline.steps.iter().filter(is_ready).map(|step| &step.queue).collect();
    queues.dedup();
    queues
}

/// In the queue of the step that comes first, where nothing has been done yet.
pub(crate) fn first(pipeline: &Definition) -> QueueName {
    pipeline.steps.first().map_or_else(|| QueueName(pipeline.name.clone()), |step| step.queue.clone())
}

pub(crate) fn job(pipeline: &Definition, queue: QueueName, asset: AssetId, priority: Priority) -> Job {
    let kind = JobKind::Pipeline { pipeline: pipeline.name.clone(), asset, steps: Vec::new(), force: false };
    Job { id: JobId::generate(), queue, priority, kind, attempt: 0 }
}
