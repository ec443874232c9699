//! The user's cache folder: what was downloaded or derived lies there by hash, so that a second run downloads nothing.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// `$LATENT_CACHE`, `$XDG_CACHE_HOME/latent` or `~/.cache/latent`.
pub fn dir() -> Result<PathBuf> {
    // An empty one is as good as none.
    let set = |name| std::env::var_os(name).filter(|dir| !dir.is_empty());
    if let Some(dir) = set("LATENT_CACHE") {
        return Ok(dir.into());
    }
    if let Some(dir) = set("XDG_CACHE_HOME") {
        return Ok(Path::new(&dir).join("latent"));
    }
    let home = set("HOME").context("neither LATENT_CACHE, XDG_CACHE_HOME nor HOME is set: set one of them")?;
    Ok(Path::new(&home).join(".cache/latent"))
}

/// Hex SHA-256 of a file.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(&buffer[..n]);
    }
}

/// Hex SHA-256 over the names and bytes of all files under `paths`, to see whether an output is stale.
/// Folders that builds make (`target`, `node_modules`, `dist`, dot-folders) do not count.
pub fn fingerprint(paths: &[PathBuf]) -> Result<String> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, &mut files)?;
    }
    files.sort();
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(file.to_string_lossy().as_bytes());
        hasher.update([0]);
        hasher.update(fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
        hasher.update([0]);
    }
    Ok(hex::encode(hasher.finalize()))
}

fn collect(path: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot find {}", path.display()))?;
    if metadata.is_file() {
        into.push(path.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !matches!(&*name, "target" | "node_modules" | "dist") && !name.starts_with('.') {
            collect(&entry.path(), into)?;
        }
    }
    Ok(())
}
