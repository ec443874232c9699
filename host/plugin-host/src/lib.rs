//! wasmtime: loads components, lends them capabilities, grants, pools, limits. The one crate that knows wasmtime.

mod bindings;
mod breaker;
mod budget;
mod cache;
mod call;
mod capabilities;
mod deadline;
pub mod directory;
mod embedder;
mod engine;
mod error;
mod faces;
mod grant;
mod held;
pub mod http;
mod inspect;
mod instance;
pub mod kernels;
pub mod kv;
mod log_rate;
mod manifest;
mod plugin;
mod schema;
mod secrets;
mod storage;
mod text;
mod traffic;
mod transcoder;
mod units;
mod worlds;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use inference::Inference;
use types::{Clock, SystemClock};

pub use embedder::{Embedder, EmbeddingSpace};
pub use error::{HostError, PluginError};
pub use faces::{FaceDetector, FaceSpace};
pub use grant::{Ceiling, HttpOrigin, OperatorGrant};
pub use inspect::Inspected;
pub use manifest::{MANIFEST_SECTION, Manifest, read_manifest};
pub use plugin::Plugin;
pub use secrets::{BoundSecret, SecretText};
pub use traffic::Traffic;
pub use transcoder::Transcoder;
pub use units::{ByteSize, Time};

/// Where a host keeps what it compiled, and how much it may run at once.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Ours alone (0700): compiled code and the key that seals it.
    pub cache_dir: PathBuf,
    /// Threads that run guests.
    pub threads: usize,
}

/// What the host lends beside its own code.
#[derive(Clone)]
pub struct Lent {
    /// `None`: no plugin that asks for a model can be loaded.
    pub inference: Option<Arc<Inference>>,
    /// Where plugins keep small state. `None`: no plugin that asks for it can be loaded.
    pub kv: Option<Arc<dyn kv::KvStore>>,
    /// Finds the addresses of the names that plugins send requests to.
    pub resolver: Arc<dyn http::Resolver>,
    /// By which circuit breakers wait.
    pub clock: Arc<dyn Clock>,
    /// Heavy work at once (decoding, resizing, encoding), on threads that may block.
    pub heavy: usize,
}

impl Default for Lent {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            inference: None,
            kv: None,
            resolver: Arc::new(http::SystemResolver),
            clock: Arc::new(SystemClock),
            heavy: cores,
        }
    }
}

/// The plugin host of a process.
pub struct PluginHost {
    shared: Arc<engine::Shared>,
    cache: Arc<cache::CompileCache>,
}

impl PluginHost {
    /// Makes the engine and starts its clock.
    ///
    /// # Errors
    /// The cache folder cannot be made or is not ours, or wasmtime refuses this machine.
    pub fn new(config: &HostConfig) -> Result<Self, HostError> {
        Self::lending(config, Lent::default())
    }

    /// The same, lending models too.
    ///
    /// # Errors
    /// Those of [`PluginHost::new`].
    pub fn lending(config: &HostConfig, lent: Lent) -> Result<Self, HostError> {
        let shared = engine::Shared::new(config.threads, lent)?;
        Ok(Self { cache: Arc::new(cache::CompileCache::open(&config.cache_dir)?), shared: Arc::new(shared) })
    }

    /// Verifies a component, compiles it (or takes it from the cache), links what it was granted and calls `init` once.
    ///
    /// # Errors
    /// Not a component or too large a one, no manifest or more than one, settings that do not fit its schema, an import that was not granted or is none of ours (by name), exports that
    /// do not fit the world of the manifest, or a guest that fails its first call.
    pub async fn load(&self, wasm: Bytes, grant: &OperatorGrant) -> Result<Arc<Plugin>, HostError> {
        Plugin::load(self.shared.clone(), self.cache.clone(), wasm, grant).await
    }

    /// What a component says that it is, after all that can be looked at without running it: its manifest, what it imports and
    /// what it exports. Compiles it, which the cache keeps.
    ///
    /// # Errors
    /// Those of [`PluginHost::load`], but for what an operator has to give.
    pub async fn inspect(&self, wasm: Bytes) -> Result<Inspected, HostError> {
        inspect::inspect(&self.shared, self.cache.clone(), wasm).await
    }

    /// The threads that guests run on. A call from one of them is not handed to another: it costs a microsecond.
    pub fn guests(&self) -> &tokio::runtime::Handle {
        self.shared.guests()
    }
}
