//! A storage plugin that keeps objects in one directory.

use serde::de::DeserializeOwned;

#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "local-storage",
        pub_export_macro: true,
        export_macro_name: "export_bindings",
        default_bindings_module: "latent_plugin::storage::bindings",
        generate_all,
    });
}

pub use bindings::exports::latent::plugin::storage::{Class, Object, Stored};
pub use bindings::latent::plugin::blob::Blob;
pub use bindings::latent::plugin::files;
pub use bindings::latent::plugin::files::Entry;
pub use bindings::latent::plugin::types::Error;

use bindings::latent::plugin::{config, log};

/// What `init` prepares and every call reads.
pub trait Storage: Sized {
    /// Once per instance, with the operator's settings.
    fn new(settings: Self::Settings) -> Result<Self, Error>;
    /// The settings as a type; unknown keys are refused by serde's `deny_unknown_fields`.
    type Settings: DeserializeOwned;

    /// Idempotent by key and hash: a repeat finds what the first try stored.
    fn put(&self, object: Object, src: &Blob) -> Result<Stored, Error>;
    /// Where `put` stored this object, if it did.
    fn find(&self, object: Object) -> Result<Option<Stored>, Error>;
    fn get(&self, location: String, offset: u64, len: Option<u64>) -> Result<Blob, Error>;
    fn head(&self, location: String) -> Result<Option<Stored>, Error>;
    /// Success when nothing is there.
    fn delete(&self, location: String) -> Result<(), Error>;
    /// To where the object belongs now, or the same location.
    fn relocate(&self, location: String, object: Object) -> Result<Stored, Error>;
    fn list(&self, after: Option<String>, limit: u32) -> Result<Vec<Stored>, Error>;
    /// Is the directory there, and is it ours?
    fn check(&self) -> Result<(), Error>;
    /// Bytes used and free.
    fn usage(&self) -> Result<Option<(u64, u64)>, Error>;
}

/// Reads the settings, sets the panic hook and makes the plugin. The macro calls it.
#[doc(hidden)]
pub fn start<T: Storage>() -> Result<T, Error> {
    std::panic::set_hook(Box::new(|info| log::event(log::Level::Error, &info.to_string(), &[])));
    let settings = serde_json::from_str(&config::settings())
        .map_err(|error| Error::Invalid(format!("the plugin's settings: {error}")))?;
    T::new(settings)
}

/// An event in the server's log.
pub fn warn(message: &str) {
    log::event(log::Level::Warn, message, &[]);
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    config::now_ms()
}

/// Exports a [`Storage`] as a plugin.
#[macro_export]
macro_rules! export_storage {
    ($plugin:ty) => {
        const _: () = {
            use $crate::storage::bindings::exports::latent::plugin::storage::Guest;
            use $crate::storage::{Blob, Error, Object, Storage, Stored};

            struct Export;

            std::thread_local! {
                static PLUGIN: std::cell::OnceCell<$plugin> = const { std::cell::OnceCell::new() };
            }

            fn with<R>(call: impl FnOnce(&$plugin) -> Result<R, Error>) -> Result<R, Error> {
                PLUGIN.with(|plugin| call(plugin.get().ok_or_else(|| Error::Other("init was not called".into()))?))
            }

            impl $crate::storage::bindings::exports::latent::plugin::lifecycle::Guest for Export {
                fn init() -> Result<(), Error> {
                    let plugin = $crate::storage::start::<$plugin>()?;
                    PLUGIN.with(|slot| slot.set(plugin)).map_err(|_| Error::Other("init was called twice".into()))
                }
            }

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
                fn presign(_: String, _: u64) -> Result<Option<String>, Error> {
                    Ok(None)
                }
                fn check() -> Result<(), Error> {
                    with(|plugin| plugin.check())
                }
                fn usage() -> Result<Option<(u64, u64)>, Error> {
                    with(|plugin| plugin.usage())
                }
            }

            $crate::storage::bindings::export_bindings!(Export with_types_in $crate::storage::bindings);
        };
    };
}
