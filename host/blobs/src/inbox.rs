//! The inbox: uploads while they arrive. The one local state that may exist before the acknowledgement.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::{Blob, StorageError};

/// Held by whoever makes or sweeps folders.
pub(crate) const GATE: &str = "lock";

/// A folder of files that are arriving at this process. Processes that share a storage have one each.
#[derive(Debug)]
pub struct Inbox(Option<Place>);

#[derive(Debug)]
struct Place {
    /// Where the folders of all processes lie.
    parent: PathBuf,
    dir: PathBuf,
    /// Says that somebody uses `dir`.
    held: Mutex<File>,
}

impl Inbox {
    /// Makes a folder of this process in `parent`, and removes those of processes that are gone: nothing in them was ever
    /// acknowledged.
    pub fn open(parent: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&parent)?;
        let gate = lock_file(&parent.join(GATE))?;
        flock(&gate, FlockOperation::LockExclusive)?;
        sweep(&parent)?;
        let dir = parent.join(uuid::Uuid::now_v7().to_string());
        let held = Mutex::new(occupy(&dir)?);
        Ok(Self(Some(Place { parent, dir, held })))
    }

    /// Of a process that takes no uploads.
    pub fn none() -> Self {
        Self(None)
    }

    /// Starts a new file.
    ///
    /// # Errors
    /// `Unavailable`: the folder is not there any more, which is a disk that is not mounted.
    pub async fn create(&self) -> Result<InboxWriter, StorageError> {
        let Some(place) = &self.0 else {
            return Err(StorageError::Unavailable("this process takes no uploads".into()));
        };
        let path = place.dir.join(format!("{}.part", uuid::Uuid::now_v7()));
        let open = || File::options().write(true).read(true).create_new(true).open(&path);
        let file = match open() {
            // Swept away by somebody who saw another disk, or the disk is new: where the parent is, it is ours to make again.
            Err(error) if error.kind() == io::ErrorKind::NotFound && place.parent.is_dir() => {
                place.occupy_again().and_then(|()| open())
            }
            other => other,
        };
        let file = file.map_err(|error| place.cannot_create(&error))?;
        let state = State { file, sha1: Sha1::new(), sha256: Sha256::new(), pending: Vec::new(), len: 0 };
        Ok(InboxWriter { state: Some(state), path: Removed(path) })
    }
}

impl Place {
    fn occupy_again(&self) -> io::Result<()> {
        let file = occupy(&self.dir)?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }

    fn cannot_create(&self, error: &io::Error) -> StorageError {
        let parent = self.parent.display();
        match error.kind() {
            io::ErrorKind::StorageFull => StorageError::Full(format!("no room in {parent}")),
            io::ErrorKind::NotFound => StorageError::Unavailable(format!("{parent} is missing: is the disk mounted?")),
            _ => StorageError::Unavailable(format!("cannot write to {parent}: {error}")),
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // What is still arriving stays until the next start.
        if let Some(place) = &self.0
            && fs::remove_file(place.dir.join(GATE)).is_ok()
        {
            let _ = fs::remove_dir(&place.dir);
        }
    }
}

pub(crate) fn lock_file(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

pub(crate) fn occupy(dir: &Path) -> io::Result<File> {
    fs::create_dir_all(dir)?;
    let held = lock_file(&dir.join(GATE))?;
    flock(&held, FlockOperation::NonBlockingLockExclusive)?;
    Ok(held)
}

/// Removes the folders that nobody holds. The gate is held: nobody is between making one and holding it.
pub(crate) fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let dir = entry.path();
        if entry.file_type()?.is_dir() && uuid::Uuid::try_parse(&entry.file_name().to_string_lossy()).is_ok() {
            let held = lock_file(&dir.join(GATE))?;
            if flock(&held, FlockOperation::NonBlockingLockExclusive).is_ok() {
                fs::remove_dir_all(dir)?;
            }
        }
    }
    Ok(())
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
