//! Blobs that the plugin makes.

pub use crate::bindings::latent::plugin::blob_write::{Writer, create};
