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
    /// Is something down or full, so that the same may succeed later? Otherwise it fails with these bytes for ever.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            // `Other` is what a plugin says of a disk or a network that it does not understand: not the photo's fault.
            Self::Storage(error) => !matches!(error, StorageError::NotFound(_) | StorageError::Refused(_)),
            Self::Queue(error) => matches!(error, QueueError::Unavailable(_)),
            // What the operating system says is about the machine; what we wrapped ourselves has no number.
            Self::Io(error) => error.raw_os_error().is_some() || error.kind() == std::io::ErrorKind::TimedOut,
            _ => false,
        }
    }

    /// Immich's words for an id that is unknown or somebody else's: the two must not be told apart.
    pub fn no_access(permission: &str) -> Self {
        Self::Invalid(format!("Not found or no {permission} access"))
    }
}
