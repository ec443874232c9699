//! Locations: `<backend>:<path>`, so that objects of several backends live side by side.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::resume::resuming;
use crate::{Blob, BlobClass, Inbox, Object, StorageBackend, StorageError, Stored};

/// The inbox and all named backends.
pub struct Blobs {
    pub inbox: Inbox,
    backends: HashMap<String, Arc<dyn StorageBackend>>,
    originals: String,
    derivatives: String,
}

impl Blobs {
    /// `originals` and `derivatives` name the backends that take new objects.
    ///
    /// # Errors
    /// One of the two names no backend.
    pub fn new(
        inbox: Inbox,
        backends: HashMap<String, Arc<dyn StorageBackend>>,
        originals: &str,
        derivatives: &str,
    ) -> Result<Self, StorageError> {
        for name in [originals, derivatives] {
            if !backends.contains_key(name) {
                return Err(StorageError::Refused(format!("[storage.backend.{name}] is not in the settings")));
            }
        }
        Ok(Self { inbox, backends, originals: originals.into(), derivatives: derivatives.into() })
    }

    /// Puts an object into the backend of its class; returns its location and its length.
    pub async fn put(&self, object: &Object, source: &Blob) -> Result<(String, Stored), StorageError> {
        self.put_in(self.backend_of(object.class), object, source).await
    }

    /// Puts an object into the backend of that name.
    pub async fn put_in(&self, name: &str, object: &Object, source: &Blob) -> Result<(String, Stored), StorageError> {
        let stored = self.backend(name)?.put(object, source).await?;
        Ok((format!("{name}:{}", stored.location), stored))
    }

    /// The location of an object that a crash may have left in the backend of that name.
    pub async fn find_in(&self, name: &str, object: &Object) -> Result<Option<String>, StorageError> {
        let found = self.backend(name)?.find(object).await?;
        Ok(found.map(|stored| format!("{name}:{}", stored.location)))
    }

    /// `len` `None`: to the end.
    pub async fn get(&self, location: &str, offset: u64, len: Option<u64>) -> Result<Blob, StorageError> {
        let (backend, path) = self.resolve(location)?;
        let blob = backend.get(path, offset, len).await?;
        Ok(resuming(backend.clone(), path, offset, blob))
    }

    /// Up to `limit` objects of the backend of that name in order of location, after `after`: for people who look. What is to be
    /// deleted is never found by it.
    pub async fn list_in(&self, name: &str, after: Option<&str>, limit: u32) -> Result<Vec<Stored>, StorageError> {
        self.backend(name)?.list(after, limit).await
    }

    /// A link that a client may read from directly, where the backend makes such.
    pub async fn presign(&self, location: &str, expires: Duration) -> Result<Option<String>, StorageError> {
        let (backend, path) = self.resolve(location)?;
        backend.presign(path, expires).await
    }

    /// Success when nothing is there.
    pub async fn delete(&self, location: &str) -> Result<(), StorageError> {
        let (backend, path) = self.resolve(location)?;
        backend.delete(path).await
    }

    /// To where the object belongs now; returns the new location.
    pub async fn relocate(&self, location: &str, object: &Object) -> Result<String, StorageError> {
        let (backend, path) = self.resolve(location)?;
        let stored = backend.relocate(path, object).await?;
        let name = location.split_once(':').map_or("", |(name, _)| name);
        Ok(format!("{name}:{}", stored.location))
    }

    /// Each backend and what is wrong with it.
    pub async fn check(&self) -> Vec<(String, Result<(), StorageError>)> {
        let mut results = Vec::new();
        for (name, backend) in &self.backends {
            results.push((name.clone(), backend.check().await));
        }
        results
    }

    /// What is wrong with the backend of that name.
    pub async fn check_in(&self, name: &str) -> Result<(), StorageError> {
        self.backend(name)?.check().await
    }

    /// Bytes used and free where originals go.
    pub async fn usage(&self) -> Result<Option<(u64, u64)>, StorageError> {
        self.backend(&self.originals)?.usage().await
    }

    /// Bytes used and free in the backend of that name.
    pub async fn usage_of(&self, name: &str) -> Result<Option<(u64, u64)>, StorageError> {
        self.backend(name)?.usage().await
    }

    /// Is there a backend of that name?
    pub fn has(&self, name: &str) -> bool {
        self.backends.contains_key(name)
    }

    /// The names of all backends, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.backends.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The backend that takes new objects of a class.
    pub fn backend_of(&self, class: BlobClass) -> &str {
        match class {
            BlobClass::Derivative | BlobClass::EncodedVideo => &self.derivatives,
            _ => &self.originals,
        }
    }

    fn backend(&self, name: &str) -> Result<&Arc<dyn StorageBackend>, StorageError> {
        let missing = || StorageError::Unavailable(format!("[storage.backend.{name}] is not in the settings any more"));
        self.backends.get(name).ok_or_else(missing)
    }

    fn resolve<'a>(&self, location: &'a str) -> Result<(&Arc<dyn StorageBackend>, &'a str), StorageError> {
        let (name, path) = location
            .split_once(':')
            .ok_or_else(|| StorageError::Refused(format!("the location {location:?} names no backend")))?;
        Ok((self.backend(name)?, path))
    }
}
