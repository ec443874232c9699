//! A storage plugin as `blobs` sees it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use blobs::{Blob, BlobClass, Object, StorageBackend, StorageError, Stored};
use wasmtime::component::Resource;

use crate::bindings::lent::latent::plugin::types;
use crate::bindings::storage::exports::latent::plugin::storage as guest;
use crate::held::HeldBlob;
use crate::text::{LONGEST, clean};
use crate::{Plugin, PluginError};

impl Plugin {
    /// This plugin as a backend. One of another world answers every call with an error.
    pub fn storage(self: &Arc<Self>) -> Arc<dyn StorageBackend> {
        Arc::new(StoragePlugin(self.clone()))
    }
}

struct StoragePlugin(Arc<Plugin>);

/// The guest's error in our words; its text is cut and has one line.
pub(crate) fn plugin_error(error: types::Error) -> PluginError {
    let plain = |text: String| clean(&text, LONGEST);
    match error {
        types::Error::Denied(text) => PluginError::Denied(plain(text)),
        types::Error::NotFound(text) => PluginError::NotFound(plain(text)),
        types::Error::Exists(text) => PluginError::Exists(plain(text)),
        types::Error::Invalid(text) => PluginError::Invalid(plain(text)),
        types::Error::Unsupported(text) => PluginError::Unsupported(plain(text)),
        types::Error::Limit(text) => PluginError::Limit(plain(text)),
        types::Error::Full(text) => PluginError::Full(plain(text)),
        // Something that the guest waited for: the guest itself did answer.
        types::Error::Timeout => PluginError::Unavailable("what the plugin asked did not answer in time".into()),
        types::Error::Cancelled => PluginError::Cancelled,
        types::Error::Unavailable(text) => PluginError::Unavailable(plain(text)),
        types::Error::Other(text) => PluginError::Other(plain(text)),
    }
}

fn storage_error(error: PluginError) -> StorageError {
    match error {
        PluginError::NotFound(text) => StorageError::NotFound(text),
        PluginError::Full(text) => StorageError::Full(text),
        PluginError::Unavailable(text) => StorageError::Unavailable(text),
        PluginError::Denied(text) | PluginError::Invalid(text) | PluginError::Exists(text) => {
            StorageError::Refused(text)
        }
        other => StorageError::Other(other.to_string()),
    }
}

fn object(object: &Object) -> guest::Object {
    guest::Object {
        key: object.key.clone(),
        class: match object.class {
            BlobClass::Original => guest::Class::Original,
            BlobClass::Derivative => guest::Class::Derivative,
            BlobClass::EncodedVideo => guest::Class::EncodedVideo,
            BlobClass::Profile => guest::Class::Profile,
            BlobClass::Sidecar => guest::Class::Sidecar,
            BlobClass::Backup => guest::Class::Backup,
        },
        owner: object.owner.clone(),
        owner_label: object.owner_label.clone(),
        taken_ms: object.taken_ms,
        file_name: object.file_name.clone(),
        sha256: object.sha256.to_vec(),
    }
}

fn stored(stored: guest::Stored) -> Stored {
    Stored { location: stored.location, len: stored.len, etag: stored.etag, modified_ms: stored.modified_ms }
}

#[async_trait]
impl StorageBackend for StoragePlugin {
    async fn put(&self, put: &Object, source: &Blob) -> Result<Stored, StorageError> {
        let (put, source) = (object(put), source.clone());
        let put = self.0.call("storage.put", move |instance| {
            Box::pin(async move {
                let handle = instance.store.data_mut().give(HeldBlob::from(source))?;
                let borrowed = Resource::new_borrow(handle.rep());
                let storage = instance.exports.storage()?;
                let result = storage.call_put(&mut instance.store, &put, borrowed).await;
                instance.store.data_mut().take(handle)?;
                Ok(result?.map_err(plugin_error))
            })
        });
        put.await.map(stored).map_err(storage_error)
    }

    async fn find(&self, wanted: &Object) -> Result<Option<Stored>, StorageError> {
        let wanted = object(wanted);
        let found = self.0.call("storage.find", move |instance| {
            Box::pin(async move {
                let storage = instance.exports.storage()?;
                Ok(storage.call_find(&mut instance.store, &wanted).await?.map_err(plugin_error))
            })
        });
        found.await.map(|found| found.map(stored)).map_err(storage_error)
    }

    async fn get(&self, location: &str, offset: u64, len: Option<u64>) -> Result<Blob, StorageError> {
        let location = location.to_owned();
        let blob = self.0.call("storage.get", move |instance| {
            Box::pin(async move {
                let storage = instance.exports.storage()?;
                match storage.call_get(&mut instance.store, &location, offset, len).await? {
                    // Taken out of the table: the blob outlives the guest.
                    Ok(handle) => {
                        let blob = instance.store.data_mut().take(handle)?.blob;
                        let unknown = || PluginError::Other("its object does not say how long it is".into());
                        Ok(blob.known_len().map(|_| blob).ok_or_else(unknown))
                    }
                    Err(error) => Ok(Err(plugin_error(error))),
                }
            })
        });
        blob.await.map_err(storage_error)
    }

    async fn head(&self, location: &str) -> Result<Option<Stored>, StorageError> {
        let location = location.to_owned();
        let found = self.0.call("storage.head", move |instance| {
            Box::pin(async move {
                let storage = instance.exports.storage()?;
                Ok(storage.call_head(&mut instance.store, &location).await?.map_err(plugin_error))
            })
        });
        found.await.map(|found| found.map(stored)).map_err(storage_error)
    }

    async fn delete(&self, location: &str) -> Result<(), StorageError> {
        let location = location.to_owned();
        let deleted = self.0.call("storage.delete", move |instance| {
            Box::pin(async move {
                let storage = instance.exports.storage()?;
                Ok(storage.call_delete(&mut instance.store, &location).await?.map_err(plugin_error))
            })
        });
        deleted.await.map_err(storage_error)
    }

    async fn relocate(&self, location: &str, to: &Object) -> Result<Stored, StorageError> {
        let (location, to) = (location.to_owned(), object(to));
        let moved = self.0.call("storage.relocate", move |instance| {
            Box::pin(async move {
                let storage = instance.exports.storage()?;
                Ok(storage.call_relocate(&mut instance.store, &location, &to).await?.map_err(plugin_error))
            })
        });
        moved.await.map(stored).map_err(storage_error)
    }

    async fn check(&self) -> Result<(), StorageError> {
        let checked = self.0.call("storage.check", move |instance| {
            Box::pin(async move {
                let storage = instance.exports.storage()?;
                Ok(storage.call_check(&mut instance.store).await?.map_err(plugin_error))
            })
        });
        checked.await.map_err(storage_error)
    }

    async fn list(&self, after: Option<&str>, limit: u32) -> Result<Vec<Stored>, StorageError> {
        let after = after.map(str::to_owned);
        let listed = self.0.call("storage.list", move |instance| {
            Box::pin(async move {
                let storage = instance.exports.storage()?;
                let listed = storage.call_list(&mut instance.store, after.as_deref(), limit).await?;
                Ok(listed.map_err(plugin_error))
            })
        });
        Ok(listed.await.map_err(storage_error)?.into_iter().map(stored).collect())
    }

    async fn marker(&self) -> Result<Option<String>, StorageError> {
        let marker = self.0.call("storage.marker", move |instance| {
            Box::pin(async move {
                let storage = instance.exports.storage()?;
                Ok(storage.call_marker(&mut instance.store).await?.map_err(plugin_error))
            })
        });
        marker.await.map_err(storage_error)
    }

    async fn mark(&self, text: &str) -> Result<(), StorageError> {
        let text = text.to_owned();
        let marked = self.0.call("storage.mark", move |instance| {
            Box::pin(async move {
                let storage = instance.exports.storage()?;
                Ok(storage.call_mark(&mut instance.store, &text).await?.map_err(plugin_error))
            })
        });
        marked.await.map_err(storage_error)
    }

    async fn presign(&self, location: &str, expires: Duration) -> Result<Option<String>, StorageError> {
        let (location, ms) = (location.to_owned(), u64::try_from(expires.as_millis()).unwrap_or(u64::MAX));
        let link = self.0.call("storage.presign", move |instance| {
            Box::pin(async move {
                let storage = instance.exports.storage()?;
                Ok(storage.call_presign(&mut instance.store, &location, ms).await?.map_err(plugin_error))
            })
        });
        link.await.map_err(storage_error)
    }

    async fn usage(&self) -> Result<Option<(u64, u64)>, StorageError> {
        let usage = self.0.call("storage.usage", move |instance| {
            Box::pin(async move {
                let storage = instance.exports.storage()?;
                Ok(storage.call_usage(&mut instance.store).await?.map_err(plugin_error))
            })
        });
        usage.await.map_err(storage_error)
    }
}
