//! What of the installed plugins this process runs: brought in line with the database, one plugin swapped for another under calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plugin_host::Plugin;
use serde_json::{Value, json};
use store::plugins::Release;
use tokio::sync::broadcast::error::RecvError;

use super::manager::Manager;
use super::{Plugins, quarantine};
use crate::{Gallery, GalleryError, Result};

/// How often a node looks whether plugins changed without its hearing of it.
const LOOK: Duration = Duration::from_secs(5);
/// Looks after which what could not be loaded is tried again: a model may have come.
const RETRY: u32 = 12;

/// What this process runs.
#[derive(Default)]
pub struct Running {
    /// That this is of; `None`: nothing was read yet.
    generation: Option<i64>,
    loaded: BTreeMap<String, Loaded>,
    /// What ran before, cold: a step back has it at hand.
    retired: BTreeMap<String, Loaded>,
    /// Why the version that should run does not.
    failed: BTreeMap<String, String>,
    /// Those of them, and of the pinned ones, that are in quarantine.
    alone: Vec<String>,
}

#[derive(Clone)]
struct Loaded {
    /// Bytes, grants and settings: whatever changes what it does.
    key: Value,
    plugin: Arc<Plugin>,
}

/// How a plugin is, in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `running`, `failed`, `disabled` or `waiting` (for an approval).
    pub state: &'static str,
    pub why: Option<String>,
}

const CHANGED: &str = "plugins-changed";

/// What processes tell each other.
pub(super) fn changed_words(generation: i64) -> String {
    json!({ CHANGED: generation }).to_string()
}

impl Manager {
    /// Brings this process in line with the database. What it runs from now on is given to `set` before anybody else gets here.
    async fn sync(&self, retry: bool, set: impl FnOnce(Plugins)) -> Result<()> {
        let mut running = self.running.lock().await;
        let is_due = retry && !running.failed.is_empty();
        if !is_due && running.generation == Some(self.store().plugin_generation().await?) {
            return Ok(());
        }
        let (generation, installed) = self.store().installed_plugins().await?;
        let pinned = |id: &str| self.parts.pinned.iter().any(|pinned| pinned.id == id);
        let is_off = |id: &str| self.parts.ceilings.get(id).is_some_and(|ceiling| ceiling.is_off);
        let wanted: BTreeMap<&str, &Release> = installed
            .iter()
            .filter(|plugin| plugin.enabled && !pinned(&plugin.id) && !is_off(&plugin.id))
            .filter_map(|plugin| Some((&*plugin.id, plugin.active.as_ref()?)))
            .collect();
        running.failed.clear();
        for (id, release) in &wanted {
            if let Err(error) = self.run(&mut running, id, release).await {
                // What ran runs on.
                tracing::error!(plugin = id, %error, "A plugin cannot be loaded");
                running.failed.insert((*id).to_owned(), error.to_string());
            }
        }
        let ledger = self.store().quarantined().await?;
        let pinned = self.parts.pinned.iter().filter(|pinned| pinned.enabled && pinned.plugin.is_none());
        let pinned = pinned.filter(|pinned| quarantine::is_named(&ledger, &pinned.id, &pinned.digest));
        let failed = running
            .failed
            .keys()
            .filter(|id| wanted.get(&***id).is_some_and(|release| quarantine::is_named(&ledger, id, &release.digest)));
        running.alone = pinned.map(|pinned| &pinned.id).chain(failed).cloned().collect();
        running.loaded.retain(|id, _| wanted.contains_key(&**id));
        running.retired.retain(|id, _| installed.iter().any(|plugin| plugin.id == *id));
        running.generation = Some(generation);
        set(self.compose(&running));
        Ok(())
    }

    async fn run(&self, running: &mut Running, id: &str, release: &Release) -> Result<()> {
        let key = json!([release.digest, release.grants, release.settings]);
        if running.loaded.get(id).is_some_and(|loaded| loaded.key == key) {
            return Ok(());
        }
        let plugin = match running.retired.remove(id).filter(|retired| retired.key == key) {
            Some(retired) => retired.plugin,
            None => {
                let wasm = self.store().plugin_component(&release.digest).await?;
                let wasm =
                    wasm.ok_or_else(|| GalleryError::NotFound(format!("the bytes {} are gone", release.digest)))?;
                self.load_watched(id, wasm, release).await?
            }
        };
        if let Some(old) = running.loaded.insert(id.to_owned(), Loaded { key, plugin }) {
            // Calls under way end on it; it takes no memory beyond them.
            old.plugin.cool();
            running.retired.insert(id.to_owned(), old);
        }
        tracing::info!(plugin = id, digest = release.digest, "A plugin runs");
        Ok(())
    }

    /// Those of the settings first, then the others by id.
    fn compose(&self, running: &Running) -> Plugins {
        let mut plugins = Plugins { quarantined: running.alone.clone(), ..Plugins::default() };
        for pinned in &self.parts.pinned {
            if let Some(plugin) = &pinned.plugin {
                plugins.add(plugin.clone());
            }
        }
        for loaded in running.loaded.values() {
            plugins.add(loaded.plugin.clone());
        }
        plugins
    }

    /// Brings itself in line, and gives what runs.
    pub async fn loaded_now(&self) -> Result<Plugins> {
        self.sync(false, |_| {}).await?;
        Ok(self.compose(&*self.running.lock().await))
    }

    /// How the installed ones are here. `None`: what is installed was not read yet.
    pub(super) async fn health(&self, id: &str) -> Option<Health> {
        let running = self.running.lock().await;
        running.generation?;
        if let Some(why) = running.failed.get(id) {
            return Some(Health { state: "failed", why: Some(why.clone()) });
        }
        running.loaded.contains_key(id).then_some(Health { state: "running", why: None })
    }
}

impl Gallery {
    /// Runs what the database says, from now on.
    pub async fn sync_plugins(&self) -> Result<()> {
        self.sync_with(false).await
    }

    async fn sync_with(&self, retry: bool) -> Result<()> {
        let Some(manager) = self.plugin_manager() else { return Ok(()) };
        manager.sync(retry, |plugins| self.set_plugins(plugins)).await
    }

    /// Keeps in line with the database for ever: at once when another process says so, otherwise within seconds.
    pub async fn watch_plugins(&self) {
        let mut told = self.queue().told();
        let mut looks = 0_u32;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => looks = looks.wrapping_add(1),
                () = hear(&mut told) => {}
            }
            if let Err(error) = self.sync_with(looks % RETRY == RETRY - 1).await {
                tracing::warn!(%error, "Cannot see whether plugins changed");
            }
            match self.store().quarantined().await {
                Ok(ledger) => quarantine::apply(&self.plugins(), &ledger),
                Err(error) => tracing::debug!(%error, "Cannot look for plugins in quarantine"),
            }
        }
    }
}

/// Until somebody says that plugins changed, or may have.
async fn hear(told: &mut tokio::sync::broadcast::Receiver<String>) {
    loop {
        match told.recv().await {
            Ok(words) if words.contains(CHANGED) => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            // Nobody will say anything any more.
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
