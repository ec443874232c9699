//! How a plugin is: well, left alone for a while, or in quarantine until somebody decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::{Plugin, PluginError};

/// Breakers that opened so often, without as many calls in between that went well, end in quarantine.
pub const OPENINGS: u32 = 6;

/// Hears of plugins that are put in quarantine, to write it down.
#[async_trait]
pub trait Watch: Send + Sync + 'static {
    /// `digest`: SHA-256 of the component, in hex.
    async fn quarantined(&self, plugin: &str, digest: &str, reason: &str);
}

/// How a plugin is.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    pub state: HealthState,
    /// What broke last: a trap, a deadline that passed, or a fault of the host.
    pub last_failure: Option<Failure>,
    /// Every function that is called.
    pub exports: Vec<ExportHealth>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthState {
    Healthy,
    /// A breaker is open: calls of that function are refused until then, when one is tried.
    Resting {
        export: String,
        until: Timestamp,
    },
    /// Every call is refused until it is released, or another version takes its place.
    Quarantined(Quarantine),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    pub reason: String,
    pub since: Timestamp,
}

/// A call that ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub export: String,
    pub error: PluginError,
    pub at: Timestamp,
}

/// One function of a plugin, since it was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportHealth {
    pub name: &'static str,
    /// Calls that were let through, with those that failed.
    pub calls: u64,
    /// Answered with an error.
    pub errors: u64,
    /// Ended without an answer.
    pub broke: u64,
    /// Refused, because the breaker was open.
    pub refused: u64,
    pub open_until: Option<Timestamp>,
}

/// Whether a plugin is in quarantine, and why. Asked by every call.
#[derive(Debug, Default)]
pub struct Ward {
    is_taken: AtomicBool,
    quarantine: Mutex<Option<Quarantine>>,
}

impl Ward {
    pub fn quarantine(&self) -> Option<Quarantine> {
        match self.is_taken.load(Ordering::Relaxed) {
            true => self.quarantine.lock().clone(),
            false => None,
        }
    }

    /// `false`: it was there before.
    fn take(&self, quarantine: Quarantine) -> bool {
        let mut slot = self.quarantine.lock();
        let is_new = slot.is_none();
        slot.get_or_insert(quarantine);
        self.is_taken.store(true, Ordering::Relaxed);
        is_new
    }

    fn release(&self) {
        *self.quarantine.lock() = None;
        self.is_taken.store(false, Ordering::Relaxed);
    }
}

impl Plugin {
    /// How it is, for people to see.
    pub fn health(&self) -> Health {
        let exports = self.calls.health();
        let open = exports.iter().filter_map(|export| Some((export.open_until?, export.name)));
        let state = match (self.ward.quarantine(), open.max()) {
            (Some(quarantine), _) => HealthState::Quarantined(quarantine),
            (None, Some((until, export))) => HealthState::Resting { export: export.to_owned(), until },
            (None, None) => HealthState::Healthy,
        };
        Health { state, last_failure: self.calls.last_failure(), exports }
    }

    /// Refuses every call from now on. What another node has found, or an earlier run.
    pub fn quarantine(&self, reason: &str, since: Timestamp) {
        if self.ward.take(Quarantine { reason: reason.to_owned(), since }) {
            let manifest = self.manifest();
            tracing::error!(plugin = manifest.id, version = manifest.version, reason, "A plugin is in quarantine");
            metrics::gauge!("latent_plugin_quarantined", "plugin" => manifest.id.clone()).set(1.0);
            self.cool();
        }
    }

    /// Gives it another chance: its breakers are closed, too.
    pub fn release(&self) {
        if self.ward.quarantine().is_some() {
            self.ward.release();
            self.calls.close_breakers();
            metrics::gauge!("latent_plugin_quarantined", "plugin" => self.manifest().id.clone()).set(0.0);
            tracing::info!(plugin = self.manifest().id, "A plugin is out of quarantine");
        }
    }

    /// What the ward says to a call.
    pub(crate) fn admitted_by_ward(&self) -> Result<(), PluginError> {
        match self.ward.quarantine() {
            None => Ok(()),
            Some(Quarantine { reason, .. }) => {
                let id = &self.manifest().id;
                Err(PluginError::Unavailable(format!("{id} is in quarantine: {reason}")))
            }
        }
    }

    /// A breaker has opened once more. A storage plugin is never put away: without it there is no library, and its breaker asks it
    /// again and again.
    pub(crate) async fn opened(self: &Arc<Self>, export: &'static str, openings: u32, error: &PluginError) {
        if openings < OPENINGS || self.stores() {
            return;
        }
        let reason = format!("{export} broke again and again, the last time because {error}");
        self.quarantine(&reason, self.common.clock.now());
        if let Some(watch) = self.shared.lent.watch.clone() {
            let plugin = self.clone();
            // The call that found out does not wait for a database.
            self.shared.outside().spawn(async move {
                watch.quarantined(&plugin.manifest().id, plugin.digest(), &reason).await;
            });
        }
    }
}
