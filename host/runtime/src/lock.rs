//! One server a data folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::error::{Prepare as _, RuntimeError};

/// An advisory lock that the kernel drops with the process, however it ends.
#[derive(Debug)]
pub struct DataLock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl DataLock {
    /// Creates the folder (0700) where it is missing.
    pub fn take(dir: &Path) -> Result<Self, RuntimeError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).prepare(dir)?;
        let path = dir.join("lock");
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).prepare(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut owner = String::new();
                file.read_to_string(&mut owner).prepare(&path)?;
                return Err(RuntimeError::Locked { dir: dir.to_path_buf(), owner: owner.trim().to_owned() });
            }
            // A file system without locks, for one.
            Err(error) => return Err(RuntimeError::NoLock { path, source: io::Error::from(error) }),
        }
        file.set_len(0).prepare(&path)?;
        file.write_all(std::process::id().to_string().as_bytes()).prepare(&path)?;
        Ok(Self(file))
    }
}
