//! Where bytes live: inbox, originals, derivatives. Calls storage through one trait; knows no plugin.

mod blob;
mod storage;

pub use blob::Blob;
pub use storage::{BlobClass, Object, StorageBackend, StorageError, Stored};
