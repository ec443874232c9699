//! Puts a file where there is none: linked or moved where the file system can, copied otherwise, never half.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use blobs::Blob;
use rustix::fs::{self as rfs, AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::path::relative;
use super::{Directory, Entry, FOLDER, entry, name, open};

/// Where copies grow, at the top: what a crash leaves is found in one folder.
const TEMPORARIES: &str = ".latent-tmp";
/// A copy is locked as long as somebody writes it. A moment passes before it is.
const LOCKED_BY: Duration = Duration::from_secs(60);
/// Where locks are unknown, nobody copies for so long.
const LONGEST_COPY: Duration = Duration::from_secs(86_400);
const BUFFER: usize = 256 << 10;

/// A name in an open folder.
type Place<'a> = (&'a OwnedFd, &'a OsStr);

impl Directory {
    /// Never replaces: the same bytes already there is success, other bytes `AlreadyExists`. With `durable`, the file and every
    /// new folder are on disk when it returns.
    pub fn place(&self, path: &str, source: &Blob, durable: bool) -> io::Result<Entry> {
        let path = relative(path)?;
        let root = self.root()?;
        let folder = self.make_parent(&root, &path, durable)?;
        let name = name(&path)?;
        let placed = match self.link(source, (&folder, name)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // Another file system, one without links, bytes in memory, or a part of a file.
            Err(_) => self.copy(source, &root, (&folder, name), durable),
        };
        if let Err(error) = placed
            && (error.kind() != io::ErrorKind::AlreadyExists || !holds((&folder, name), source)?)
        {
            return Err(error);
        }
        if durable {
            rfs::fsync(&folder)?;
        }
        let fd = open(&folder, Path::new(name), OFlags::PATH | OFlags::NOFOLLOW)?;
        entry(&path, &rfs::fstat(fd)?).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Removes what processes that died have left of their copies.
    pub fn sweep(&self) {
        if let Err(error) = self.try_sweep()
            && error.kind() != io::ErrorKind::NotFound
            && error.kind() != io::ErrorKind::NotConnected
        {
            tracing::warn!(folder = %self.root.display(), %error, "Cannot remove what unfinished copies have left");
        }
    }

    fn try_sweep(&self) -> io::Result<()> {
        let folder = open(self.root()?, Path::new(TEMPORARIES), FOLDER)?;
        for item in rfs::Dir::read_from(&folder)? {
            let name = item?.file_name().to_owned();
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(fd) = rfs::openat(&folder, &name, flags, Mode::empty()) else { continue };
            let file = File::from(fd);
            if is_abandoned(&file)? {
                rfs::unlinkat(&folder, &name, AtFlags::empty())?;
            }
        }
        Ok(())
    }

    /// A second name for the same bytes. The inbox has synced them already.
    fn link(&self, source: &Blob, (folder, name): Place<'_>) -> io::Result<()> {
        let path = source.whole_file().filter(|_| self.abilities.hard_links).ok_or(io::ErrorKind::Unsupported)?;
        Ok(rfs::linkat(rfs::CWD, path, folder, name, AtFlags::empty())?)
    }

    /// Under another name first, so that a reader never sees half a file.
    fn copy(&self, source: &Blob, root: &OwnedFd, to: Place<'_>, durable: bool) -> io::Result<()> {
        match rfs::mkdirat(root, TEMPORARIES, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let temporaries = open(root, Path::new(TEMPORARIES), FOLDER)?;
        match self.copy_by(&temporaries, source, to, durable) {
            // The target's folder is a disk of its own, mounted below the granted one.
            Err(error) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => {
                self.copy_by(to.0, source, to, durable)
            }
            done => done,
        }
    }

    fn copy_by(&self, by: &OwnedFd, source: &Blob, to: Place<'_>, durable: bool) -> io::Result<()> {
        let temporary = format!(".latent-{:016x}", rand::random::<u64>());
        let temporary = OsStr::new(&temporary);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut file = File::from(rfs::openat(by, temporary, flags, Mode::from_raw_mode(0o644))?);
        // Where locks are unknown, its age has to do.
        let _ = rfs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        let written = write(source, &mut file, durable).and_then(|()| self.publish((by, temporary), to));
        if written.is_err() {
            let _ = rfs::unlinkat(by, temporary, AtFlags::empty());
        }
        written
    }

    /// Gives a file its name, where nothing has it. Three ways, for each of them some file system does not know.
    pub(super) fn publish(&self, from: Place<'_>, to: Place<'_>) -> io::Result<()> {
        if self.abilities.rename_without_replacing {
            match rfs::renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE) {
                Err(error) if is_unknown(error) => {}
                done => return Ok(done?),
            }
        }
        if self.abilities.hard_links {
            match rfs::linkat(from.0, from.1, to.0, to.1, AtFlags::empty()) {
                Err(error) if is_unknown(error) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => return Ok(rfs::unlinkat(from.0, from.1, AtFlags::empty())?),
            }
        }
        // An empty file takes the name for us, and is the only one that can be replaced.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        drop(rfs::openat(to.0, to.1, flags, Mode::from_raw_mode(0o644))?);
        let renamed = rfs::renameat(from.0, from.1, to.0, to.1);
        if renamed.is_err() {
            let _ = rfs::unlinkat(to.0, to.1, AtFlags::empty());
        }
        Ok(renamed?)
    }
}

fn is_unknown(error: Errno) -> bool {
    matches!(error, Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::MLINK)
}

fn write(source: &Blob, file: &mut File, durable: bool) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut at = 0;
    while at < source.len() {
        let n = source.read_at(at, &mut buffer)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        io::Write::write_all(file, &buffer[..n])?;
        at += n as u64;
    }
    if durable { file.sync_all() } else { Ok(()) }
}

/// Are the source's very bytes there already?
fn holds((folder, name): Place<'_>, source: &Blob) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(open(folder, Path::new(name), flags)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != source.len() {
        return Ok(false);
    }
    let there = Blob::from_file(file, 0, metadata.len());
    let (mut ours, mut theirs) = (vec![0; BUFFER], vec![0; BUFFER]);
    let mut at = 0;
    while at < source.len() {
        let (n, m) = (source.read_at(at, &mut ours)?, there.read_at(at, &mut theirs)?);
        if n == 0 || ours[..n] != theirs[..m] {
            return Ok(false);
        }
        at += n as u64;
    }
    Ok(true)
}

/// Does nobody write it any more?
fn is_abandoned(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let age = SystemTime::now().duration_since(metadata.modified()?).unwrap_or_default();
    if !metadata.is_file() || age < LOCKED_BY {
        return Ok(false);
    }
    match rfs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(_) => Ok(age > LONGEST_COPY),
    }
}
