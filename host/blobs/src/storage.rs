//! The trait through which bytes reach a storage plugin. `plugin-host` implements it; `server` wires it.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::Blob;

/// What an object is, which decides where the layout puts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlobClass {
    Original,
    Derivative,
    EncodedVideo,
    Profile,
    Sidecar,
    Backup,
}

/// What a storage plugin may know of an object: what a path template needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Object {
    /// Names the object for ever; a repeated `put` with this key and hash finds what the first try stored.
    pub key: String,
    pub class: BlobClass,
    /// The owner's id.
    pub owner: String,
    pub owner_label: Option<String>,
    /// Milliseconds since 1970 of the local wall-clock.
    pub taken_ms: Option<i64>,
    /// Sanitised: no separator, no control character, at most 255 bytes.
    pub file_name: String,
    pub sha256: [u8; 32],
}

/// Where an object ended up, within its backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub location: String,
    pub len: u64,
    pub etag: Option<String>,
    pub modified_ms: Option<u64>,
}

/// Why a backend did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("not found: {0}")]
    NotFound(String),
    /// No room; trying again does not help before there is some.
    #[error("the storage is full: {0}")]
    Full(String),
    /// The other side is down or is not ours (an unmounted folder); try again later.
    #[error("the storage is not available: {0}")]
    Unavailable(String),
    #[error("the storage refused: {0}")]
    Refused(String),
    #[error("{0}")]
    Other(String),
}

/// One named place where objects live. Locations are the backend's own; `Blobs` puts the backend's name before them.
#[async_trait]
pub trait StorageBackend: Send + Sync + 'static {
    /// Durable before it returns. Idempotent by key and hash.
    async fn put(&self, object: &Object, source: &Blob) -> Result<Stored, StorageError>;
    /// Where `put` stored this object, if it did: what a crash between `put` and its answer left behind.
    async fn find(&self, object: &Object) -> Result<Option<Stored>, StorageError>;
    /// `len` `None`: to the end.
    async fn get(&self, location: &str, offset: u64, len: Option<u64>) -> Result<Blob, StorageError>;
    async fn head(&self, location: &str) -> Result<Option<Stored>, StorageError>;
    /// Success when nothing is there.
    async fn delete(&self, location: &str) -> Result<(), StorageError>;
    /// To where the object belongs now, or the same location.
    async fn relocate(&self, location: &str, object: &Object) -> Result<Stored, StorageError>;
    /// Up to `limit` objects in order of location, after `after`.
    async fn list(&self, after: Option<&str>, limit: u32) -> Result<Vec<Stored>, StorageError>;
    /// Is the backend there, and is it ours?
    async fn check(&self) -> Result<(), StorageError>;
    /// The text that `mark` left, of a backend that keeps its marker itself.
    async fn marker(&self) -> Result<Option<String>, StorageError>;
    /// Leaves a text that says whose the place is.
    async fn mark(&self, text: &str) -> Result<(), StorageError>;
    /// A link that a client may read from directly, where the backend makes such.
    async fn presign(&self, location: &str, expires: Duration) -> Result<Option<String>, StorageError>;
    /// Bytes used and free, where the backend knows.
    async fn usage(&self) -> Result<Option<(u64, u64)>, StorageError>;
}
