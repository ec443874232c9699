//! The operator's settings, and the only clock and randomness to trust.

use serde::de::DeserializeOwned;

use crate::bindings::latent::plugin::config;
use crate::{Error, Result};

/// The operator's settings as a type. An object without keys where nothing is set.
///
/// # Errors
/// [`Error::Invalid`] with the place where the JSON does not fit.
pub fn settings<T: DeserializeOwned>() -> Result<T> {
    serde_json::from_str(&config::settings()).map_err(|error| Error::Invalid(format!("the plugin's settings: {error}")))
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    config::now_ms()
}

/// Bytes that nobody can guess, at most 4096: a component has no other source of them.
pub fn random(len: u32) -> Vec<u8> {
    config::random(len)
}
