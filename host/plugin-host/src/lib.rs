//! wasmtime: loads components, lends them capabilities, grants, pools, limits. The one crate that knows wasmtime.

mod bindings;
mod cache;
mod capabilities;
mod engine;
mod error;
mod grant;
mod instance;
mod manifest;
mod plugin;
mod storage;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

pub use error::{HostError, PluginError};
pub use grant::OperatorGrant;
pub use manifest::{MANIFEST_SECTION, Manifest, read_manifest};
pub use plugin::Plugin;

/// Where a host keeps what it compiled, and how much it may run at once.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Ours alone (0700): compiled code and the key that seals it.
    pub cache_dir: PathBuf,
    /// Threads that run guests.
    pub threads: usize,
}

/// The plugin host of a process.
pub struct PluginHost {
    shared: Arc<engine::Shared>,
    cache: cache::CompileCache,
}

impl PluginHost {
    /// Makes the engine and starts its clock.
    ///
    /// # Errors
    /// The cache folder cannot be made or is not ours, or wasmtime refuses this machine.
    pub fn new(config: &HostConfig) -> Result<Self, HostError> {
        let shared = engine::Shared::new(config.threads)?;
        Ok(Self { cache: cache::CompileCache::open(&config.cache_dir)?, shared: Arc::new(shared) })
    }

    /// Verifies a component, compiles it (or takes it from the cache), links what it was granted and calls `init` once.
    ///
    /// # Errors
    /// Not a component, no manifest or more than one, an import that was not granted or is none of ours (by name), exports that
    /// do not fit the world of the manifest, or a guest that fails its first call.
    pub async fn load(&self, wasm: Bytes, grant: &OperatorGrant) -> Result<Arc<Plugin>, HostError> {
        Plugin::load(self.shared.clone(), &self.cache, wasm, grant).await
    }
}
