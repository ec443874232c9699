//! One instance of a guest: its store, its limits, its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inference::Model;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;
use types::Clock;
use wasmtime::component::{Resource, ResourceTable, ResourceTableError};
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use crate::bindings::lent::latent::plugin::types::Error;
use crate::budget::{Budget, Charge};
use crate::deadline::Deadline;
use crate::directory::Directory;
use crate::error::HostFault;
use crate::grant::Grant;
use crate::held::{Held, HeldModel, let_go};
use crate::http::Http;
use crate::kv::{KvSpace, KvStore};
use crate::log_rate::LogRate;
use crate::manifest::Manifest;
use crate::secrets::Secrets;

/// Handles that a guest may hold.
const HANDLES: usize = 1_000;
/// As wasmtime counts them, which sees those that are lent for a call too.
const COMPONENT_HANDLES: usize = 1_100;
/// Open files behind handles.
const OPEN_FILES: u64 = 32;
/// Answers whose bodies lie behind handles.
pub const OPEN_ANSWERS: u64 = 64;
/// Bytes that one call may carry across by value.
const HOSTCALL_BYTES: usize = 8 << 20;
/// What a component may be made of; the pool's slots are as large.
pub const CORE_INSTANCES: usize = 48;
pub const MEMORIES: usize = 4;
pub const TABLES: usize = 4;
pub const TABLE_ELEMENTS: usize = 20_000;
/// Values that are worked on where the guest runs, about a millisecond: a guest may run ten before others have their turn.
const AT_ONCE: u64 = 1 << 18;
/// Values that are worked on by the guest's own thread while another takes over from it: to hand them away costs more than the wait,
/// in wake-ups, cold caches and memory that is freed far from where it was taken (4 % of the face path). More would keep a call from
/// ending at its deadline.
const IN_PLACE: u64 = 1 << 23;
/// What the host waits for ends so long before the call's deadline: the guest still answers.
const MARGIN: Duration = Duration::from_millis(50);
/// Handles that a guest may forget before it is dropped with them.
const FORGOTTEN: usize = 128;

/// A result that the guest gets; the outer error is a trap.
pub type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// What host functions know of the guest that calls them.
pub struct HostState {
    pub table: ResourceTable,
    pub common: Arc<Common>,
    pub budget: Arc<Budget>,
    /// Open files.
    pub open_files: Arc<Budget>,
    pub open_answers: Arc<Budget>,
    pub deadline: Arc<Deadline>,
    /// What is under way or was done in the present call.
    pub usage: Usage,
    /// Handles to other things than models.
    handles: usize,
    memory: Grown,
    elements: Grown,
}

/// What all instances of a plugin share.
pub struct Common {
    pub grant: Grant,
    pub manifest: Manifest,
    /// By label.
    pub models: BTreeMap<String, Arc<Model>>,
    /// The one that was granted.
    pub directory: Option<Arc<Directory>>,
    /// Where an origin was granted.
    pub http: Option<Arc<Http>>,
    pub secrets: Arc<Secrets>,
    /// Where a quota was granted.
    pub kv: Option<Kv>,
    /// Where work runs that waits for a network: its tasks and connections do not wait for guests.
    pub outside: Handle,
    pub heavy: Arc<Semaphore>,
    pub io: Arc<Semaphore>,
    pub clock: Arc<dyn Clock>,
    pub log_rate: LogRate,
}

/// Small state of a plugin.
pub struct Kv {
    pub store: Arc<dyn KvStore>,
    pub space: KvSpace,
    /// Operations at once.
    pub turns: Arc<Semaphore>,
}

/// What one call used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Bytes of images, opaque tensors and blobs that were copied into the guest's memory.
    pub payload: u64,
    /// Bytes of results and of lists: what models found, read by the guest, and what it made of that.
    pub results: u64,
    /// Bytes of requests and answers that the guest wrote and read itself: a protocol's messages.
    pub messages: u64,
    /// Operations on `kv`.
    pub kv: u32,
    /// Time in the host's own heavy work.
    pub host: Duration,
    /// Time in which the call waited for its turn in the host.
    pub waited: Duration,
    /// Events logged.
    pub logged: u32,
    /// Events that were not.
    pub unlogged: u32,
}

/// What all memories, or all tables, of a store have grown to. What was allowed and then failed stays counted: wasmtime also
/// tells of failures that it never asked about, and a guest could make room with those.
#[derive(Debug, Default)]
struct Grown(usize);

impl Grown {
    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>, most: usize) -> bool {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return false;
        }
        let sum = self.0.checked_add(desired.saturating_sub(current)).filter(|sum| *sum <= most);
        self.0 = sum.unwrap_or(self.0);
        sum.is_some()
    }
}

impl HostState {
    /// Puts something behind a handle.
    pub fn hold<T: Held>(&mut self, held: T) -> Answer<Resource<T>> {
        match self.push(held)? {
            Some(handle) => {
                self.handles += 1;
                Ok(Ok(handle))
            }
            None => Ok(Err(full())),
        }
    }

    /// The same for what the host gives a guest before a call.
    pub fn give<T: Held>(&mut self, held: T) -> wasmtime::Result<Resource<T>> {
        let handle = self.push(held)?.ok_or_else(|| fault("more was given in one call than there are handles"))?;
        self.handles += 1;
        Ok(handle)
    }

    /// What is behind a handle of the present call.
    pub fn held<T: Held>(&self, handle: &Resource<T>) -> wasmtime::Result<&T> {
        let held = self.table.get(handle)?;
        match held.is_gone() {
            true => wasmtime::bail!("a handle of an earlier call: only models are kept from call to call"),
            false => Ok(held),
        }
    }

    /// Takes it back: it outlives the guest.
    pub fn take<T: Held>(&mut self, handle: Resource<T>) -> wasmtime::Result<T> {
        let held = self.table.delete(handle)?;
        self.handles = self.handles.saturating_sub(1);
        Ok(held)
    }

    /// Models are kept from call to call.
    pub fn hold_model(&mut self, model: HeldModel) -> Answer<Resource<HeldModel>> {
        Ok(self.push(model)?.ok_or_else(full))
    }

    fn push<T: Send + 'static>(&mut self, held: T) -> wasmtime::Result<Option<Resource<T>>> {
        match self.table.push(held) {
            Ok(handle) => Ok(Some(handle)),
            Err(ResourceTableError::Full) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// Takes back what a guest forgot to drop: a picture would stay in memory for as long as the instance is warm. The handle
    /// itself stays, because the guest may drop it yet.
    pub fn reclaim(&mut self) {
        if self.handles > 0 {
            self.table.iter_mut().for_each(let_go);
        }
    }

    /// Forgotten handles add up over its calls.
    pub fn is_reusable(&self) -> bool {
        self.handles <= FORGOTTEN
    }

    /// Room for `bytes` behind a handle. The guest is not told how many there are: what a picture takes when it is encoded says
    /// something of the picture.
    pub fn charge(&self, bytes: u64) -> Result<Arc<Charge>, Error> {
        self.budget.take(bytes).ok_or_else(|| {
            let (plugin, left) = (&self.common.manifest.id, self.budget.left());
            tracing::debug!(plugin, bytes, left, "A plugin's host memory is used up");
            no_room()
        })
    }

    /// Room for one more open file.
    pub fn charge_file(&self) -> Result<Arc<Charge>, Error> {
        self.open_files.take(1).ok_or_else(|| Error::Limit(format!("{OPEN_FILES} files are open: drop some")))
    }

    /// May the guest see what a picture shows?
    pub fn pixels(&self, what: &str) -> Result<(), Error> {
        match self.common.grant.pixels {
            true => Ok(()),
            false => Err(Error::Denied(format!("{what} needs the grant `pixels`"))),
        }
    }

    /// Runs the host's own work on `cost` values: here if it can, and the heaviest on the pool; beyond the smallest only so many at
    /// once.
    pub async fn work<T: Send + 'static>(
        &mut self,
        cost: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> wasmtime::Result<T> {
        if cost <= AT_ONCE {
            return Ok(work());
        }
        let turns = self.common.heavy.clone();
        if cost > IN_PLACE {
            return self.on_pool(turns, work).await;
        }
        let _permit = self.turn(turns).await?;
        let begun = Instant::now();
        let value = tokio::task::block_in_place(work);
        self.usage.host += begun.elapsed();
        Ok(value)
    }

    /// Runs what waits for a disk, so many at once.
    pub async fn io<T: Send + 'static>(&mut self, work: impl FnOnce() -> T + Send + 'static) -> wasmtime::Result<T> {
        self.on_pool(self.common.io.clone(), work).await
    }

    /// Runs what waits for another side, apart from the guests' threads. It ends before the call does, so that the guest is told
    /// and not killed; and with the call, when that is given up.
    pub async fn elsewhere<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Answer<T> {
        let task = AbortOnDropHandle::new(self.common.outside.spawn(work));
        match self.in_time(task).await {
            Ok(ended) => ended.map_err(fault),
            Err(late) => Ok(Err(late)),
        }
    }

    /// Waits for something outside, until shortly before the call's deadline.
    pub async fn in_time<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Error> {
        let begun = Instant::now();
        let until = self.deadline.end().checked_sub(MARGIN).unwrap_or(begun);
        let ended = tokio::time::timeout_at(until.into(), work).await;
        self.usage.host += begun.elapsed();
        ended.map_err(|_| Error::Timeout)
    }

    /// Waits for a turn; that is not the guest's time.
    async fn turn(&mut self, turns: Arc<Semaphore>) -> wasmtime::Result<OwnedSemaphorePermit> {
        let queued = Instant::now();
        let permit = self.deadline.pause(turns.acquire_owned()).await.map_err(fault)?;
        self.usage.waited += queued.elapsed();
        Ok(permit)
    }

    /// A thread cannot be stopped, so the permit stays with the work even if the call is given up.
    async fn on_pool<T: Send + 'static>(
        &mut self,
        turns: Arc<Semaphore>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> wasmtime::Result<T> {
        let permit = self.turn(turns).await?;
        let begun = Instant::now();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        let value = task.await;
        self.usage.host += begun.elapsed();
        value.map_err(fault)
    }
}

/// A failure that is not the guest's.
pub fn fault(why: impl std::fmt::Display) -> wasmtime::Error {
    wasmtime::Error::new(HostFault(why.to_string()))
}

/// Without a number: what is left tells how long things are that the guest may not see.
pub fn no_room() -> Error {
    Error::Limit("no room is left behind handles: drop some, or ask for more host-memory".into())
}

fn full() -> Error {
    Error::Limit(format!("{HANDLES} handles are open: drop some"))
}

impl ResourceLimiter for HostState {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.memory.grow(current, desired, maximum, self.common.grant.memory))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.elements.grow(current, desired, maximum, TABLE_ELEMENTS))
    }

    // The pool has slots of this kind only; where instances are made on demand, nothing else counts.
    fn instances(&self) -> usize {
        CORE_INSTANCES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }

    fn tables(&self) -> usize {
        TABLES
    }
}

/// A store for a fresh instance.
pub fn store(engine: &wasmtime::Engine, common: &Arc<Common>, deadline: Arc<Deadline>) -> Store<HostState> {
    let mut table = ResourceTable::new();
    table.set_max_capacity(HANDLES);
    let state = HostState {
        table,
        budget: Budget::new(common.grant.host_memory),
        open_files: Budget::new(OPEN_FILES),
        open_answers: Budget::new(OPEN_ANSWERS),
        common: common.clone(),
        deadline,
        usage: Usage::default(),
        handles: 0,
        memory: Grown::default(),
        elements: Grown::default(),
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| state);
    store.set_hostcall_fuel(HOSTCALL_BYTES);
    store.set_max_component_handles(COMPONENT_HANDLES);
    store.set_epoch_deadline(1);
    // Every tick the guest lets others run; at its deadline it ends.
    store.epoch_deadline_callback(|context| {
        if context.data().deadline.is_over() { Ok(UpdateDeadline::Interrupt) } else { Ok(UpdateDeadline::Yield(1)) }
    });
    store
}
