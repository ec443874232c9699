//! A storage plugin: of the world `local-storage`, which keeps objects in one directory, or `remote-storage`, which sends them.

use serde::de::DeserializeOwned;

use crate::Result;

#[doc(hidden)]
#[rustfmt::skip]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package latent:sdk-storage; world storage { export latent:plugin/storage@0.1.0; }",
        world: "latent:sdk-storage/storage",
        pub_export_macro: true,
        export_macro_name: "export_storage_bindings",
        default_bindings_module: "latent_plugin::storage::bindings",
        with: {
            "latent:plugin/types@0.1.0": crate::bindings::latent::plugin::types,
            "latent:plugin/blob@0.1.0": crate::bindings::latent::plugin::blob,
        },
        generate_all,
    });
}

pub use crate::Error;
pub use crate::bindings::latent::plugin::blob::Blob;
pub use crate::bindings::latent::plugin::blob_write::{Writer, create as create_blob};
pub use crate::bindings::latent::plugin::files;
pub use crate::bindings::latent::plugin::files::Entry;
pub use bindings::exports::latent::plugin::storage::{Class, Object, Stored};

/// What `init` prepares and every call reads.
pub trait Storage: Sized {
    /// The settings as a type; unknown keys are refused by serde's `deny_unknown_fields`.
    type Settings: DeserializeOwned;
    /// Once per instance, with the operator's settings.
    fn new(settings: Self::Settings) -> Result<Self, Error>;

    /// Idempotent by key and hash: a repeat finds what the first try stored.
    fn put(&self, object: Object, src: &Blob) -> Result<Stored, Error>;
    /// Where `put` stored this object, if it did.
    fn find(&self, object: Object) -> Result<Option<Stored>, Error>;
    /// Bytes from `offset` on, to the end where `len` is none.
    fn get(&self, location: String, offset: u64, len: Option<u64>) -> Result<Blob, Error>;
    /// What lies there, if anything does.
    fn head(&self, location: String) -> Result<Option<Stored>, Error>;
    /// Success when nothing is there.
    fn delete(&self, location: String) -> Result<(), Error>;
    /// To where the object belongs now, or the same location.
    fn relocate(&self, location: String, object: Object) -> Result<Stored, Error>;
    /// Up to `limit` objects in order of location, after `after`.
    fn list(&self, after: Option<String>, limit: u32) -> Result<Vec<Stored>, Error>;
    /// A link that a client may read from directly for so long, where the backend has them.
    fn presign(&self, _location: String, _expires_ms: u64) -> Result<Option<String>, Error> {
        Ok(None)
    }
    /// Is the backend there, and is it ours?
    fn check(&self) -> Result<(), Error>;
    /// Bytes used and free, where the backend knows.
    fn usage(&self) -> Result<Option<(u64, u64)>, Error>;
    /// The text that [`Storage::mark`] left, if there is one. A plugin with a directory needs neither: the host sees to its marker.
    fn marker(&self) -> Result<Option<String>, Error> {
        Err(Error::Unsupported("this storage has no marker of its own".into()))
    }
    /// Leaves a text that says whose the place is.
    fn mark(&self, _text: String) -> Result<(), Error> {
        Err(Error::Unsupported("this storage has no marker of its own".into()))
    }
}

/// Exports a [`Storage`] as a plugin.
#[macro_export]
macro_rules! export_storage {
    ($plugin:ty) => {
        const _: () = {
            use $crate::storage::bindings::exports::latent::plugin::storage::Guest;
            use $crate::storage::{Blob, Error, Object, Storage, Stored};

            $crate::__instance!($plugin as $crate::storage::Storage, $crate::storage::bindings);

            impl Guest for Export {
                fn put(object: Object, src: &Blob) -> Result<Stored, Error> {
                    with(|plugin| plugin.put(object, src))
                }
                fn find(object: Object) -> Result<Option<Stored>, Error> {
                    with(|plugin| plugin.find(object))
                }
                fn get(location: String, offset: u64, len: Option<u64>) -> Result<Blob, Error> {
                    with(|plugin| plugin.get(location, offset, len))
                }
                fn head(location: String) -> Result<Option<Stored>, Error> {
                    with(|plugin| plugin.head(location))
                }
                fn delete(location: String) -> Result<(), Error> {
                    with(|plugin| plugin.delete(location))
                }
                fn relocate(location: String, object: Object) -> Result<Stored, Error> {
                    with(|plugin| plugin.relocate(location, object))
                }
                fn list(after: Option<String>, limit: u32) -> Result<Vec<Stored>, Error> {
                    with(|plugin| plugin.list(after, limit))
                }
                fn presign(location: String, expires_ms: u64) -> Result<Option<String>, Error> {
                    with(|plugin| plugin.presign(location, expires_ms))
                }
                fn marker() -> Result<Option<String>, Error> {
                    with(|plugin| plugin.marker())
                }
                fn mark(text: String) -> Result<(), Error> {
                    with(|plugin| plugin.mark(text))
                }
                fn check() -> Result<(), Error> {
                    with(|plugin| plugin.check())
                }
                fn usage() -> Result<Option<(u64, u64)>, Error> {
                    with(|plugin| plugin.usage())
                }
            }

    $crate::storage::bindings::export_storage_bindings!(Export with_types_in $crate::storage::bindings);
        };
    };
}
