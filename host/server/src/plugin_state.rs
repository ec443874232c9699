//! Small state of plugins, kept in the database.

use async_trait::async_trait;
use jiff::Timestamp;
use plugin_host::kv::{KvError, KvSpace, KvStore};
use store::plugin_kv::{self, KvWrite};
use store::{Store, StoreError};

/// `kv` of the plugins, over the store.
pub struct PluginState(pub Store);

fn of(space: &KvSpace) -> plugin_kv::KvSpace<'_> {
    plugin_kv::KvSpace { plugin: &space.plugin, scope: &space.scope, quota: space.quota }
}

fn written<T>(space: &KvSpace, result: Result<KvWrite<T>, StoreError>) -> Result<T, KvError> {
    match result.map_err(unavailable)? {
        KvWrite::Written(value) => Ok(value),
        KvWrite::Full => Err(KvError::Full { quota: space.quota }),
        KvWrite::NoNumber(why) => Err(KvError::NoNumber(why)),
    }
}

fn unavailable(error: StoreError) -> KvError {
    KvError::Unavailable(error.to_string())
}

#[async_trait]
impl KvStore for PluginState {
    async fn get(&self, space: &KvSpace, key: &str, now: Timestamp) -> Result<Option<Vec<u8>>, KvError> {
        self.0.plugin_value(of(space), key, now).await.map_err(unavailable)
    }

    async fn set(
        &self,
        space: &KvSpace,
        key: &str,
        value: &[u8],
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), KvError> {
        written(space, self.0.set_plugin_value(of(space), key, value, expires, now).await)
    }

    async fn delete(&self, space: &KvSpace, key: &str) -> Result<(), KvError> {
        self.0.delete_plugin_value(of(space), key).await.map_err(unavailable)
    }

    async fn increment(&self, space: &KvSpace, key: &str, by: i64, now: Timestamp) -> Result<i64, KvError> {
        written(space, self.0.add_to_plugin_value(of(space), key, by, now).await)
    }
}
