//! PostgreSQL. The one crate that holds SQL.

pub mod accounts;
pub mod assets;
pub mod corrections;
pub mod deleted;
pub mod derivatives;
pub mod error;
pub mod exif;
pub mod faces;
mod facts;
pub mod intents;
mod migrate;
pub mod moving;
pub mod outbox;
pub mod people;
pub mod plugin_kv;
pub mod plugins;
mod pool;
pub mod quarantine;
pub mod removal;
pub mod runs;
pub mod search;
pub mod steps;
pub mod sync;
pub mod timeline;
mod tls;
mod turn;
pub mod uploads;
pub mod videos;

pub use error::{Result, StoreError};
pub use pool::{PoolStatus, Store, StoreConfig};
pub use turn::Turn;
