//! `kv`: small state of a plugin.

use std::sync::Arc;
use std::time::Duration;

use crate::bindings::lent::latent::plugin::kv::Host;
use crate::bindings::lent::latent::plugin::types::Error;
use crate::instance::{Answer, HostState};
use crate::kv::{KvError, KvSpace, KvStore};

const LONGEST_KEY: usize = 256;
const LONGEST_VALUE: usize = 64 << 10;
/// Operations of one call.
const MOST: u32 = 1_000;
/// A time to live beyond this is for ever.
const FOR_EVER: u64 = 100 * 365 * 24 * 3_600 * 1_000;

impl Host for HostState {
    async fn get(&mut self, key: String) -> Answer<Option<Vec<u8>>> {
        let now = self.common.clock.now();
        self.on_kv(&key, move |store, space, key| async move { store.get(&space, &key, now).await }).await
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> Answer<()> {
        if value.len() > LONGEST_VALUE {
            return Ok(Err(Error::Limit(format!("{} bytes; a value has {LONGEST_VALUE} at most", value.len()))));
        }
        let now = self.common.clock.now();
        let ttl = ttl_ms.filter(|ttl| *ttl < FOR_EVER).map(Duration::from_millis);
        let expires = ttl.and_then(|ttl| now.checked_add(ttl).ok());
        let set = move |store: Arc<dyn KvStore>, space, key: String| async move {
            store.set(&space, &key, &value, expires, now).await
        };
        self.on_kv(&key, set).await
    }

    async fn delete(&mut self, key: String) -> Answer<()> {
        self.on_kv(&key, |store, space, key| async move { store.delete(&space, &key).await }).await
    }

    async fn increment(&mut self, key: String, by: i64) -> Answer<i64> {
        let now = self.common.clock.now();
        self.on_kv(&key, move |store, space, key| async move { store.increment(&space, &key, by, now).await }).await
    }
}

impl HostState {
    async fn on_kv<T: Send + 'static, F: Future<Output = Result<T, KvError>> + Send>(
        &mut self,
        key: &str,
        work: impl FnOnce(Arc<dyn KvStore>, KvSpace, String) -> F + Send + 'static,
    ) -> Answer<T> {
        if key.is_empty() || key.len() > LONGEST_KEY || key.contains('\0') {
            return Ok(Err(Error::Invalid(format!("a key has 1 to {LONGEST_KEY} bytes and no NUL"))));
        }
        self.usage.kv += 1;
        if self.usage.kv > MOST {
            return Ok(Err(Error::Limit(format!("more than {MOST} operations in one call"))));
        }
        let Some(kv) = &self.common.kv else {
            return Ok(Err(Error::Denied("no kv was granted".into())));
        };
        let (store, space, turns, key) = (kv.store.clone(), kv.space.clone(), kv.turns.clone(), key.to_owned());
        let done = self.elsewhere(async move {
            let _turn = turns.acquire().await.map_err(|_| Error::Cancelled)?;
            work(store, space, key).await.map_err(kv_error)
        });
        done.await
    }
}

fn kv_error(error: KvError) -> Error {
    match error {
        KvError::Full { quota } => Error::Limit(format!("the quota of {quota} bytes is used up: delete something")),
        KvError::NoNumber(why) => Error::Invalid(why),
        KvError::Unavailable(why) => {
            tracing::warn!(error = why, "The state of a plugin is not to be had");
            Error::Unavailable("the server's database".into())
        }
    }
}
