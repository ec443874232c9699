//! Keys that the plugin uses and never holds.

pub use crate::bindings::latent::plugin::secrets::hmac_sha256_chain;
