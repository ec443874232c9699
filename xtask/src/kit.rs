//! The kit: everything beside the binary that the server needs at run time, under target/release/kit.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::packages;
use crate::shell::bin_dir;

/// target/release/kit.
pub fn dir() -> PathBuf {
    bin_dir().join("kit")
}

/// PostgreSQL, Valkey and ONNX Runtime, linked from the cache.
pub fn services() -> Result<()> {
    fs::create_dir_all(dir().join("plugins"))?;
    for package in packages::pinned()? {
        let unpacked = package.unpacked()?;
        if package.id == "onnxruntime" {
            let folder = dir().join("onnxruntime");
            fs::create_dir_all(&folder)?;
            link(&library(&unpacked)?, &folder.join("libonnxruntime.so"))?;
        } else {
            link(&unpacked, &dir().join(&package.id))?;
        }
    }
    Ok(())
}

/// `libonnxruntime.so.1.32.0`, whatever its version.
fn library(folder: &Path) -> Result<PathBuf> {
    fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so")))
        .with_context(|| format!("{} holds no libonnxruntime.so", folder.display()))
}

/// A link at `at`, whatever was there.
pub fn link(to: &Path, at: &Path) -> Result<()> {
    if fs::read_link(at).is_ok_and(|there| there == to) {
        return Ok(());
    }
    if at.symlink_metadata().is_ok() {
        fs::remove_file(at).with_context(|| format!("cannot replace {}", at.display()))?;
    }
    symlink(to, at).with_context(|| format!("cannot link {}", at.display()))
}
