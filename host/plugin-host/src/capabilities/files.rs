//! `files`: one directory. The kernel resolves every path beneath it, so that no link and no `..` leads out.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use blobs::Blob;
use rustix::fs::{self as rfs, AtFlags, Mode, OFlags, ResolveFlags};
use wasmtime::Result;
use wasmtime::component::Resource;

use super::blob::digest;
use super::io_error;
use crate::bindings::lent::latent::plugin::files::{Entry, Host};
use crate::bindings::lent::latent::plugin::types::Error;
use crate::held::HeldBlob;
use crate::instance::HostState;

const LONGEST_LIST: u32 = 1_000;

/// Without symlinks at all: a library folder has no need of them, and a planted one must not be followed.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

impl Host for HostState {
    async fn place(
        &mut self,
        path: String,
        src: Resource<HeldBlob>,
        sha256: Vec<u8>,
        durable: bool,
    ) -> Result<Result<Entry, Error>> {
        let source = self.table.get(&src)?.blob.clone();
        self.on_directory(path, move |root, path| place(root, path, &source, &sha256, durable)).await
    }

    async fn open(&mut self, path: String, offset: u64, len: Option<u64>) -> Result<Result<Resource<HeldBlob>, Error>> {
        let opened = self
            .on_directory(path, move |root, path| {
                let file = File::from(open(root, path, OFlags::RDONLY | OFlags::NOFOLLOW)?);
                let metadata = file.metadata()?;
                if !metadata.is_file() {
                    return Err(io::ErrorKind::NotFound.into());
                }
                let offset = offset.min(metadata.len());
                let len = len.unwrap_or(u64::MAX).min(metadata.len() - offset);
                Ok(Blob::from_file(file, offset, len))
            })
            .await?;
        match opened {
            Ok(blob) => self.hold(HeldBlob::from(blob)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn stat(&mut self, path: String) -> Result<Result<Option<Entry>, Error>> {
        let entry = self
            .on_directory(path, |root, path| match open(root, path, OFlags::PATH | OFlags::NOFOLLOW) {
                Ok(fd) => entry(path, &rfs::fstat(fd)?).map(Some),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            })
            .await?;
        Ok(entry)
    }

    async fn rename(&mut self, path: String, to: String) -> Result<Result<(), Error>> {
        let Ok(to) = relative(&to) else { return Ok(Err(Error::Invalid(format!("the path {to:?}")))) };
        self.on_directory(path, move |root, path| {
            let target = make_parent(root, &to, true)?;
            let source = parent(root, path)?;
            rfs::renameat_with(&source, name(path)?, &target, name(&to)?, rfs::RenameFlags::NOREPLACE)?;
            rfs::fsync(&target)?;
            Ok(rfs::fsync(&source)?)
        })
        .await
    }

    async fn remove(&mut self, path: String) -> Result<Result<(), Error>> {
        self.on_directory(path, |root, path| {
            let removed = parent(root, path).and_then(|dir| Ok(rfs::unlinkat(&dir, name(path)?, AtFlags::empty())?));
            match removed {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            }
        })
        .await
    }

    async fn list(&mut self, prefix: String, after: Option<String>, limit: u32) -> Result<Result<Vec<Entry>, Error>> {
        let limit = limit.min(LONGEST_LIST) as usize;
        self.on_directory(".".into(), move |root, _| {
            let mut found = Vec::new();
            walk(root, Path::new(""), &prefix, after.as_deref(), limit, &mut found)?;
            Ok(found)
        })
        .await
    }

    async fn usage(&mut self) -> Result<Result<(u64, u64), Error>> {
        self.on_directory(".".into(), |root, _| {
            let stat = rfs::fstatvfs(root)?;
            Ok(((stat.f_blocks - stat.f_bfree) * stat.f_frsize, stat.f_bavail * stat.f_frsize))
        })
        .await
    }
}

impl HostState {
    /// Runs blocking work on the granted directory and one path below it.
    async fn on_directory<T: Send + 'static>(
        &mut self,
        path: String,
        work: impl FnOnce(&OwnedFd, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<Result<T, Error>> {
        let Some(root) = self.grant.files.clone() else {
            return Ok(Err(Error::Denied("no directory was granted".into())));
        };
        let shown = path.clone();
        let done = tokio::task::spawn_blocking(move || {
            let path = relative(&path)?;
            work(&open_root(&root)?, &path)
        })
        .await?;
        Ok(done.map_err(|error| match error.kind() {
            // The folder itself is gone: an unmounted disk, not a missing object.
            io::ErrorKind::NotConnected => Error::Unavailable(error.to_string()),
            io::ErrorKind::InvalidInput => Error::Invalid(format!("the path {shown:?}: {error}")),
            // What openat2 says of a path that leads out.
            _ if error.raw_os_error() == Some(libc_exdev()) || error.raw_os_error() == Some(libc_eloop()) => {
                Error::Denied(format!("the path {shown:?} leads out of the granted directory"))
            }
            _ => io_error(&shown, &error),
        }))
    }
}

fn libc_exdev() -> i32 {
    rustix::io::Errno::XDEV.raw_os_error()
}

fn libc_eloop() -> i32 {
    rustix::io::Errno::LOOP.raw_os_error()
}

fn open_root(root: &Path) -> io::Result<OwnedFd> {
    rfs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(|error| {
        let why = format!("the granted directory cannot be opened ({error}); is the disk mounted?");
        io::Error::new(io::ErrorKind::NotConnected, why)
    })
}

/// Only names, joined by `/`. `.` alone is the directory itself.
fn relative(path: &str) -> io::Result<PathBuf> {
    let invalid = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
    if path.contains('\0') {
        return Err(invalid("it holds a NUL"));
    }
    let mut clean = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            _ => return Err(invalid("only names below the granted directory are taken")),
        }
    }
    Ok(clean)
}

fn name(path: &Path) -> io::Result<&OsStr> {
    path.file_name().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn open(root: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    Ok(rfs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), RESOLVE)?)
}

fn parent(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    open(root, path.parent().unwrap_or(Path::new("")), OFlags::RDONLY | OFlags::DIRECTORY)
}

/// Makes the folders above `path`; with `durable`, each new one is on disk before the next is made in it.
fn make_parent(root: &OwnedFd, path: &Path, durable: bool) -> io::Result<OwnedFd> {
    let folder = path.parent().unwrap_or(Path::new(""));
    if let Ok(fd) = open(root, folder, OFlags::RDONLY | OFlags::DIRECTORY) {
        return Ok(fd);
    }
    let mut at = open(root, Path::new(""), OFlags::RDONLY | OFlags::DIRECTORY)?;
    for component in folder.components() {
        let step = Path::new(component.as_os_str());
        match rfs::mkdirat(&at, step, Mode::from_raw_mode(0o755)) {
            Ok(()) if durable => rfs::fsync(&at)?,
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        at = open(&at, step, OFlags::RDONLY | OFlags::DIRECTORY)?;
    }
    Ok(at)
}

/// Links the source where that is possible, copies it otherwise; never replaces.
fn place(root: &OwnedFd, path: &Path, source: &Blob, sha256: &[u8], durable: bool) -> io::Result<Entry> {
    let folder = make_parent(root, path, durable)?;
    let name = name(path)?;
    let placed = match link(source, &folder, name) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Another file system, bytes in memory, or a part of a file.
        Err(_) => copy(source, &folder, name, durable),
    };
    if let Err(error) = placed
        && (error.kind() != io::ErrorKind::AlreadyExists || !holds(&folder, name, source, sha256)?)
    {
        return Err(error);
    }
    if durable {
        rfs::fsync(&folder)?;
    }
    let fd = open(&folder, Path::new(name), OFlags::PATH | OFlags::NOFOLLOW)?;
    entry(path, &rfs::fstat(fd)?)
}

/// A second name for the same bytes. The inbox has synced them already.
fn link(source: &Blob, folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let path = source.whole_file().ok_or(io::ErrorKind::Unsupported)?;
    Ok(rfs::linkat(rfs::CWD, path, folder, name, AtFlags::empty())?)
}

/// Under another name first, so that a reader never sees half a file.
fn copy(source: &Blob, folder: &OwnedFd, name: &OsStr, durable: bool) -> io::Result<()> {
    let temporary = format!(".latent-{:016x}", rand::random::<u64>());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = File::from(rfs::openat(folder, &temporary, flags, Mode::from_raw_mode(0o644))?);
    let written = (|| -> io::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        let mut at = 0;
        while at < source.len() {
            let n = source.read_at(at, &mut buffer)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            io::Write::write_all(&mut file, &buffer[..n])?;
            at += n as u64;
        }
        if durable {
            file.sync_all()?;
        }
        Ok(rfs::linkat(folder, &temporary, folder, name, AtFlags::empty())?)
    })();
    let removed = rfs::unlinkat(folder, &temporary, AtFlags::empty());
    written?;
    Ok(removed?)
}

/// Are these very bytes there already?
fn holds(folder: &OwnedFd, name: &OsStr, source: &Blob, sha256: &[u8]) -> io::Result<bool> {
    let file = File::from(open(folder, Path::new(name), OFlags::RDONLY | OFlags::NOFOLLOW)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != source.len() {
        return Ok(false);
    }
    Ok(digest(&Blob::from_file(file, 0, metadata.len()))? == sha256)
}

fn entry(path: &Path, stat: &rfs::Stat) -> io::Result<Entry> {
    if rfs::FileType::from_raw_mode(stat.st_mode) == rfs::FileType::Symlink {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    Ok(Entry {
        path: path.to_string_lossy().into_owned(),
        len: stat.st_size as u64,
        modified_ms: seconds * 1_000 + stat.st_mtime_nsec / 1_000_000,
    })
}

/// Depth first in the order of names, so that `after` pages on.
fn walk(
    dir: &OwnedFd,
    at: &Path,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
    found: &mut Vec<Entry>,
) -> io::Result<()> {
    let mut names: Vec<(PathBuf, bool)> = Vec::new();
    for item in rfs::Dir::read_from(dir)? {
        let item = item?;
        let name = item.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push((at.join(&name), item.file_type() == rfs::FileType::Directory));
        }
    }
    names.sort();
    for (path, is_dir) in names {
        if found.len() >= limit {
            return Ok(());
        }
        let text = path.to_string_lossy();
        let name = Path::new(name(&path)?);
        if is_dir {
            let may_hold = text.starts_with(prefix) || prefix.starts_with(&*text);
            if may_hold {
                walk(&open(dir, name, OFlags::RDONLY | OFlags::DIRECTORY)?, &path, prefix, after, limit, found)?;
            }
        } else if text.starts_with(prefix) && after.is_none_or(|after| *text > *after) {
            found.push(entry(&path, &rfs::fstat(open(dir, name, OFlags::PATH | OFlags::NOFOLLOW)?)?)?);
        }
    }
    Ok(())
}
