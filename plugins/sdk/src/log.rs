//! Events in the server's log, inside the span of the call.

use crate::bindings::latent::plugin::log;
pub use crate::bindings::latent::plugin::log::Level;

/// What a developer of the plugin wants to know.
pub fn debug(message: &str, fields: &[(&str, String)]) {
    event(Level::Debug, message, fields);
}

/// What happened.
pub fn info(message: &str, fields: &[(&str, String)]) {
    event(Level::Info, message, fields);
}

/// What went wrong and was dealt with.
pub fn warn(message: &str, fields: &[(&str, String)]) {
    event(Level::Warn, message, fields);
}

/// What went wrong.
pub fn error(message: &str, fields: &[(&str, String)]) {
    event(Level::Error, message, fields);
}

fn event(level: Level, message: &str, fields: &[(&str, String)]) {
    if log::enabled(level) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        log::event(level, message, &fields);
    }
}
