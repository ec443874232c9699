//! Small state that survives a call and a restart.

pub use crate::bindings::latent::plugin::kv::{delete, get, increment, set};
