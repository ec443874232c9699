//! Bytes that the host holds.

pub use crate::bindings::latent::plugin::blob::Blob;
