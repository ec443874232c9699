//! Where bytes live: inbox, originals, derivatives. Calls storage through one trait; knows no plugin.

mod arriving;
mod blob;
mod inbox;
mod locations;
mod resume;
mod scratch;
mod storage;

pub use blob::Blob;
pub use inbox::{Inbox, InboxWriter, Received};
pub use locations::Blobs;
pub use scratch::Scratch;
pub use storage::{BlobClass, Object, StorageBackend, StorageError, Stored};
