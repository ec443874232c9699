//! What the host lends, generated once from wit/ and shared by every kind of plugin. Unused interfaces leave no import.

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package latent:sdk;
        world lent {
            import latent:plugin/log@0.1.0;
            import latent:plugin/config@0.1.0;
            import latent:plugin/blob@0.1.0;
            import latent:plugin/blob-write@0.1.0;
            import latent:plugin/http@0.1.0;
            import latent:plugin/kv@0.1.0;
            import latent:plugin/secrets@0.1.0;
            import latent:plugin/files@0.1.0;
            import latent:plugin/image@0.1.0;
            import latent:plugin/tensor@0.1.0;
            import latent:plugin/inference@0.1.0;
            import latent:plugin/media@0.1.0;
        }
    ",
    world: "latent:sdk/lent",
    generate_all,
});
