//! What happens, for those who wait for it.

use tokio::sync::broadcast;
use types::{ApiKeyId, AssetId, PersonId, SessionId, UserId};

/// Something that an owner's clients want to know.
#[derive(Debug, Clone)]
pub enum Event {
    /// The asset is there and has its thumbnail.
    UploadReady {
        owner: UserId,
        asset: AssetId,
    },
    AssetUpdated {
        owner: UserId,
        asset: AssetId,
    },
    AssetDeleted {
        owner: UserId,
        asset: AssetId,
    },
    AssetsTrashed {
        owner: UserId,
        assets: Vec<AssetId>,
    },
    AssetsRestored {
        owner: UserId,
        assets: Vec<AssetId>,
    },
    /// Somebody signed out: whoever listens with this session hears no more.
    SessionEnded {
        owner: UserId,
        session: SessionId,
    },
    /// The same, for a key.
    ApiKeyDeleted {
        owner: UserId,
        key: ApiKeyId,
    },
    /// The person has a new thumbnail.
    PersonThumbnail {
        owner: UserId,
        person: PersonId,
    },
}

impl Event {
    /// Whose clients are told.
    pub fn owner(&self) -> UserId {
        match self {
            Self::UploadReady { owner, .. }
            | Self::AssetUpdated { owner, .. }
            | Self::AssetDeleted { owner, .. }
            | Self::AssetsTrashed { owner, .. }
            | Self::AssetsRestored { owner, .. }
            | Self::SessionEnded { owner, .. }
            | Self::ApiKeyDeleted { owner, .. }
            | Self::PersonThumbnail { owner, .. } => *owner,
        }
    }
}

/// Events of this process. A listener that falls behind loses the oldest.
#[derive(Debug, Clone)]
pub struct EventBus(broadcast::Sender<Event>);

impl Default for EventBus {
    fn default() -> Self {
        Self(broadcast::channel(1_024).0)
    }
}

impl EventBus {
    /// Tells everybody who listens; nobody may.
    pub fn publish(&self, event: Event) {
        let _ = self.0.send(event);
    }

    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}
