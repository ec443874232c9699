//! What calls have cost: metrics, the span of each, and sums that a test can read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Histogram};
use tracing::Span;
use types::Clock;

use crate::breaker::{Breaker, Pass};
use crate::instance::Usage;
use crate::manifest::Manifest;
use crate::{Plugin, PluginError};

/// The functions of a plugin that are called, and what they have cost.
pub struct Calls {
    exports: Vec<Export>,
    total: AtomicU64,
    instances: AtomicU64,
    payload: AtomicU64,
    results: AtomicU64,
    most_results: AtomicU64,
    messages: AtomicU64,
    logged: AtomicU64,
    unlogged: AtomicU64,
}

/// What has crossed into a plugin's memory and out of it since it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    pub calls: u64,
    /// Instances that were made for them.
    pub instances: u64,
    /// Bytes of images, opaque tensors and blobs.
    pub payload: u64,
    /// Bytes of results and lists: what models found, and what the plugin made of it.
    pub results: u64,
    /// The same of the call that had most.
    pub most_results: u64,
    /// Bytes of requests and answers that the guest wrote and read itself.
    pub messages: u64,
    /// Events that were logged, and those that were too many.
    pub logged: u64,
    pub unlogged: u64,
}

/// One function.
pub struct Export {
    name: &'static str,
    breaker: Breaker,
    ok: Counter,
    error: Counter,
    trap: Counter,
    timeout: Counter,
    fault: Counter,
    refused: Counter,
    fresh: Counter,
    payload: Counter,
    results: Counter,
    messages: Counter,
    seconds: Histogram,
    queued: Histogram,
    host: Histogram,
    guest: Histogram,
}

/// One call, as it is counted and logged.
pub struct Record {
    pub fresh: bool,
    pub queued: Duration,
    pub took: Duration,
    pub usage: Usage,
}

impl Plugin {
    /// What has crossed into its memory and out of it since it was loaded.
    pub fn traffic(&self) -> Traffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let calls = &self.calls;
        Traffic {
            calls: read(&calls.total),
            instances: read(&calls.instances),
            payload: read(&calls.payload),
            results: read(&calls.results),
            most_results: read(&calls.most_results),
            messages: read(&calls.messages),
            logged: read(&calls.logged),
            unlogged: read(&calls.unlogged),
        }
    }
}

impl Calls {
    pub fn new(manifest: &Manifest, names: &[&'static str], clock: &Arc<dyn Clock>) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            exports: names.iter().map(|name| Export::new(manifest, name, clock.clone())).collect(),
            total: zero(),
            instances: zero(),
            payload: zero(),
            results: zero(),
            most_results: zero(),
            messages: zero(),
            logged: zero(),
            unlogged: zero(),
        }
    }

    pub fn of(&self, name: &str) -> &Export {
        self.exports.iter().find(|export| export.name == name).expect("every call is listed with its world")
    }

    /// Counts a call that is over, and says so.
    pub fn observe(
        &self,
        manifest: &Manifest,
        export: &Export,
        record: &Record,
        error: Option<&PluginError>,
        span: &Span,
    ) {
        let (outcome, counter) = export.outcome(error);
        let Usage { payload, results, messages, host, waited, logged, unlogged, .. } = record.usage;
        counter.increment(1);
        export.count(record);
        // Most of them are zero for most calls, and an atomic add costs a hundredth of a call.
        let add = |counter: &AtomicU64, value: u64| {
            if value > 0 {
                counter.fetch_add(value, Ordering::Relaxed);
            }
        };
        add(&self.total, 1);
        add(&self.instances, record.fresh.into());
        add(&self.payload, payload);
        add(&self.results, results);
        add(&self.messages, messages);
        if results > 0 {
            self.most_results.fetch_max(results, Ordering::Relaxed);
        }
        add(&self.logged, logged.into());
        add(&self.unlogged, unlogged.into());
        if !span.is_disabled() {
            span.record("fresh", record.fresh)
                .record("queued_us", micros(record.queued + waited))
                .record("took_us", micros(record.took))
                .record("guest_us", micros(record.guest()))
                .record("host_us", micros(host))
                .record("payload", payload)
                .record("results", results)
                .record("messages", messages)
                .record("outcome", outcome);
            span.in_scope(|| tracing::debug!("Called a plugin"));
        }
        if let Some(error) = error.filter(|error| error.broke()) {
            tracing::warn!(plugin = manifest.id, export = export.name, %error, "A plugin's call broke its instance");
        }
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
            fault: calls("fault"),
            refused: calls("refused"),
            fresh: counter("latent_plugin_instances_total"),
            payload: counter("latent_plugin_payload_bytes_total"),
            results: counter("latent_plugin_result_bytes_total"),
            messages: counter("latent_plugin_message_bytes_total"),
            seconds: seconds("latent_plugin_call_seconds"),
            queued: seconds("latent_plugin_queue_seconds"),
            host: seconds("latent_plugin_host_seconds"),
            guest: seconds("latent_plugin_guest_seconds"),
        }
    }

    /// Lets a call through, or says for how long none is.
    pub fn admit(&self) -> Result<Pass<'_>, Duration> {
        self.breaker.admit().inspect_err(|_| self.refused.increment(1))
    }

    fn outcome(&self, error: Option<&PluginError>) -> (&'static str, &Counter) {
        match error {
            None => ("ok", &self.ok),
            Some(PluginError::Trap(_)) => ("trap", &self.trap),
            Some(PluginError::Timeout(_)) => ("timeout", &self.timeout),
            Some(PluginError::Fault(_)) => ("fault", &self.fault),
            Some(_) => ("error", &self.error),
        }
    }

    fn count(&self, record: &Record) {
        self.fresh.increment(u64::from(record.fresh));
        self.payload.increment(record.usage.payload);
        self.results.increment(record.usage.results);
        self.messages.increment(record.usage.messages);
        self.seconds.record(record.took.as_secs_f64());
        self.queued.record((record.queued + record.usage.waited).as_secs_f64());
        self.host.record(record.usage.host.as_secs_f64());
        self.guest.record(record.guest().as_secs_f64());
    }
}

impl Record {
    /// What is left of the call without the host's work and its queues.
    fn guest(&self) -> Duration {
        self.took.saturating_sub(self.usage.host).saturating_sub(self.usage.waited)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
