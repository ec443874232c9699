//! A PostgreSQL cluster as it lies on disk: its version, and who has it open.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Prepare as _, RuntimeError};

/// A folder that initdb made, or will.
#[derive(Debug, Clone)]
pub struct Cluster(PathBuf);

impl Cluster {
    pub fn in_folder(dir: PathBuf) -> Self {
        Self(dir)
    }

    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// By PG_VERSION; `None`: there is no cluster yet.
    pub fn major(&self) -> Option<u32> {
        fs::read_to_string(self.0.join("PG_VERSION")).ok()?.trim().parse().ok()
    }

    /// Process id and state, from the lines 1 and 8 of postmaster.pid.
    pub fn postmaster(&self) -> Option<(u32, String)> {
        let text = fs::read_to_string(self.pid_file()).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        Some((pid, lines.nth(6).unwrap_or("").trim().to_owned()))
    }

    /// A process that works in the folder, as postmasters and their backends do. The id in postmaster.pid alone proves nothing:
    /// after a reboot, or in a container, it is soon somebody else's.
    pub fn user(&self) -> Option<u32> {
        let ours = fs::metadata(&self.0).ok()?;
        let works_here = |pid: u32| {
            let cwd = fs::metadata(format!("/proc/{pid}/cwd"));
            cwd.is_ok_and(|cwd| (cwd.dev(), cwd.ino()) == (ours.dev(), ours.ino()))
        };
        let ids = fs::read_dir("/proc").ok()?.flatten();
        ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|pid| works_here(*pid))
    }

    /// PostgreSQL refuses to start beside a postmaster.pid whose process lives, whoever that is. We hold the lock of the data
    /// folder; where nobody works in the cluster the file is a leftover.
    pub fn remove_stale_pid_file(&self) -> io::Result<()> {
        if self.user().is_some() {
            return Ok(());
        }
        match fs::remove_file(self.pid_file()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn pid_file(&self) -> PathBuf {
        self.0.join("postmaster.pid")
    }
}

/// The major version of a `postgres` program.
pub fn major_of(postgres: &Path) -> Result<u32, RuntimeError> {
    let output = Command::new(postgres).arg("--version").output().prepare(postgres)?;
    let words = String::from_utf8_lossy(&output.stdout);
    // "postgres (PostgreSQL) 18.6"
    let version = words.split_whitespace().last().and_then(|version| version.split('.').next());
    let major = version.and_then(|major| major.trim_end_matches(|end: char| !end.is_ascii_digit()).parse().ok());
    major.ok_or_else(|| io::Error::other(format!("--version says {words:?}"))).prepare(postgres)
}
