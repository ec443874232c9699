//! One call of a guest: a warm instance or a fresh one, under a deadline, counted, and cut off where the guest keeps breaking.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use metrics::{Counter, Histogram};
use rand::Rng as _;
use tokio::runtime::Handle;
use tracing::Instrument as _;
use types::Clock;
use wasmtime::Trap;

use crate::breaker::Breaker;
use crate::deadline::Deadline;
use crate::instance::{Usage, store};
use crate::manifest::Manifest;
use crate::plugin::Instance;
use crate::storage::plugin_error;
use crate::{Plugin, PluginError};

/// How long after its deadline a call that hangs in a host function is given up.
const GRACE: Duration = Duration::from_millis(20);
/// Calls that an instance serves at most; each gets its own number, so that nobody relies on state that survives.
const REUSE: std::ops::Range<u32> = 64..257;

/// The functions of a plugin that are called, and what they have cost.
pub struct Calls {
    exports: Vec<Export>,
    total: AtomicU64,
    payload: AtomicU64,
    results: AtomicU64,
}

/// What has crossed into a plugin's memory since it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    pub calls: u64,
    /// Bytes of images, opaque tensors and blobs.
    pub payload: u64,
    /// Bytes of results: what models found.
    pub results: u64,
}

struct Export {
    name: &'static str,
    breaker: Breaker,
    ok: Counter,
    error: Counter,
    trap: Counter,
    timeout: Counter,
    refused: Counter,
    fresh: Counter,
    payload: Counter,
    results: Counter,
    seconds: Histogram,
    queued: Histogram,
    host: Histogram,
}

impl Calls {
    pub fn new(manifest: &Manifest, names: &[&'static str], clock: &Arc<dyn Clock>) -> Self {
        let exports = names.iter().map(|name| Export::new(manifest, name, clock.clone())).collect();
        Self { exports, total: AtomicU64::new(0), payload: AtomicU64::new(0), results: AtomicU64::new(0) }
    }

    fn of(&self, name: &str) -> &Export {
        self.exports.iter().find(|export| export.name == name).expect("every call is listed with its world")
    }
}

impl Export {
    fn new(manifest: &Manifest, name: &'static str, clock: Arc<dyn Clock>) -> Self {
        let (plugin, version) = (&manifest.id, &manifest.version);
        let calls = |outcome: &'static str| {
            metrics::counter!("latent_plugin_calls_total",
                "plugin" => plugin.clone(), "version" => version.clone(), "export" => name, "outcome" => outcome)
        };
        let counter = |metric: &'static str| metrics::counter!(metric, "plugin" => plugin.clone(), "export" => name);
        let seconds = |metric: &'static str| metrics::histogram!(metric, "plugin" => plugin.clone(), "export" => name);
        Self {
            name,
            breaker: Breaker::new(clock),
            ok: calls("ok"),
            error: calls("error"),
            trap: calls("trap"),
            timeout: calls("timeout"),
            refused: calls("refused"),
            fresh: counter("latent_plugin_instances_total"),
            payload: counter("latent_plugin_payload_bytes_total"),
            results: counter("latent_plugin_result_bytes_total"),
            seconds: seconds("latent_plugin_call_seconds"),
            queued: seconds("latent_plugin_queue_seconds"),
            host: seconds("latent_plugin_host_seconds"),
        }
    }
}

/// One call, as it is counted and logged.
struct Record {
    fresh: bool,
    queued: Duration,
    took: Duration,
    usage: Usage,
}

type Outcome<T> = Result<T, PluginError>;

impl Plugin {
    /// What has crossed into its memory since it was loaded.
    pub fn traffic(&self) -> Traffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            calls: read(&self.calls.total),
            payload: read(&self.calls.payload),
            results: read(&self.calls.results),
        }
    }

    /// Drops the instances that wait for a call: their memory goes back, the next call makes a fresh one.
    pub fn cool(&self) {
        self.warm.lock().clear();
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
        task.await.unwrap_or_else(|error| Err(PluginError::Other(format!("the call's task failed: {error}"))))
    }

    async fn admitted<T: Send + 'static>(
        self: Arc<Self>,
        name: &'static str,
        call: impl for<'a> FnOnce(&'a mut Instance) -> BoxFuture<'a, wasmtime::Result<Outcome<T>>> + Send,
    ) -> Outcome<T> {
        let export = self.calls.of(name);
        let arrived = Instant::now();
        let (_permit, begun) = match self.permits.try_acquire() {
            Ok(permit) => (permit, arrived),
            Err(_) => (self.permits.acquire().await.map_err(|_| PluginError::Cancelled)?, Instant::now()),
        };
        let pass = export.breaker.admit().map_err(|left| {
            export.refused.increment(1);
            let id = &self.manifest().id;
            PluginError::Unavailable(format!(
                "{id} kept breaking in {name}; it is tried again in {} ms",
                left.as_millis()
            ))
        })?;
        let span =
            tracing::debug_span!("plugin", id = self.manifest().id, version = self.manifest().version, export = name);
        let (result, fresh, usage) = self.bounded(begun, call).instrument(span).await;
        match &result {
            Err(PluginError::Trap(_) | PluginError::Timeout(_)) => pass.failed(),
            _ => pass.succeeded(),
        }
        self.observe(
            export,
            &Record { fresh, queued: begun - arrived, took: begun.elapsed(), usage },
            result.as_ref().err(),
        );
        result
    }

    async fn bounded<T: Send + 'static>(
        &self,
        begun: Instant,
        call: impl for<'a> FnOnce(&'a mut Instance) -> BoxFuture<'a, wasmtime::Result<Outcome<T>>> + Send,
    ) -> (Outcome<T>, bool, Usage) {
        let limit = self.common.grant.deadline;
        let warm = self.warm.lock().pop();
        let fresh = warm.is_none();
        let deadline = warm.as_ref().map_or_else(Deadline::new, |instance| instance.store.data().deadline.clone());
        deadline.set(begun + limit);
        let work = async {
            let mut instance = match warm {
                Some(instance) => instance,
                None => self.instance(deadline.clone()).await?,
            };
            instance.store.data_mut().usage = Usage::default();
            instance.store.set_epoch_deadline(1);
            let result = call(&mut instance).await.map_err(|error| trap(&error, limit))?;
            Ok((instance, result))
        };
        match within(&deadline, work).await {
            Some(Ok((instance, result))) => {
                let usage = instance.store.data().usage;
                self.put_back(instance);
                (result, fresh, usage)
            }
            Some(Err(error)) => (Err(error), fresh, Usage::default()),
            None => (Err(PluginError::Timeout(limit.as_millis() as u64)), fresh, Usage::default()),
        }
    }

    async fn instance(&self, deadline: Arc<Deadline>) -> Outcome<Instance> {
        let failed = |error: wasmtime::Error| trap(&error, self.common.grant.deadline);
        let mut store = store(&self.shared.engine, &self.common, deadline);
        let exports = self.ready.instantiate(&mut store).await.map_err(failed)?;
        exports.init(&mut store).await.map_err(failed)?.map_err(plugin_error)?;
        Ok(Instance { store, exports, left: rand::rng().random_range(REUSE) })
    }

    fn put_back(&self, mut instance: Instance) {
        instance.left -= 1;
        if instance.left > 0 && instance.store.data().is_reusable() {
            self.warm.lock().push(instance);
        }
    }

    fn observe(&self, export: &Export, record: &Record, error: Option<&PluginError>) {
        let (outcome, counter) = match error {
            None => ("ok", &export.ok),
            Some(PluginError::Trap(_)) => ("trap", &export.trap),
            Some(PluginError::Timeout(_)) => ("timeout", &export.timeout),
            Some(_) => ("error", &export.error),
        };
        let Usage { payload, results, host, waited, .. } = record.usage;
        counter.increment(1);
        export.fresh.increment(u64::from(record.fresh));
        export.payload.increment(payload);
        export.results.increment(results);
        export.seconds.record(record.took.as_secs_f64());
        export.queued.record((record.queued + waited).as_secs_f64());
        export.host.record(host.as_secs_f64());
        self.calls.total.fetch_add(1, Ordering::Relaxed);
        self.calls.payload.fetch_add(payload, Ordering::Relaxed);
        self.calls.results.fetch_add(results, Ordering::Relaxed);
        let id = &self.manifest().id;
        match error {
            Some(error @ (PluginError::Trap(_) | PluginError::Timeout(_))) => {
                tracing::warn!(plugin = id, export = export.name, %error, "A plugin's call broke its instance");
            }
            _ => tracing::debug!(
                plugin = id,
                version = self.manifest().version,
                export = export.name,
                fresh = record.fresh,
                queued_us = (record.queued + waited).as_micros() as u64,
                took_us = record.took.as_micros() as u64,
                host_us = host.as_micros() as u64,
                payload,
                results,
                outcome,
                "Called a plugin"
            ),
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

/// A trap in words. An interrupt is our own deadline.
fn trap(error: &wasmtime::Error, deadline: Duration) -> PluginError {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => PluginError::Timeout(deadline.as_millis() as u64),
        _ => PluginError::Trap(format!("{error:#}").lines().next_back().unwrap_or("trap").to_owned()),
    }
}
