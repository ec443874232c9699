//! What every exported plugin shares: the panic hook, the settings, one value per instance. Used by the macros.

use serde::de::DeserializeOwned;

use crate::bindings::latent::plugin::log;
use crate::{Result, config};

#[rustfmt::skip]
pub mod bindings {
    //! `lifecycle` by itself: the macros that wit-bindgen exports are named by interface, so that it can be generated once only.

    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package latent:sdk-instance; world instance { export latent:plugin/lifecycle@0.1.0; }",
        world: "latent:sdk-instance/instance",
        pub_export_macro: true,
        export_macro_name: "export_instance",
        default_bindings_module: "latent_plugin::instance::bindings",
        with: { "latent:plugin/types@0.1.0": crate::bindings::latent::plugin::types },
        generate_all,
    });
}

/// Sets the panic hook, reads the settings and makes the plugin.
pub fn start<S: DeserializeOwned, T>(new: impl FnOnce(S) -> Result<T>) -> Result<T> {
    // A trap says only "unreachable": the message has to leave before it.
    std::panic::set_hook(Box::new(|info| log::event(log::Level::Error, &info.to_string(), &[])));
    new(config::settings()?)
}

/// The value of this instance, and the export of `lifecycle` that makes it.
#[doc(hidden)]
#[macro_export]
macro_rules! __instance {
    ($plugin:ty as $role:path, $bindings:path) => {
        use $bindings as bindings;

        struct Export;

        std::thread_local! {
            static PLUGIN: std::cell::OnceCell<$plugin> = const { std::cell::OnceCell::new() };
        }

        fn with<R>(call: impl FnOnce(&$plugin) -> $crate::Result<R>) -> $crate::Result<R> {
            PLUGIN.with(|plugin| call(plugin.get().ok_or_else(|| $crate::Error::other("init was not called"))?))
        }

        impl $crate::instance::bindings::exports::latent::plugin::lifecycle::Guest for Export {
            fn init() -> $crate::Result<()> {
                let plugin = $crate::instance::start(<$plugin as $role>::new)?;
                PLUGIN.with(|slot| slot.set(plugin)).map_err(|_| $crate::Error::other("init was called twice"))
            }
        }

        $crate::instance::bindings::export_instance!(Export with_types_in $crate::instance::bindings);
    };
}
