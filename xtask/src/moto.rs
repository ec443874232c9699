//! moto, an S3 service in Python that the suite tests against: pinned with what it needs, kept in the cache.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell::{root, run_quiet, target};
use crate::{cache, kit};

/// Where the suite looks for it.
fn place() -> PathBuf {
    target().join("tools/moto")
}

/// Installs what xtask/moto.txt pins into the cache, once for each text, and links it as target/tools/moto.
pub fn install() -> Result<()> {
    let pins = root().join("xtask/moto.txt");
    let home = cache::dir()?.join("unpacked").join(cache::sha256(&pins)?);
    if !home.exists() {
        let parent = home.parent().context("the cache folder has a parent")?;
        fs::create_dir_all(parent)?;
        let staging = tempfile::tempdir_in(parent)?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--root-user-action=ignore"])
            .args(["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-compile", "--target"])
            .arg(staging.path())
            .arg("--requirement")
            .arg(&pins)
            .env("TMPDIR", parent);
        run_quiet(&mut pip).context("cannot install what xtask/moto.txt pins")?;
        match fs::rename(staging.path(), &home) {
            // Another xtask was faster.
            Err(_) if home.exists() => {}
            other => other.with_context(|| format!("cannot move to {}", home.display()))?,
        }
    }
    fs::create_dir_all(target().join("tools"))?;
    kit::link(&home, &place())
}
