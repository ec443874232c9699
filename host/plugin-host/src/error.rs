//! Why a plugin was not loaded, and why a call did not succeed.

use std::path::PathBuf;

/// A component that is not taken. Says what an operator or an author can do.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("cannot use {}: {why}", path.display())]
    Cache { path: PathBuf, why: String },
    #[error("this machine cannot run WebAssembly: {0}")]
    Engine(String),
    #[error("this is not a WebAssembly component: {0}. A core module becomes one with `cargo xtask plugins`")]
    NotAComponent(String),
    #[error("the plugin's manifest cannot be used: {0}")]
    Manifest(String),
    #[error("{id} imports {import}, which is no interface of latent:plugin; a plugin gets nothing else")]
    ForeignImport { id: String, import: String },
    #[error("{id} imports {import}, which the world {world} does not have")]
    OutsideWorld { id: String, import: String, world: String },
    #[error("{id} needs {what}, which was not granted: {how}")]
    NotGranted { id: String, what: String, how: String },
    #[error("{id}, model label {label:?}: {how}")]
    Model { id: String, label: String, how: String },
    #[error("{id} says that it is a {world}, but {why}")]
    Lies { id: String, world: String, why: String },
    #[error("it is {len} bytes long; a component has {most} at most")]
    TooLarge { len: usize, most: usize },
    #[error("{id} is a {world}, which stores nothing: a storage backend needs a plugin of a storage world")]
    StoresNothing { id: String, world: String },
    #[error("{id}, what is granted: {why}")]
    Grant { id: String, why: String },
    #[error("{id}, settings: {why}")]
    Settings { id: String, why: String },
    #[error("{id} failed its first call: {error}")]
    FirstCall { id: String, error: PluginError },
}

/// A call that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    #[error("not granted: {0}")]
    Denied(String),
    #[error("not found: {0}")]
    NotFound(String),
    #[error("exists already: {0}")]
    Exists(String),
    #[error("not valid: {0}")]
    Invalid(String),
    #[error("not supported: {0}")]
    Unsupported(String),
    #[error("a limit is reached: {0}")]
    Limit(String),
    #[error("no room left: {0}")]
    Full(String),
    #[error("it did not answer within {0} ms")]
    Timeout(u64),
    #[error("cancelled")]
    Cancelled,
    #[error("not available: {0}")]
    Unavailable(String),
    #[error("{0}")]
    Other(String),
    /// The guest broke: its instance is gone, the next call gets a fresh one.
    #[error("the plugin crashed: {0}")]
    Trap(String),
    /// The host broke while it worked for the guest. The instance is gone too.
    #[error("the plugin host failed: {0}")]
    Fault(String),
}

/// The host's own failure on its way through a guest, so that it is not taken for the guest's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HostFault(pub String);

impl PluginError {
    /// May the same call succeed later?
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Timeout(_) | Self::Cancelled | Self::Unavailable(_) | Self::Trap(_) | Self::Fault(_) | Self::Full(_)
        )
    }

    /// Did the call end without an answer of the guest?
    pub(crate) fn broke(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Trap(_) | Self::Fault(_))
    }

    /// May another item of the batch be to blame?
    pub(crate) fn may_be_one_item(&self) -> bool {
        !matches!(self, Self::Denied(_) | Self::Unavailable(_) | Self::Cancelled | Self::Full(_))
    }
}
