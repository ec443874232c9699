//! Small state that survives a call.

pub use crate::bindings::latent::plugin::kv::{delete, get, increment, set};
