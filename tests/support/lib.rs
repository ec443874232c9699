//! What the tests share: services once for all, a database and a server per test, photos that the tests make.

mod app;
mod client;
pub mod contract;
mod database;
pub mod guests;
pub mod hostile;
pub mod kv;
pub mod moto;
pub mod origin;
pub mod photos;
mod program;
pub mod s3;
pub mod videos;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use app::{IN_A_BUCKET, TestApp, add_bucket, config_with_bucket, set_secret};
pub use client::{Answer, Client};
pub use database::Database;
pub use program::{Program, latent};

/// The root of the checkout.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where `cargo build --release` puts programs; the tests lie in `deps` below it.
pub fn bin_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("the test has a path");
    exe.ancestors().nth(2).expect("target/<profile>/deps/suite-…").to_path_buf()
}

/// What a build laid out: services, the ONNX Runtime, plugins, models.
pub fn kit() -> PathBuf {
    let kit = std::env::var_os("LATENT_KIT").map_or_else(|| bin_dir().join("kit"), PathBuf::from);
    assert!(kit.join("postgres/bin/postgres").exists(), "{} holds no services: run `cargo xtask build`", kit.display());
    kit
}

/// Waits until `condition` gives something, looking often; panics with `what` after a minute.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
