//! What every room may name: ids, entities, findings, the clock. No IO.

mod clock;
mod entity;
mod finding;
mod id;
pub mod wire;

pub use clock::{Clock, FixedClock, SystemClock};
pub use entity::{AlbumRole, AssetType, Job, JobKind, Priority, QueueName, Visibility};
pub use finding::{DetectedFace, Point, Rect, Size};
pub use id::{
    ActivityId, AlbumId, ApiKeyId, AssetId, FaceId, IntentId, JobId, LinkId, ParseIdError, PersonId, RunId, SessionId,
    UserId,
};
