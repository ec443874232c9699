//! What can be wrong, in the product's words. The status is the edge's business.

use blobs::StorageError;
use queue::QueueError;
use store::StoreError;

pub type Result<T, E = GalleryError> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum GalleryError {
    /// Not signed in, or with the wrong words. The text is one that clients compare.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// Signed in, but not allowed.
    #[error("{0}")]
    Forbidden(String),
    /// What was asked for cannot be.
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    TooLarge(String),
    #[error("too many attempts, try again in a minute")]
    TooManyAttempts,
    /// A body that ended too early.
    #[error("the upload was cut off: {0}")]
    CutOff(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("the disk of the server failed: {0}")]
    Io(#[from] std::io::Error),
}

impl GalleryError {
    /// Immich's words for an id that is unknown or somebody else's: the two must not be told apart.
    pub fn no_access(permission: &str) -> Self {
        Self::Invalid(format!("Not found or no {permission} access"))
    }
}
