//! The benches: what they stand on still fits, though nobody measures here.

use std::process::Command;

use tests::{bin_dir, kit, root};

/// The native twins are the plugins' own source on the models as they are shipped; a change of either must not break them
/// unseen. And the photos that are made for an import have metadata that are read.
#[test]
fn the_native_twins_agree_with_the_plugins() {
    let photos = std::env::var_os("LATENT_PHOTOS").expect("LATENT_PHOTOS: run `cargo xtask test`");
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .arg("--check")
        .env("LATENT_BIN", bin_dir().join("latent"))
        .env("LATENT_KIT", kit())
        .env("LATENT_CACHE", std::env::temp_dir())
        .env("LATENT_PHOTOS", photos)
        .env("LATENT_ROOT", root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
