//! Plugins in quarantine, kept in the database: every node leaves alone what one of them found broken, also after a restart.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use plugin_host::{HostError, OperatorGrant, Plugin, PluginError, PluginHost, Watch, read_manifest};
use sha2::{Digest as _, Sha256};
use store::Store;
use store::quarantine::Quarantined;

use super::Plugins;
use crate::{GalleryError, Result};

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

/// Loads a plugin unless this version of it is in quarantine. One that traps in its first call, or does not end it twice, is put
/// there: it would hold up every start.
///
/// # Errors
/// [`GalleryError::Invalid`]: it is in quarantine, or now it is, or it cannot be loaded.
pub async fn load(store: &Store, host: &PluginHost, wasm: Bytes, grant: &OperatorGrant) -> Result<Arc<Plugin>> {
    let invalid = |error: HostError| GalleryError::Invalid(error.to_string());
    let id = read_manifest(&wasm).map_err(invalid)?.id;
    let digest = hex::encode(Sha256::digest(&wasm));
    let ledger = store.quarantined().await?;
    if let Some(found) = ledger.iter().find(|row| row.plugin == id && row.digest == digest) {
        return Err(left_alone(&id, found.since, &found.reason));
    }
    let mut loaded = host.load(wasm.clone(), grant).await;
    if matches!(&loaded, Err(HostError::FirstCall { error: PluginError::Timeout(_), .. })) {
        loaded = host.load(wasm, grant).await;
    }
    if let Err(HostError::FirstCall { error: error @ (PluginError::Trap(_) | PluginError::Timeout(_)), .. }) = &loaded {
        let reason = format!("its first call: {error}");
        store.quarantine(&id, &digest, &reason).await?;
        return Err(left_alone(&id, Timestamp::now(), &reason));
    }
    loaded.map_err(invalid)
}

fn left_alone(id: &str, since: Timestamp, reason: &str) -> GalleryError {
    GalleryError::Invalid(format!(
        "{id} is in quarantine since {since}: {reason}. Enable it to give it another chance, or install another version"
    ))
}

/// Is this version among them?
pub fn is_named(ledger: &[Quarantined], id: &str, digest: &str) -> bool {
    ledger.iter().any(|row| row.plugin == id && row.digest == digest)
}

/// Puts away what the ledger names, and lets out what it names no longer.
pub fn apply(plugins: &Plugins, ledger: &[Quarantined]) {
    for plugin in plugins.all() {
        let is_this = |row: &&Quarantined| row.plugin == plugin.manifest().id && row.digest == plugin.digest();
        match ledger.iter().find(is_this) {
            Some(row) => plugin.quarantine(&row.reason, row.since),
            None => plugin.release(),
        }
    }
}
