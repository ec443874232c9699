//! The inbox: uploads while they arrive. The one local state that may exist before the acknowledgement.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::Blob;

/// A folder of files that are arriving.
#[derive(Debug)]
pub struct Inbox {
    dir: PathBuf,
}

impl Inbox {
    /// Makes the folder and removes what an earlier process left: nothing in it was ever acknowledged. The folder belongs to one
    /// process alone.
    pub fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "part") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { dir })
    }

    /// Starts a new file.
    pub async fn create(&self) -> io::Result<InboxWriter> {
        let path = self.dir.join(format!("{}.part", uuid::Uuid::now_v7()));
        let file = File::options().write(true).read(true).create_new(true).open(&path)?;
        let state = State { file, sha1: Sha1::new(), sha256: Sha256::new(), pending: Vec::new(), len: 0 };
        Ok(InboxWriter { state: Some(state), path: Removed(path) })
    }
}

/// Bytes are hashed and written in pieces of this size, on the blocking pool.
const PIECE: usize = 1 << 20;

/// A file that is arriving. Removed when it is dropped before [`InboxWriter::finish`].
#[derive(Debug)]
pub struct InboxWriter {
    /// Away while a piece is being written.
    state: Option<State>,
    path: Removed,
}

#[derive(Debug)]
struct State {
    file: File,
    sha1: Sha1,
    sha256: Sha256,
    pending: Vec<Bytes>,
    len: u64,
}

impl State {
    fn flush(&mut self) -> io::Result<()> {
        for piece in self.pending.drain(..) {
            self.sha1.update(&piece);
            self.sha256.update(&piece);
            self.file.write_all(&piece)?;
        }
        Ok(())
    }
}

impl InboxWriter {
    /// Takes the next bytes.
    pub async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        let state = self.state()?;
        state.len += bytes.len() as u64;
        state.pending.push(bytes);
        if state.pending.iter().map(Bytes::len).sum::<usize>() >= PIECE {
            self.on_pool(State::flush).await?;
        }
        Ok(())
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.len)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes are on disk when this returns.
    pub async fn finish(mut self) -> io::Result<Received> {
        self.on_pool(|state| {
            state.flush()?;
            state.file.sync_all()
        })
        .await?;
        let state = self.state.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Received {
            len: state.len,
            sha1: state.sha1.finalize().into(),
            sha256: state.sha256.finalize().into(),
            path: self.path,
        })
    }

    fn state(&mut self) -> io::Result<&mut State> {
        self.state.as_mut().ok_or_else(|| io::Error::other("an earlier write failed"))
    }

    async fn on_pool(&mut self, work: impl FnOnce(&mut State) -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let mut state = self.state.take().ok_or_else(|| io::Error::other("an earlier write failed"))?;
        let (state, result) = tokio::task::spawn_blocking(move || {
            let result = work(&mut state);
            (state, result)
        })
        .await
        .map_err(io::Error::other)?;
        result?;
        self.state = Some(state);
        Ok(())
    }
}

/// A whole file in the inbox, synced. Removed when it is dropped: by then the storage has the bytes, or nobody wants them.
#[derive(Debug)]
pub struct Received {
    pub len: u64,
    /// What clients know the bytes by.
    pub sha1: [u8; 20],
    pub sha256: [u8; 32],
    path: Removed,
}

impl Received {
    /// The bytes.
    pub fn blob(&self) -> io::Result<Blob> {
        Blob::open(&*self.path.0)
    }
}

/// A path that is removed at the end.
#[derive(Debug)]
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "Cannot remove a file of the inbox; the next start will");
    }
}
