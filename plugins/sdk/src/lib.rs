//! What a plugin of Latent is written with: implement a trait, export it with a macro, read settings as a type.
//!
//! ```ignore
//! struct Nas;
//! impl latent_plugin::storage::Storage for Nas { /* put, get, ... */ }
//! latent_plugin::export_storage!(Nas);
//! ```

pub mod storage;

#[doc(hidden)]
pub use wit_bindgen;
