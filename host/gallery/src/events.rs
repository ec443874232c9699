//! What happens, for those who wait for it, in every process of an installation.

use queue::Queue;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use types::{AlbumId, ApiKeyId, AssetId, JobId, NotificationId, PersonId, SessionId, UserId};

/// Something that an owner's clients want to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
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
    /// It is shown with other edits than before, or with none.
    AssetEdited {
        owner: UserId,
        asset: AssetId,
    },
    /// What is stacked with what.
    StacksChanged {
        owner: UserId,
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
    /// An album that this user has is another than it was.
    AlbumUpdated {
        owner: UserId,
        album: AlbumId,
    },
    /// Something about the account or a session of theirs is another: what a process remembers of it is not true any more.
    AccountChanged {
        owner: UserId,
    },
    /// They are told something.
    Notified {
        owner: UserId,
        notification: NotificationId,
    },
    /// An account is gone, with everything in it.
    UserDeleted {
        user: UserId,
    },
    /// An administrator changed the settings that can be changed while it runs.
    ConfigChanged,
}

impl Event {
    /// Whose clients are told; `None`: everybody's.
    pub fn owner(&self) -> Option<UserId> {
        match self {
            Self::UploadReady { owner, .. }
            | Self::AssetUpdated { owner, .. }
            | Self::AssetDeleted { owner, .. }
            | Self::AssetsTrashed { owner, .. }
            | Self::AssetsRestored { owner, .. }
            | Self::AssetEdited { owner, .. }
            | Self::StacksChanged { owner }
            | Self::SessionEnded { owner, .. }
            | Self::ApiKeyDeleted { owner, .. }
            | Self::PersonThumbnail { owner, .. }
            | Self::AlbumUpdated { owner, .. }
            | Self::AccountChanged { owner }
            | Self::Notified { owner, .. } => Some(*owner),
            Self::UserDeleted { .. } | Self::ConfigChanged => None,
        }
    }
}

/// How many events a listener may be behind before it loses the oldest.
const BACKLOG: usize = 1_024;

/// Events of this process, and where [`EventBus::carry`] runs, of all that share its Redis.
#[derive(Debug, Clone)]
pub struct EventBus {
    all: broadcast::Sender<Event>,
    /// Those that happened here.
    own: broadcast::Sender<Event>,
    /// Tells what came back from Redis from what is new.
    process: JobId,
}

impl Default for EventBus {
    fn default() -> Self {
        Self { all: broadcast::channel(BACKLOG).0, own: broadcast::channel(BACKLOG).0, process: JobId::generate() }
    }
}

/// An event on its way to other processes.
#[derive(Serialize, Deserialize)]
struct Carried {
    from: JobId,
    #[serde(flatten)]
    event: Event,
}

impl EventBus {
    /// Tells everybody who listens; nobody may.
    pub fn publish(&self, event: Event) {
        let _ = self.own.send(event.clone());
        let _ = self.all.send(event);
    }

    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.all.subscribe()
    }

    /// Carries events to and from the other processes, for ever. Each is heard once: here at once, there by way of Redis. One
    /// that Redis misses is not repeated: clients ask again when they come back.
    pub async fn carry(&self, queue: &Queue) {
        let (mut own, mut told) = (self.own.subscribe(), queue.told());
        loop {
            tokio::select! {
                event = own.recv() => match event {
                    Ok(event) => self.tell(queue, event).await,
                    Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "Other processes missed events"),
                    Err(RecvError::Closed) => return,
                },
                words = told.recv() => match words {
                    Ok(words) => self.hear(&words),
                    Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "Events of other processes were missed"),
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    async fn tell(&self, queue: &Queue, event: Event) {
        let carried = serde_json::to_string(&Carried { from: self.process, event });
        match carried {
            Ok(words) => {
                if let Err(error) = queue.tell(&words).await {
                    tracing::debug!(%error, "Other processes cannot be told of an event");
                }
            }
            Err(error) => tracing::error!(%error, "An event cannot be written"),
        }
    }

    fn hear(&self, words: &str) {
        match serde_json::from_str::<Carried>(words) {
            Ok(carried) if carried.from == self.process => {}
            Ok(carried) => drop(self.all.send(carried.event)),
            // Another version may tell what this one does not know.
            Err(error) => tracing::debug!(%error, words, "An event of another process is not understood"),
        }
    }
}
