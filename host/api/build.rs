//! Points rust-embed at web/dist. Where the page was not built, a page that says so takes its place.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..");
    let built = root.join("web/dist");
    println!("cargo:rerun-if-changed={}", built.join("index.html").display());
    let dist = if built.join("index.html").exists() { built } else { placeholder() };
    println!("cargo:rustc-env=LATENT_WEB_DIST={}", dist.display());
}

fn placeholder() -> PathBuf {
    let dist = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("dist");
    fs::create_dir_all(&dist).expect("OUT_DIR can be written to");
    let text = "<!doctype html><title>Latent</title><p>The page is not built: run <code>cargo xtask web</code>.";
    fs::write(dist.join("index.html"), text).expect("OUT_DIR can be written to");
    dist
}
