//! What wasmtime's macro makes of wit/: what the host lends, once, and the exports of each world over it.

pub mod lent {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package latent:host;
            world lent {
                import latent:plugin/types@0.1.0;
                import latent:plugin/log@0.1.0;
                import latent:plugin/config@0.1.0;
                import latent:plugin/blob@0.1.0;
                import latent:plugin/blob-write@0.1.0;
                import latent:plugin/files@0.1.0;
                import latent:plugin/http@0.1.0;
                import latent:plugin/kv@0.1.0;
                import latent:plugin/secrets@0.1.0;
                import latent:plugin/image@0.1.0;
                import latent:plugin/tensor@0.1.0;
                import latent:plugin/inference@0.1.0;
                import latent:plugin/media@0.1.0;
            }
        ",
        world: "latent:host/lent",
        imports: { default: async | trappable },
        with: {
            "latent:plugin/blob.blob": crate::held::HeldBlob,
            "latent:plugin/blob-write.writer": crate::held::HeldWriter,
            "latent:plugin/image.image": crate::held::HeldImage,
            "latent:plugin/tensor.tensor": crate::held::HeldTensor,
            "latent:plugin/inference.model": crate::held::HeldModel,
        },
    });
}

/// What both storage worlds export.
pub mod storage {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package latent:host;
            world storage {
                export latent:plugin/lifecycle@0.1.0;
                export latent:plugin/storage@0.1.0;
            }
        ",
        world: "latent:host/storage",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "latent:plugin/types": crate::bindings::lent::latent::plugin::types,
            "latent:plugin/blob": crate::bindings::lent::latent::plugin::blob,
        },
    });
}

pub mod face_detector {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "face-detector",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "latent:plugin/types": crate::bindings::lent::latent::plugin::types,
            "latent:plugin/log": crate::bindings::lent::latent::plugin::log,
            "latent:plugin/config": crate::bindings::lent::latent::plugin::config,
            "latent:plugin/blob": crate::bindings::lent::latent::plugin::blob,
            "latent:plugin/image": crate::bindings::lent::latent::plugin::image,
            "latent:plugin/tensor": crate::bindings::lent::latent::plugin::tensor,
            "latent:plugin/inference": crate::bindings::lent::latent::plugin::inference,
        },
    });
}

pub mod embedder {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "embedder",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "latent:plugin/types": crate::bindings::lent::latent::plugin::types,
            "latent:plugin/log": crate::bindings::lent::latent::plugin::log,
            "latent:plugin/config": crate::bindings::lent::latent::plugin::config,
            "latent:plugin/blob": crate::bindings::lent::latent::plugin::blob,
            "latent:plugin/image": crate::bindings::lent::latent::plugin::image,
            "latent:plugin/tensor": crate::bindings::lent::latent::plugin::tensor,
            "latent:plugin/inference": crate::bindings::lent::latent::plugin::inference,
        },
    });
}

pub mod transcoder {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "transcoder",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "latent:plugin/types": crate::bindings::lent::latent::plugin::types,
            "latent:plugin/log": crate::bindings::lent::latent::plugin::log,
            "latent:plugin/config": crate::bindings::lent::latent::plugin::config,
            "latent:plugin/media": crate::bindings::lent::latent::plugin::media,
        },
    });
}
