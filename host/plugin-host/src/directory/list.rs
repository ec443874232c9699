//! Lists files in the order of their whole paths, so that a page begins where the one before it ended.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{self as rfs, AtFlags, FileType, OFlags};

use super::path::is_reachable;
use super::{Directory, Entry, FOLDER, entry, open};

/// What is looked for.
struct Wanted<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
}

impl Directory {
    /// Regular files whose path begins with `prefix` and comes after `after`, in the order of their bytes. Hidden names and
    /// links are left out.
    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> io::Result<Vec<Entry>> {
        let (root, wanted) = (self.root()?, Wanted { prefix, after });
        let mut found = Vec::new();
        // Paths to be looked at, the next one last. A folder ends with `/`, which puts it among the names beside it where the
        // paths in it belong.
        let mut paths = wanted.children(&root, "")?;
        while let Some(path) = paths.pop() {
            if found.len() >= limit {
                break;
            }
            let looked = match path.ends_with('/') {
                true => wanted.children(&root, &path).map(|children| paths.extend(children)),
                false => file(&root, &path).map(|file| found.extend(file)),
            };
            match looked {
                // Gone since its name was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(found)
    }
}

impl Wanted<'_> {
    /// The paths of a folder, the first one last. One folder is open at a time.
    fn children(&self, root: &OwnedFd, folder: &str) -> io::Result<Vec<String>> {
        let dir = open(root, Path::new(folder), FOLDER)?;
        let mut paths = Vec::new();
        for item in rfs::Dir::read_from(&dir)? {
            let item = item?;
            let Ok(name) = item.file_name().to_str() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let kind = match item.file_type() {
                FileType::Unknown => match rfs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(_) => continue,
                },
                known => known,
            };
            let path = match kind {
                FileType::Directory => format!("{folder}{name}/"),
                FileType::RegularFile => format!("{folder}{name}"),
                _ => continue,
            };
            if is_reachable(&path) && self.may_hold(&path) {
                paths.push(path);
            }
        }
        paths.sort_unstable_by(|a, b| b.cmp(a));
        Ok(paths)
    }

    /// May this path, or one in this folder, be wanted?
    fn may_hold(&self, path: &str) -> bool {
        if path.ends_with('/') {
            let begins = path.starts_with(self.prefix) || self.prefix.starts_with(path);
            return begins && self.after.is_none_or(|after| after < path || after.starts_with(path));
        }
        path.starts_with(self.prefix) && self.after.is_none_or(|after| after < path)
    }
}

fn file(root: &OwnedFd, path: &str) -> io::Result<Option<Entry>> {
    let path = Path::new(path);
    Ok(entry(path, &rfs::fstat(open(root, path, OFlags::PATH | OFlags::NOFOLLOW)?)?))
}
