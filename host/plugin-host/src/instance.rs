//! One instance of a guest: its store, its limits, its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inference::Model;
use tokio::sync::Semaphore;
use wasmtime::component::{Resource, ResourceTable, ResourceTableError};
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use crate::bindings::lent::latent::plugin::types::Error;
use crate::budget::{Budget, Charge};
use crate::deadline::Deadline;
use crate::grant::Grant;
use crate::held::HeldModel;
use crate::manifest::Manifest;

/// Handles that a guest may hold.
const HANDLES: usize = 1_000;
/// Bytes that one call may carry across by value.
const HOSTCALL_BYTES: usize = 8 << 20;
const TABLE_ELEMENTS: usize = 20_000;
/// Values that are worked on where the guest runs: handing less to another thread costs more than it saves.
const AT_ONCE: u64 = 1 << 16;
/// What a guest may keep from one call to the next, beside its models.
const KEPT_HANDLES: usize = 16;
const KEPT_BYTES: u64 = 4 << 20;

/// A result that the guest gets; the outer error is a trap.
pub type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// What host functions know of the guest that calls them.
pub struct HostState {
    pub table: ResourceTable,
    pub grant: Arc<Grant>,
    pub manifest: Arc<Manifest>,
    /// By label.
    pub models: Arc<BTreeMap<String, Arc<Model>>>,
    pub budget: Arc<Budget>,
    pub deadline: Arc<Deadline>,
    /// What is under way or was done in the present call.
    pub usage: Usage,
    /// Handles to other things than models.
    handles: usize,
    heavy: Arc<Semaphore>,
}

/// What one call used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Bytes of images, opaque tensors and blobs that were copied into the guest's memory.
    pub payload: u64,
    /// Bytes of results: what models found, read by the guest.
    pub results: u64,
    /// Time in the host's own heavy work.
    pub host: Duration,
    /// Time in which the call waited for its turn in the host.
    pub waited: Duration,
    /// Events logged.
    pub logged: u32,
}

impl HostState {
    /// Puts something behind a handle.
    pub fn hold<T: Send + 'static>(&mut self, held: T) -> Answer<Resource<T>> {
        match self.table.push(held) {
            Ok(handle) => {
                self.handles += 1;
                Ok(Ok(handle))
            }
            Err(ResourceTableError::Full) => Ok(Err(Error::Limit(format!("{HANDLES} handles are open: drop some")))),
            Err(error) => Err(error.into()),
        }
    }

    /// The same for what the host gives a guest before a call.
    pub fn give<T: Send + 'static>(&mut self, held: T) -> wasmtime::Result<Resource<T>> {
        let handle = self.table.push(held)?;
        self.handles += 1;
        Ok(handle)
    }

    /// Takes it back: it outlives the guest.
    pub fn take<T: Send + 'static>(&mut self, handle: Resource<T>) -> wasmtime::Result<T> {
        let held = self.table.delete(handle)?;
        self.handles = self.handles.saturating_sub(1);
        Ok(held)
    }

    /// Models are kept from call to call and not counted.
    pub fn hold_model(&mut self, model: HeldModel) -> wasmtime::Result<Resource<HeldModel>> {
        Ok(self.table.push(model)?)
    }

    /// Handles that a guest forgot would add up over its calls.
    pub fn is_reusable(&self) -> bool {
        self.handles <= KEPT_HANDLES && self.budget.used() <= KEPT_BYTES
    }

    /// Room for `bytes` behind a handle.
    pub fn charge(&self, bytes: u64) -> Result<Arc<Charge>, Error> {
        self.budget.take(bytes).ok_or_else(|| {
            let left = self.budget.left();
            Error::Limit(format!("{bytes} bytes behind handles are more than the {left} that are left of its grant"))
        })
    }

    /// May the guest see what a picture shows?
    pub fn pixels(&self, what: &str) -> Result<(), Error> {
        match self.grant.pixels {
            true => Ok(()),
            false => Err(Error::Denied(format!("{what} needs the grant `pixels`"))),
        }
    }

    /// Runs the host's own work on `cost` values: small work here, heavy work on the bounded pool. A thread cannot be stopped, so
    /// the permit stays with the work even if the call is given up.
    pub async fn work<T: Send + 'static>(
        &mut self,
        cost: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> wasmtime::Result<T> {
        if cost <= AT_ONCE {
            return Ok(work());
        }
        let queued = Instant::now();
        let permit = self.deadline.pause(self.heavy.clone().acquire_owned()).await?;
        let begun = Instant::now();
        self.usage.waited += begun - queued;
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        let value = task.await?;
        self.usage.host += begun.elapsed();
        Ok(value)
    }
}

impl ResourceLimiter for HostState {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= self.grant.memory)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

/// What all instances of a plugin share.
pub struct Common {
    pub grant: Arc<Grant>,
    pub manifest: Arc<Manifest>,
    pub models: Arc<BTreeMap<String, Arc<Model>>>,
    pub heavy: Arc<Semaphore>,
}

/// A store for a fresh instance.
pub fn store(engine: &wasmtime::Engine, common: &Common, deadline: Arc<Deadline>) -> Store<HostState> {
    let mut table = ResourceTable::new();
    table.set_max_capacity(HANDLES);
    let state = HostState {
        table,
        grant: common.grant.clone(),
        manifest: common.manifest.clone(),
        models: common.models.clone(),
        budget: Budget::new(common.grant.host_memory),
        deadline,
        usage: Usage::default(),
        handles: 0,
        heavy: common.heavy.clone(),
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| state);
    store.set_hostcall_fuel(HOSTCALL_BYTES);
    store.set_epoch_deadline(1);
    // Every tick the guest lets others run; at its deadline it ends.
    store.epoch_deadline_callback(|context| {
        if context.data().deadline.is_over() { Ok(UpdateDeadline::Interrupt) } else { Ok(UpdateDeadline::Yield(1)) }
    });
    store
}
