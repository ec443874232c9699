//! Ids: UUIDv7, one type for each kind of thing, so that a person is never taken for a face.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a UUID")]
pub struct ParseIdError {
    /// What was given, cut to 64 characters.
    pub text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id: UUIDv7, so that ids made later sort later.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_| ParseIdError { text: text.chars().take(64).collect() })
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }
    )*};
}

ids! {
    /// A person with an account.
    UserId,
    /// A photo or a video.
    AssetId,
    /// Somebody who is seen in photos.
    PersonId,
    /// One face in one photo.
    FaceId,
    /// A signed-in client.
    SessionId,
    /// A key that a tool signs in with.
    ApiKeyId,
    /// A blob that is on its way into the library (DESIGN 3).
    IntentId,
    /// A unit of work in the queue.
    JobId,
    /// A run of a pipeline over many assets.
    RunId,
    /// Photos and videos that somebody put together.
    AlbumId,
    /// An address that shows some of them to whoever has it.
    LinkId,
    /// A comment or a like.
    ActivityId,
    /// Several takes of one moment.
    StackId,
    /// A tag of an owner.
    TagId,
    /// Photos that are shown on a day to remember.
    MemoryId,
    /// Assets that look the same.
    DuplicateId,
    /// One thing that is done to a photo when it is shown.
    EditId,
    /// Something that a user is told.
    NotificationId,
}
