//! What the product does, in its own words: accounts, uploads, the library, the timeline. No HTTP, no SQL.

pub mod accounts;
pub mod assets;
pub mod corrections;
mod dates;
pub mod error;
pub mod events;
pub mod failpoint;
pub mod ingest;
pub mod people;
pub mod plugins;
mod queues;
pub mod search;
mod sweeper;
pub mod timeline;
pub mod trash;
pub mod uploads;
pub mod videos;

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use blobs::Blobs;
use moka::future::Cache;
use queue::Queue;
use store::Store;
use tokio::sync::{Notify, Semaphore};
use types::Clock;

pub use error::{GalleryError, Result};
pub use events::{Event, EventBus};
pub use plugins::{Looker, Plugins};
pub use store::timeline::TimelineFilter;

/// What a gallery is made of.
pub struct Parts {
    pub store: Store,
    pub blobs: Arc<Blobs>,
    pub queue: Queue,
    pub clock: Arc<dyn Clock>,
    pub settings: GallerySettings,
}

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct GallerySettings {
    /// Bytes of one upload at most.
    pub max_upload: u64,
    /// How long an upload may take from its intent to its commit before the sweeper takes it for dead.
    pub lease: Duration,
    /// Days after which what lies in the trash goes for ever.
    pub trash_days: u32,
    /// `None`: videos are kept and cannot be looked at.
    pub video: Option<Arc<videos::VideoWork>>,
}

impl Default for GallerySettings {
    fn default() -> Self {
        Self { max_upload: 32 << 30, lease: Duration::from_secs(3_600), trash_days: 30, video: None }
    }
}

/// The product. Cheap to clone.
#[derive(Clone)]
pub struct Gallery(Arc<Inner>);

struct Inner {
    parts: Parts,
    events: EventBus,
    /// Sessions and keys by the hash of their token, for seconds: every request asks.
    identities: Cache<[u8; 32], accounts::Identity>,
    /// Attempts to sign in, by address and e-mail.
    attempts: Cache<String, Arc<AtomicU32>>,
    /// Passwords are hashed on as many cores as there are: each costs 19 MiB.
    hashing: Semaphore,
    searches: search::Searches,
    plugins: RwLock<Plugins>,
    /// Something was put into the outbox.
    outbox: Notify,
}

impl Gallery {
    pub fn new(parts: Parts) -> Self {
        let identities = Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(10)).build();
        let attempts = Cache::builder().max_capacity(100_000).time_to_live(Duration::from_secs(60)).build();
        let events = EventBus::default();
        Self(Arc::new(Inner {
            parts,
            events,
            identities,
            attempts,
            hashing: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)),
            searches: search::Searches::default(),
            plugins: RwLock::default(),
            outbox: Notify::new(),
        }))
    }

    /// Where things that happen are told.
    pub fn events(&self) -> &EventBus {
        &self.0.events
    }

    /// The storage, for those who read what an asset names.
    pub fn blobs(&self) -> &Blobs {
        &self.0.parts.blobs
    }

    /// The queues, for those who feed and watch them.
    pub fn queue(&self) -> &Queue {
        &self.0.parts.queue
    }

    pub(crate) fn searches(&self) -> &search::Searches {
        &self.0.searches
    }

    pub(crate) fn installed(&self) -> &RwLock<Plugins> {
        &self.0.plugins
    }

    /// The database, for the rooms above that keep their own rows in it.
    pub fn store(&self) -> &Store {
        &self.0.parts.store
    }

    /// Waits until an upload was committed in this process.
    pub async fn outbox_filled(&self) {
        self.0.outbox.notified().await;
    }

    /// Can it serve? Names what cannot.
    pub async fn ready(&self) -> std::result::Result<(), String> {
        self.store().ping().await.map_err(|error| error.to_string())?;
        self.queue().ping().await.map_err(|error| error.to_string())?;
        for (name, result) in self.blobs().check().await {
            result.map_err(|error| format!("storage backend {name}: {error}"))?;
        }
        Ok(())
    }

    pub fn now(&self) -> jiff::Timestamp {
        self.0.parts.clock.now()
    }
}
