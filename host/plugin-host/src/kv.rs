//! Where plugins keep small state: a trait that the server implements over the database.

use async_trait::async_trait;
use jiff::Timestamp;

/// Whose state: a plugin's, and of a storage plugin the backend's that it serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KvSpace {
    pub plugin: String,
    /// Empty where the plugin is used once.
    pub scope: String,
    /// Bytes of keys and values in all.
    pub quota: u64,
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The quota is spent.
    #[error("the quota of {quota} bytes is used up")]
    Full { quota: u64 },
    /// `increment` of what is no number, or beyond what a number can be.
    #[error("{0}")]
    NoNumber(String),
    #[error("{0}")]
    Unavailable(String),
}

/// Keys and values of plugins. What has expired at `now` is not there.
#[async_trait]
pub trait KvStore: Send + Sync + 'static {
    async fn get(&self, space: &KvSpace, key: &str, now: Timestamp) -> Result<Option<Vec<u8>>, KvError>;
    async fn set(
        &self,
        space: &KvSpace,
        key: &str,
        value: &[u8],
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), KvError>;
    async fn delete(&self, space: &KvSpace, key: &str) -> Result<(), KvError>;
    /// In one step, whoever else does. Returns the sum.
    async fn increment(&self, space: &KvSpace, key: &str, by: i64, now: Timestamp) -> Result<i64, KvError>;
}
