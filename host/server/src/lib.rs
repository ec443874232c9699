//! Composition root: reads settings, builds the parts, runs a role.

pub mod admin;
mod admin_config;
mod check;
pub mod compose;
pub mod config;
mod grants;
mod marker;
pub mod metrics;
pub mod models;
pub mod pipelines;
pub mod plugin;
pub mod plugin_state;
mod plugins;
pub mod settings;
mod storage;
mod video;

pub use check::check;
pub use compose::{Role, Running, start, start_at};
pub use settings::Settings;
