//! A plugin that says what is to be made of a video. It describes; the host checks and does.

use serde::de::DeserializeOwned;

use crate::Result;

#[doc(hidden)]
#[rustfmt::skip]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package latent:sdk-transcoding; world transcoding { export latent:plugin/transcoding@0.1.0; }",
        world: "latent:sdk-transcoding/transcoding",
        pub_export_macro: true,
        export_macro_name: "export_transcoding",
        default_bindings_module: "latent_plugin::transcoding::bindings",
        with: {
            "latent:plugin/types@0.1.0": crate::bindings::latent::plugin::types,
            "latent:plugin/media@0.1.0": crate::bindings::latent::plugin::media,
        },
        generate_all,
    });
}

pub use crate::bindings::latent::plugin::media::{MediaInfo, StreamInfo, StreamKind};
pub use bindings::exports::latent::plugin::transcoding::{Acceleration, Audio, Output, Picture, Rate, Sound, Video};

/// What `init` prepares and every call reads.
pub trait Transcoder: Sized {
    /// The settings as a type; unknown keys are refused by serde's `deny_unknown_fields`.
    type Settings: DeserializeOwned;

    /// Once per instance, with the operator's settings.
    fn new(settings: Self::Settings) -> Result<Self>;
    /// What a browser or a phone needs beside the original; nothing where the original serves.
    fn plan(&self, info: MediaInfo) -> Result<Vec<Output>>;
}

/// Exports a [`Transcoder`] as a plugin.
#[macro_export]
macro_rules! export_transcoder {
    ($plugin:ty) => {
        const _: () = {
            $crate::__instance!($plugin as $crate::transcoding::Transcoder, $crate::transcoding::bindings);

            impl bindings::exports::latent::plugin::transcoding::Guest for Export {
                fn plan(info: $crate::transcoding::MediaInfo) -> $crate::Result<Vec<$crate::transcoding::Output>> {
                    with(|plugin| $crate::transcoding::Transcoder::plan(plugin, info))
                }
            }

    $crate::transcoding::bindings::export_transcoding!(Export with_types_in $crate::transcoding::bindings);
        };
    };
}
