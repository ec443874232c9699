//! What the product does, in its own words: accounts, uploads, the library, the timeline. No HTTP, no SQL.

pub mod accounts;
pub mod activities;
pub mod albums;
pub mod asset_metadata;
pub mod assets;
pub mod bulk;
pub mod config;
mod copies;
pub mod corrections;
mod dates;
pub mod downloads;
pub mod duplicates;
pub mod edits;
pub mod error;
pub mod events;
pub mod facts;
pub mod failpoint;
pub mod ingest;
pub mod links;
mod map;
pub mod memories;
pub mod moving;
pub mod notifications;
pub mod partners;
pub mod people;
pub mod pin;
pub mod plugins;
pub mod preferences;
mod profile;
mod queues;
pub mod search;
pub mod sessions;
pub mod stacks;
mod sweeper;
pub mod sync;
pub mod tags;
pub mod timeline;
pub mod trash;
pub mod uploads;
pub mod users;
pub mod videos;
mod views;
pub mod visible;

use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use blobs::{BlobClass, Blobs};
use moka::future::Cache;
use queue::Queue;
use store::Store;
use store::moving::Held;
use tokio::sync::{Notify, Semaphore};
use types::Clock;

pub use error::{GalleryError, Result};
pub use events::{Event, EventBus};
pub use plugins::{Looker, Plugins};
pub use store::timeline::{Scope, TimelineFilter};
pub use visible::Viewer;

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
    /// What is made of a picture that is edited.
    pub thumbnails: media::ThumbnailSpec,
}

impl Default for GallerySettings {
    fn default() -> Self {
        Self {
            max_upload: 32 << 30,
            lease: Duration::from_secs(3_600),
            trash_days: 30,
            video: None,
            thumbnails: Default::default(),
        }
    }
}

/// Room of a storage that says nothing of its end.
const ENDLESS: u64 = 1 << 50;

/// A storage backend as an operator sees it.
#[derive(Debug, Clone)]
pub struct Backend {
    pub name: String,
    /// Why it cannot be used.
    pub error: Option<String>,
    /// Bytes used and free, where it knows.
    pub usage: Option<(u64, u64)>,
    /// What rows of the database name there.
    pub objects: u64,
    /// As far as the rows know sizes.
    pub bytes: u64,
    /// What new objects go there.
    pub takes: Vec<&'static str>,
}

/// The product. Cheap to clone.
#[derive(Clone)]
pub struct Gallery(Arc<Inner>);

struct Inner {
    parts: Parts,
    events: EventBus,
    /// Sessions and keys by the hash of their token, for seconds: every request asks.
    identities: Cache<[u8; 32], accounts::Identity>,
    /// Counts how often they were forgotten.
    forgotten: AtomicU64,
    /// Attempts to sign in, by address and e-mail.
    attempts: Cache<String, Arc<AtomicU32>>,
    /// Passwords are hashed, and pictures of users decoded, on as many cores as there are: each costs 19 MiB and more.
    hashing: Semaphore,
    /// Pictures of full size are edited one at a time.
    editing: Semaphore,
    searches: search::Searches,
    syncs: sync::Syncs,
    plugins: RwLock<Plugins>,
    manager: OnceLock<Arc<plugins::Manager>>,
    /// Something was put into the outbox.
    outbox: Notify,
}

impl Gallery {
    pub fn new(parts: Parts) -> Self {
        let identities = Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(10)).build();
        let attempts = Cache::builder().max_capacity(100_000).time_to_live(Duration::from_secs(60)).build();
        let events = EventBus::default();
        let syncs = sync::Syncs::new(parts.store.pool_size());
        Self(Arc::new(Inner {
            parts,
            events,
            identities,
            forgotten: AtomicU64::new(0),
            attempts,
            hashing: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)),
            editing: Semaphore::new(1),
            searches: search::Searches::default(),
            syncs,
            plugins: RwLock::default(),
            manager: OnceLock::new(),
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

    /// Every backend: what it holds, its room, and what is wrong with it.
    pub async fn backends(&self) -> Vec<Backend> {
        let mut backends = Vec::new();
        for (name, checked) in self.blobs().check().await {
            let mut error = checked.err().map(|error| error.to_string());
            let usage = match &error {
                None => self.blobs().usage_of(&name).await.ok().flatten(),
                Some(_) => None,
            };
            let held = match self.store().held_in(&name).await {
                Ok(held) => held,
                Err(failed) => {
                    error.get_or_insert(failed.to_string());
                    Default::default()
                }
            };
            let sum = |part: fn(&Held) -> i64| held.iter().map(part).sum::<i64>().max(0) as u64;
            let (objects, bytes) = (sum(|held| held.objects), sum(|held| held.bytes));
            let takes = [("originals", BlobClass::Original), ("derivatives", BlobClass::Derivative)];
            let takes = takes.into_iter().filter(|(_, class)| self.blobs().backend_of(*class) == name);
            let takes = takes.map(|(what, _)| what).collect();
            backends.push(Backend { name, error, usage, objects, bytes, takes });
        }
        backends.sort_by(|a, b| a.name.cmp(&b.name));
        backends
    }

    /// Bytes used and free where originals go, as the apps show them. A storage that knows no end is shown as holding what the
    /// rows say, with a pebibyte of room: the apps divide one by the other, and 0 of 0 shows as full.
    pub async fn room(&self) -> Result<(u64, u64)> {
        if let Some(usage) = self.blobs().usage().await? {
            return Ok(usage);
        }
        let held = self.store().held_in(self.blobs().backend_of(BlobClass::Original)).await?;
        let bytes: i64 = held.iter().map(|held| held.bytes).sum();
        Ok((bytes.max(0) as u64, ENDLESS))
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
