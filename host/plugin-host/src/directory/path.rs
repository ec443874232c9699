//! Paths that a guest names.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Bytes, as the kernel takes them.
const LONGEST: usize = 4_096;
/// Folders in folders, and the name.
const DEEPEST: usize = 32;
/// Says that a folder is a library: the one hidden name that a guest may look at.
const MARKER: &str = ".latent";

/// Only names, joined by `/`, and none that is hidden at the top: there lie the marker and what is still arriving.
pub fn relative(path: &str) -> io::Result<PathBuf> {
    let invalid = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
    if path.contains('\0') {
        return Err(invalid("it holds a NUL"));
    }
    if path.len() > LONGEST {
        return Err(invalid("it is longer than 4096 bytes"));
    }
    let mut clean = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            _ => return Err(invalid("only names below the granted directory are taken")),
        }
    }
    if clean.components().count() > DEEPEST {
        return Err(invalid("it is more than 32 folders deep"));
    }
    if clean.as_os_str().is_empty() {
        return Err(invalid("it names no file"));
    }
    if clean.as_os_str().as_encoded_bytes()[0] == b'.' {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "hidden names at the top are the host's"));
    }
    Ok(clean)
}

/// The marker, if the path is that.
pub fn hidden_marker(path: &str) -> Option<PathBuf> {
    (path == MARKER).then(|| path.into())
}

/// Can a file of this path be named at all?
pub fn is_reachable(path: &str) -> bool {
    path.len() <= LONGEST && path.trim_end_matches('/').split('/').count() <= DEEPEST
}
