//! A plugin that puts pictures and texts into one space, so that a text finds a picture.

use serde::de::DeserializeOwned;

use crate::Result;
use crate::image::Image;
use crate::tensor::Tensor;

#[doc(hidden)]
#[rustfmt::skip]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package latent:sdk-embedding; world embedding { export latent:plugin/embedding@0.1.0; }",
        world: "latent:sdk-embedding/embedding",
        pub_export_macro: true,
        export_macro_name: "export_embedding",
        default_bindings_module: "latent_plugin::embedding::bindings",
        with: {
            "latent:plugin/types@0.1.0": crate::bindings::latent::plugin::types,
            "latent:plugin/blob@0.1.0": crate::bindings::latent::plugin::blob,
            "latent:plugin/image@0.1.0": crate::bindings::latent::plugin::image,
            "latent:plugin/tensor@0.1.0": crate::bindings::latent::plugin::tensor,
        },
        generate_all,
    });
}

pub use bindings::exports::latent::plugin::embedding::Space;

/// What `init` prepares and every call reads.
pub trait Embedder: Sized {
    /// The settings as a type; unknown keys are refused by serde's `deny_unknown_fields`.
    type Settings: DeserializeOwned;

    /// Once per instance, with the operator's settings.
    fn new(settings: Self::Settings) -> Result<Self>;
    /// The space: only vectors of one revision are compared. `languages` are those of the texts it understands.
    fn describe(&self) -> Result<Space>;
    /// One unit vector a row, in the images' order.
    fn embed_images(&self, images: Vec<Image>) -> Result<Tensor>;
    /// One unit vector a row, in the texts' order. `language` is a BCP 47 tag where it is known.
    fn embed_texts(&self, texts: Vec<String>, language: Option<String>) -> Result<Tensor>;
}

/// Exports an [`Embedder`] as a plugin.
#[macro_export]
macro_rules! export_embedder {
    ($plugin:ty) => {
        const _: () = {
            $crate::__instance!($plugin as $crate::embedding::Embedder, $crate::embedding::bindings);

            impl bindings::exports::latent::plugin::embedding::Guest for Export {
                fn describe() -> $crate::Result<$crate::embedding::Space> {
                    with($crate::embedding::Embedder::describe)
                }
                fn embed_images(images: Vec<$crate::image::Image>) -> $crate::Result<$crate::tensor::Tensor> {
                    with(|plugin| $crate::embedding::Embedder::embed_images(plugin, images))
                }
                fn embed_texts(texts: Vec<String>, language: Option<String>) -> $crate::Result<$crate::tensor::Tensor> {
                    with(|plugin| $crate::embedding::Embedder::embed_texts(plugin, texts, language))
                }
            }

    $crate::embedding::bindings::export_embedding!(Export with_types_in $crate::embedding::bindings);
        };
    };
}
