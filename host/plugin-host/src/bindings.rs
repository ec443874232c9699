//! What wasmtime's macro makes of wit/.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "local-storage",
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "latent:plugin/blob.blob": blobs::Blob,
    },
});
