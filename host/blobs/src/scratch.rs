//! Files that last for as long as somebody works with them. They have no names, so that a crash leaves none; folders of a process
//! that is gone are removed by the next.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt as _;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::Blob;
use crate::inbox::{GATE, lock_file, occupy, sweep};

/// A folder of this process for what is neither an upload nor a result.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    /// Says that somebody uses `dir`.
    _held: File,
}

impl Scratch {
    /// Makes a folder of this process in `parent`, and removes those of processes that are gone.
    pub fn open(parent: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&parent)?;
        let gate = lock_file(&parent.join(GATE))?;
        flock(&gate, FlockOperation::LockExclusive)?;
        sweep(&parent)?;
        let dir = parent.join(uuid::Uuid::now_v7().to_string());
        let held = occupy(&dir)?;
        Ok(Self { dir, _held: held })
    }

    /// An empty file without a name.
    pub fn file(&self) -> io::Result<File> {
        tempfile::tempfile_in(&self.dir)
    }

    /// An empty folder, removed when it is dropped.
    pub fn folder(&self) -> io::Result<TempDir> {
        tempfile::tempdir_in(&self.dir)
    }

    /// The blob as an open file: its own where it is one, a copy otherwise.
    pub async fn spool(&self, blob: Blob) -> io::Result<Arc<File>> {
        if let Some(file) = blob.as_file() {
            return Ok(file);
        }
        let mut file = self.file()?;
        let mut stream = std::pin::pin!(blob.into_stream());
        while let Some(bytes) = stream.next().await {
            let bytes = bytes?;
            file = tokio::task::spawn_blocking(move || file.write_all(&bytes).map(|()| file))
                .await
                .map_err(io::Error::other)??;
        }
        Ok(Arc::new(file))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What a child still writes to has a folder yet; the next start removes it.
        if fs::remove_file(self.dir.join(GATE)).is_ok() {
            let _ = fs::remove_dir(&self.dir);
        }
    }
}
