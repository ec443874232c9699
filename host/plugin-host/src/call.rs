//! One call of a guest: a warm instance or a fresh one, under a deadline, counted, and cut off where the guest keeps breaking.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rand::Rng as _;
use tokio::runtime::Handle;
use tracing::Instrument as _;
use tracing::field::Empty;
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::deadline::Deadline;
use crate::error::HostFault;
use crate::instance::{Usage, store};
use crate::plugin::Instance;
use crate::storage::plugin_error;
use crate::text::clean;
use crate::traffic::Record;
use crate::{Plugin, PluginError};

/// How long after its deadline a call that hangs in a host function is given up.
const GRACE: Duration = Duration::from_millis(20);
/// Calls that an instance serves at most; each gets its own number, so that nobody relies on state that survives.
const REUSE: std::ops::Range<u32> = 64..257;
/// Characters of a trap's text.
const LONGEST_TRAP: usize = 500;

type Outcome<T> = Result<T, PluginError>;

/// How a call ended without an answer of the guest.
enum Broken {
    /// Its instance is gone.
    Call(PluginError),
    /// All slots of the pool are in use: nobody's fault, and over in a moment.
    NoRoom,
}

/// How a call ended, and what it took.
struct Ended<T> {
    result: Result<Outcome<T>, Broken>,
    fresh: bool,
    usage: Usage,
}

impl Plugin {
    /// Drops the instances that wait for a call: their memory goes back, the next call makes a fresh one.
    pub fn cool(&self) {
        let warm = std::mem::take(&mut *self.warm.lock());
        drop(warm);
    }

    /// Runs one call on a guest thread: a warm instance or a fresh one, under the deadline. A guest that traps, hangs or is
    /// cancelled loses its instance.
    pub(crate) async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        export: &'static str,
        call: impl for<'a> FnOnce(&'a mut Instance) -> BoxFuture<'a, wasmtime::Result<Outcome<T>>> + Send + 'static,
    ) -> Outcome<T> {
        let guests = self.shared.guests();
        if Handle::try_current().is_ok_and(|current| current.id() == guests.id()) {
            return self.clone().admitted(export, call).await;
        }
        let task = guests.spawn(self.clone().admitted(export, call));
        task.await.unwrap_or_else(|error| Err(PluginError::Fault(format!("the call's task failed: {error}"))))
    }

    async fn admitted<T: Send + 'static>(
        self: Arc<Self>,
        name: &'static str,
        call: impl for<'a> FnOnce(&'a mut Instance) -> BoxFuture<'a, wasmtime::Result<Outcome<T>>> + Send,
    ) -> Outcome<T> {
        self.admitted_by_ward()?;
        let export = self.calls.of(name);
        let arrived = Instant::now();
        let (_permit, begun) = match self.permits.try_acquire() {
            Ok(permit) => (permit, arrived),
            Err(_) => (self.permits.acquire().await.map_err(|_| PluginError::Cancelled)?, Instant::now()),
        };
        let manifest = self.manifest();
        let pass = export.admit().map_err(|left| {
            let (id, left) = (&manifest.id, left.as_millis());
            PluginError::Unavailable(format!("{id} kept breaking in {name}; it is tried again in {left} ms"))
        })?;
        let span = tracing::debug_span!(
            "plugin",
            id = manifest.id,
            version = manifest.version,
            export = name,
            fresh = Empty,
            queued_us = Empty,
            took_us = Empty,
            guest_us = Empty,
            host_us = Empty,
            payload = Empty,
            results = Empty,
            messages = Empty,
            outcome = Empty
        );
        let Ended { result, fresh, usage } = self.bounded(begun, call).instrument(span.clone()).await;
        let result = match result {
            Ok(outcome) => {
                pass.succeeded();
                outcome
            }
            Err(Broken::Call(error)) => {
                // An error that `init` answered is an answer.
                if !error.broke() {
                    pass.succeeded();
                } else if let Some(openings) = pass.failed() {
                    self.opened(name, openings, &error).await;
                }
                Err(error)
            }
            // Says nothing of the plugin.
            Err(Broken::NoRoom) => Err(PluginError::Unavailable("every slot for a plugin's instance is in use".into())),
        };
        let record = Record { fresh, queued: begun - arrived, took: begun.elapsed(), usage };
        self.calls.observe(manifest, export, &record, result.as_ref().err(), &span);
        result
    }

    async fn bounded<T: Send + 'static>(
        &self,
        begun: Instant,
        call: impl for<'a> FnOnce(&'a mut Instance) -> BoxFuture<'a, wasmtime::Result<Outcome<T>>> + Send,
    ) -> Ended<T> {
        let limit = self.common.grant.deadline;
        let mut slot = self.warm.lock().pop();
        let fresh = slot.is_none();
        let deadline = slot.as_ref().map_or_else(Deadline::new, |instance| instance.store.data().deadline.clone());
        deadline.set(begun + limit);
        let work = async {
            let instance = match &mut slot {
                Some(instance) => {
                    instance.store.data_mut().usage = Usage::default();
                    instance.store.set_epoch_deadline(1);
                    instance
                }
                // Boxed, so that warm calls do not move what only fresh ones need.
                empty => Box::pin(self.fresh(empty, deadline.clone())).await?,
            };
            call(instance).await.map_err(|error| broken(&error, limit))
        };
        let ended = AssertUnwindSafe(within(&deadline, work)).catch_unwind().await;
        // Of an instance that broke, too: what it took is known.
        let usage = slot.as_ref().map_or_else(Usage::default, |instance| instance.store.data().usage);
        let result = match ended {
            Ok(Some(result)) => result,
            Ok(None) => Err(Broken::Call(PluginError::Timeout(limit.as_millis() as u64))),
            Err(panic) => Err(Broken::Call(PluginError::Fault(panic_text(&*panic)))),
        };
        if let (Ok(_), Some(instance)) = (&result, slot) {
            self.put_back(instance);
        }
        Ended { result, fresh, usage }
    }

    /// Makes an instance and calls its `init`. It lies in `slot` from its first instruction on, so that what it used is known.
    async fn fresh<'a>(
        &self,
        slot: &'a mut Option<Box<Instance>>,
        deadline: Arc<Deadline>,
    ) -> Result<&'a mut Instance, Broken> {
        let limit = self.common.grant.deadline;
        let (store, exports) = loop {
            let mut store = store(&self.shared.engine, &self.common, deadline.clone());
            match self.ready.instantiate(&mut store).await {
                Ok(exports) => break (store, exports),
                Err(error) if error.is::<PoolConcurrencyLimitError>() && self.shared.evict() => {}
                Err(error) => return Err(broken(&error, limit)),
            }
        };
        let left = rand::rng().random_range(REUSE);
        let instance = slot.insert(Box::new(Instance { store, exports, left }));
        let answer = instance.exports.init(&mut instance.store).await.map_err(|error| broken(&error, limit))?;
        answer.map_err(|error| Broken::Call(plugin_error(error)))?;
        Ok(instance)
    }

    fn put_back(&self, mut instance: Box<Instance>) {
        instance.left -= 1;
        instance.store.data_mut().reclaim();
        if instance.left > 0 && instance.store.data().is_reusable() {
            self.warm.lock().push(instance);
        }
    }
}

/// `None`: the deadline passed. Epochs do not tick inside a host function.
async fn within<T>(deadline: &Deadline, work: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(work);
    // Most calls end here: a timer would cost a good part of what they do.
    if let Poll::Ready(value) = futures::poll!(&mut work) {
        return Some(value);
    }
    loop {
        match tokio::time::timeout_at((deadline.end() + GRACE).into(), &mut work).await {
            Ok(value) => return Some(value),
            Err(_) if deadline.end() + GRACE <= Instant::now() => return None,
            // It has moved on: the call had to wait for its turn.
            Err(_) => {}
        }
    }
}

/// What broke a call. An interrupt is our own deadline.
fn broken(error: &wasmtime::Error, deadline: Duration) -> Broken {
    if error.is::<PoolConcurrencyLimitError>() {
        return Broken::NoRoom;
    }
    Broken::Call(match (error.downcast_ref::<HostFault>(), error.downcast_ref::<Trap>()) {
        (Some(fault), _) => PluginError::Fault(fault.to_string()),
        (None, Some(Trap::Interrupt)) => PluginError::Timeout(deadline.as_millis() as u64),
        (None, _) => {
            let text = format!("{error:#}");
            PluginError::Trap(clean(text.lines().next_back().unwrap_or("trap"), LONGEST_TRAP))
        }
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a word"))
}
