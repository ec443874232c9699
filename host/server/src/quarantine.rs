//! Plugins in quarantine, kept in the database: every node leaves alone what one of them found broken, also after a restart.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use gallery::{Gallery, Plugins};
use jiff::Timestamp;
use plugin_host::{HostError, OperatorGrant, Plugin, PluginError, PluginHost, Watch, read_manifest};
use sha2::{Digest as _, Sha256};
use store::Store;
use store::quarantine::Quarantined;
use tokio_util::sync::CancellationToken;

/// How often a node looks for what others have found, and for what was released.
const LOOK: Duration = Duration::from_secs(10);

/// Writes down what is put in quarantine.
pub struct Ledger(pub Store);

#[async_trait]
impl Watch for Ledger {
    async fn quarantined(&self, plugin: &str, digest: &str, reason: &str) {
        if let Err(error) = self.0.quarantine(plugin, digest, reason).await {
            tracing::error!(plugin, %error, "A plugin's quarantine cannot be written down: after a restart it is called again");
        }
    }
}

/// A version of a plugin that is left alone.
#[derive(Debug, thiserror::Error)]
#[error(
    "{id} is in quarantine since {since}: {reason}. Enable it to give it another chance, or install another version"
)]
pub struct InQuarantine {
    pub id: String,
    pub reason: String,
    pub since: Timestamp,
}

/// Loads a plugin unless this version of it is in quarantine. One that traps in its first call, or does not end it twice, is put
/// there: it would hold up every start.
///
/// # Errors
/// [`InQuarantine`] where it is, or is now; otherwise why it cannot be loaded.
pub async fn load(store: &Store, host: &PluginHost, wasm: Bytes, grant: &OperatorGrant) -> Result<Arc<Plugin>> {
    let id = read_manifest(&wasm)?.id;
    let digest = hex::encode(Sha256::digest(&wasm));
    let ledger = store.quarantined().await?;
    if let Some(found) = ledger.iter().find(|row| row.plugin == id && row.digest == digest) {
        return Err(InQuarantine { id, reason: found.reason.clone(), since: found.since }.into());
    }
    let mut loaded = host.load(wasm.clone(), grant).await;
    if matches!(&loaded, Err(HostError::FirstCall { error: PluginError::Timeout(_), .. })) {
        loaded = host.load(wasm, grant).await;
    }
    if let Err(HostError::FirstCall { error: error @ (PluginError::Trap(_) | PluginError::Timeout(_)), .. }) = &loaded {
        let reason = format!("its first call: {error}");
        store.quarantine(&id, &digest, &reason).await?;
        return Err(InQuarantine { id, reason, since: Timestamp::now() }.into());
    }
    Ok(loaded?)
}

/// Until `stop`.
pub async fn follow(gallery: Gallery, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        match gallery.store().quarantined().await {
            Ok(ledger) => apply(&gallery.plugins(), &ledger),
            Err(error) => tracing::debug!(%error, "Cannot look for plugins in quarantine"),
        }
    }
}

/// Puts away what the ledger names, and lets out what it names no longer.
pub fn apply(plugins: &Plugins, ledger: &[Quarantined]) {
    for plugin in plugins.all() {
        let is_named = |row: &&Quarantined| row.plugin == plugin.manifest().id && row.digest == plugin.digest();
        match ledger.iter().find(is_named) {
            Some(row) => plugin.quarantine(&row.reason, row.since),
            None => plugin.release(),
        }
    }
}
