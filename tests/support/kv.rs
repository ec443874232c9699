//! Plugins' small state without a database.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use plugin_host::kv::{KvError, KvSpace, KvStore};

/// A store for what is about something else. Nothing in it ends.
#[derive(Default)]
pub struct Memory(Mutex<HashMap<(String, String), Vec<u8>>>);

#[async_trait]
impl KvStore for Memory {
    async fn get(&self, space: &KvSpace, key: &str, _: Timestamp) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.0.lock().get(&(space.scope.clone(), key.to_owned())).cloned())
    }

    async fn set(
        &self,
        space: &KvSpace,
        key: &str,
        value: &[u8],
        _: Option<Timestamp>,
        _: Timestamp,
    ) -> Result<(), KvError> {
        self.0.lock().insert((space.scope.clone(), key.to_owned()), value.to_vec());
        Ok(())
    }

    async fn delete(&self, space: &KvSpace, key: &str) -> Result<(), KvError> {
        self.0.lock().remove(&(space.scope.clone(), key.to_owned()));
        Ok(())
    }

    async fn increment(&self, _: &KvSpace, _: &str, _: i64, _: Timestamp) -> Result<i64, KvError> {
        Err(KvError::Unavailable("it only keeps".into()))
    }
}
