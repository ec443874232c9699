//! A plugin that finds faces and says how alike they are.

use serde::de::DeserializeOwned;

use crate::Result;
use crate::image::Image;

#[doc(hidden)]
#[rustfmt::skip]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package latent:sdk-faces; world faces { export latent:plugin/face-detection@0.1.0; }",
        world: "latent:sdk-faces/faces",
        pub_export_macro: true,
        export_macro_name: "export_faces",
        default_bindings_module: "latent_plugin::faces::bindings",
        with: {
            "latent:plugin/types@0.1.0": crate::bindings::latent::plugin::types,
            "latent:plugin/blob@0.1.0": crate::bindings::latent::plugin::blob,
            "latent:plugin/image@0.1.0": crate::bindings::latent::plugin::image,
            "latent:plugin/tensor@0.1.0": crate::bindings::latent::plugin::tensor,
        },
        generate_all,
    });
}

pub use bindings::exports::latent::plugin::face_detection::{Face, Found, Space};

/// What `init` prepares and every call reads.
pub trait FaceDetector: Sized {
    /// The settings as a type; unknown keys are refused by serde's `deny_unknown_fields`.
    type Settings: DeserializeOwned;

    /// Once per instance, with the operator's settings: open models here.
    fn new(settings: Self::Settings) -> Result<Self>;
    /// The space of the embeddings: only faces of one revision are compared.
    fn describe(&self) -> Result<Space>;
    /// The faces of each image with their embeddings as one tensor, in the images' order. One bad image fails alone.
    fn detect(&self, images: Vec<Image>) -> Result<Vec<Result<Found>>>;
}

/// Exports a [`FaceDetector`] as a plugin.
#[macro_export]
macro_rules! export_face_detector {
    ($plugin:ty) => {
        const _: () = {
            $crate::__instance!($plugin as $crate::faces::FaceDetector, $crate::faces::bindings);

            impl bindings::exports::latent::plugin::face_detection::Guest for Export {
                fn describe() -> $crate::Result<$crate::faces::Space> {
                    with($crate::faces::FaceDetector::describe)
                }
                fn detect(
                    images: Vec<$crate::image::Image>,
                ) -> $crate::Result<Vec<$crate::Result<$crate::faces::Found>>> {
                    with(|plugin| $crate::faces::FaceDetector::detect(plugin, images))
                }
            }

    $crate::faces::bindings::export_faces!(Export with_types_in $crate::faces::bindings);
        };
    };
}
