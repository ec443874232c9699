//! Composition root: reads settings, builds the parts, runs a role.

mod check;
pub mod compose;
pub mod config;
pub mod metrics;
pub mod models;
mod plugins;
pub mod settings;
mod storage;
mod video;

pub use check::check;
pub use compose::{Role, Running, start};
pub use settings::Settings;
