//! Downloads: one file from the first address that gives exactly it.

use std::path::Path;

use fetch::{Get, Plain};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

/// Where the manifest does not say how long the file is.
const MAX_BYTES: u64 = 4 << 30;

/// A file to fetch.
pub(crate) struct Order<'a> {
    pub urls: Vec<&'a str>,
    /// Hex; a file with another hash is thrown away.
    pub sha256: &'a str,
    pub bytes: Option<u64>,
    pub to: &'a Path,
}

/// Fetches into place, atomically. `progress` gets the bytes so far. Returns the length; the error names every source tried.
pub(crate) async fn fetch(order: &Order<'_>, progress: &(dyn Fn(u64) + Sync)) -> Result<u64, String> {
    let mut reasons = Vec::new();
    for url in &order.urls {
        match fetch_from(url, order, progress).await {
            Ok(bytes) => return Ok(bytes),
            Err(reason) => reasons.push(format!("{url}: {reason}")),
        }
    }
    Err(reasons.join("; "))
}

async fn fetch_from(url: &str, order: &Order<'_>, progress: &(dyn Fn(u64) + Sync)) -> Result<u64, String> {
    // What it has to be is pinned, so whoever is on the way can change nothing.
    let mut answer = Get::new(url, Plain::Anywhere).send().await?.success()?;
    let folder = order.to.parent().ok_or("there is no folder to write to")?;
    let write = |error: std::io::Error| format!("cannot write to {}: {error}", folder.display());
    tokio::fs::create_dir_all(folder).await.map_err(write)?;
    let part = tempfile::NamedTempFile::new_in(folder).map_err(write)?;
    let mut file = tokio::fs::File::from_std(part.reopen().map_err(write)?);
    let limit = order.bytes.unwrap_or(MAX_BYTES);
    let (mut hasher, mut done) = (Sha256::new(), 0);
    while let Some(data) = answer.chunk().await? {
        done += data.len() as u64;
        if done > limit {
            return Err(format!("it sends more than {limit} bytes"));
        }
        hasher.update(&data);
        file.write_all(&data).await.map_err(write)?;
        progress(done);
    }
    file.sync_all().await.map_err(write)?;
    let found = hex::encode(hasher.finalize());
    if found != order.sha256 {
        return Err(format!("its SHA-256 is {found}, not {}", order.sha256));
    }
    part.persist(order.to).map_err(|error| write(error.error))?;
    Ok(done)
}
