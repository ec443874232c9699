//! Composition root: reads settings, builds the parts, runs a role.

pub mod compose;
pub mod config;
pub mod models;
mod plugins;
pub mod settings;

pub use compose::{Role, Running, start};
pub use settings::Settings;
