//! One granted directory. The kernel resolves every path beneath it, so that no link and no `..` leads out.

mod list;
mod path;
mod place;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use blobs::Blob;
use parking_lot::Mutex;
use rustix::fs::{self as rfs, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use path::{hidden_marker, relative};

/// Without symlinks at all: a library folder has no need of them, and a planted one must not be followed.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);
/// Folders that are remembered as being on disk.
const MOST_REMEMBERED: usize = 1 << 16;

/// A directory. All of it blocks.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    abilities: Abilities,
    /// Folders that this process knows to be on disk, and not only in memory.
    durable: Mutex<HashSet<PathBuf>>,
}

/// What the file system can do. What it cannot is found out and done otherwise; a test says so beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Abilities {
    /// exFAT and some network file systems have none.
    pub hard_links: bool,
    /// A rename that never replaces: NFS has none.
    pub rename_without_replacing: bool,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub path: String,
    pub len: u64,
    pub modified_ms: u64,
}

impl Directory {
    /// Opens nothing yet: the disk may be mounted later.
    pub fn at(root: &Path) -> Self {
        Self::with(root, Abilities { hard_links: true, rename_without_replacing: true })
    }

    /// The same where the file system can do less.
    pub fn with(root: &Path, abilities: Abilities) -> Self {
        Self { root: root.to_path_buf(), abilities, durable: Mutex::default() }
    }

    /// `len` bytes from `offset`, cut at the end; `None`: all of them.
    ///
    /// # Errors
    /// Not found, also where it is no regular file: a FIFO would be waited for.
    pub fn open(&self, path: &str, offset: u64, len: Option<u64>) -> io::Result<Blob> {
        let path = hidden_marker(path).map_or_else(|| relative(path), Ok)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(open(self.root()?, &path, flags)?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let offset = offset.min(metadata.len());
        let len = len.unwrap_or(u64::MAX).min(metadata.len() - offset);
        Ok(Blob::from_file(file, offset, len))
    }

    /// What lies there, if it is a regular file.
    pub fn stat(&self, path: &str) -> io::Result<Option<Entry>> {
        let path = hidden_marker(path).map_or_else(|| relative(path), Ok)?;
        match open(self.root()?, &path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(fd) => Ok(entry(&path, &rfs::fstat(fd)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Never replaces. On disk when it returns.
    pub fn rename(&self, path: &str, to: &str) -> io::Result<()> {
        let (path, to) = (relative(path)?, relative(to)?);
        let root = self.root()?;
        // The source first: a mistake in it makes no folder.
        let source = parent(&root, &path)?;
        let fd = open(&source, Path::new(name(&path)?), OFlags::PATH | OFlags::NOFOLLOW)?;
        entry(&path, &rfs::fstat(fd)?).ok_or(io::ErrorKind::NotFound)?;
        let target = self.make_parent(&root, &to, true)?;
        self.publish((&source, name(&path)?), (&target, name(&to)?))?;
        rfs::fsync(&target)?;
        Ok(rfs::fsync(&source)?)
    }

    /// Success where nothing is. On disk when it returns: a file that comes back after a crash would be nobody's.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        let path = relative(path)?;
        let removed = parent(&self.root()?, &path).and_then(|folder| {
            rfs::unlinkat(&folder, name(&path)?, AtFlags::empty())?;
            Ok(rfs::fsync(&folder)?)
        });
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Bytes used and free.
    pub fn usage(&self) -> io::Result<(u64, u64)> {
        let stat = rfs::fstatvfs(self.root()?)?;
        Ok(((stat.f_blocks - stat.f_bfree) * stat.f_frsize, stat.f_bavail * stat.f_frsize))
    }

    fn root(&self) -> io::Result<OwnedFd> {
        rfs::open(&self.root, FOLDER | OFlags::CLOEXEC, Mode::empty()).map_err(|error| {
            let why = format!("the granted directory cannot be opened ({error}); is the disk mounted?");
            io::Error::new(io::ErrorKind::NotConnected, why)
        })
    }

    /// Makes the folders above `path`. With `durable`, all of them are on disk when it returns: one that is there may have been
    /// made a moment ago by a call that has not synced it yet.
    fn make_parent(&self, root: &OwnedFd, path: &Path, durable: bool) -> io::Result<OwnedFd> {
        let folder = path.parent().unwrap_or(Path::new(""));
        if (!durable || self.durable.lock().contains(folder))
            && let Ok(fd) = open(root, folder, FOLDER)
        {
            return Ok(fd);
        }
        let mut at = open(root, Path::new(""), FOLDER)?;
        let mut done = PathBuf::new();
        for component in folder.components() {
            let step = Path::new(component.as_os_str());
            let is_new = match rfs::mkdirat(&at, step, Mode::from_raw_mode(0o755)) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(error) => return Err(error.into()),
            };
            done.push(step);
            if durable && (is_new || !self.durable.lock().contains(&done)) {
                rfs::fsync(&at)?;
                self.remember(done.clone());
            }
            at = open(&at, step, FOLDER)?;
        }
        Ok(at)
    }

    fn remember(&self, folder: PathBuf) {
        let mut durable = self.durable.lock();
        if durable.len() >= MOST_REMEMBERED {
            durable.clear();
        }
        durable.insert(folder);
    }
}

fn name(path: &Path) -> io::Result<&OsStr> {
    path.file_name().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn open(root: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    rfs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), RESOLVE).map_err(|error| match error {
        // What openat2 says of a path that leads out.
        Errno::XDEV | Errno::LOOP => {
            io::Error::new(io::ErrorKind::PermissionDenied, "it leads out of the granted directory")
        }
        other => other.into(),
    })
}

fn parent(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    open(root, path.parent().unwrap_or(Path::new("")), FOLDER)
}

/// `None`: no regular file.
fn entry(path: &Path, stat: &rfs::Stat) -> Option<Entry> {
    if rfs::FileType::from_raw_mode(stat.st_mode) != rfs::FileType::RegularFile {
        return None;
    }
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    Some(Entry {
        path: path.to_str()?.to_owned(),
        len: stat.st_size as u64,
        modified_ms: seconds * 1_000 + stat.st_mtime_nsec / 1_000_000,
    })
}
