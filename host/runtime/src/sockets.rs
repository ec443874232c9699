//! Where the sockets lie: a unix socket's path has at most 107 bytes.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Prepare as _, RuntimeError};

/// Leaves room for a socket's name below the folder.
const LONGEST_SOCKET_DIR: usize = 85;

/// `<data>/run`, or a short folder of the same meaning where that is too long for a socket.
pub fn short_dir(data_dir: &Path) -> PathBuf {
    let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_path_buf());
    let run = data_dir.join("run");
    if run.as_os_str().len() <= LONGEST_SOCKET_DIR {
        return run;
    }
    let mut hasher = DefaultHasher::new();
    data_dir.hash(&mut hasher);
    let user = rustix::process::geteuid().as_raw();
    std::env::temp_dir().join(format!("latent-{user}-{:016x}", hasher.finish()))
}

/// Creates a folder that only we may enter; refuses one that somebody else made.
pub fn private_dir(dir: &Path) -> Result<(), RuntimeError> {
    use std::os::unix::fs::MetadataExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).prepare(dir)?;
    let metadata = fs::symlink_metadata(dir).prepare(dir)?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "somebody else made this folder")).prepare(dir);
    }
    Ok(())
}
