//! Composition root: reads settings, builds the parts, runs a role.

mod check;
pub mod compose;
pub mod config;
mod grants;
pub mod metrics;
pub mod models;
pub mod plugin;
pub mod plugin_state;
mod plugins;
pub mod settings;
mod storage;

pub use check::check;
pub use compose::{Role, Running, start};
pub use settings::Settings;
