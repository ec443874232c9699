//! Why an embedded service is not there.

use std::io;
use std::path::PathBuf;

/// What an operator can act on.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("{} belongs to a server that runs already (process {owner}): stop it, or choose another data-dir", dir.display())]
    Locked { dir: PathBuf, owner: String },
    #[error("cannot lock {}: {source}. The data-dir has to lie on a file system with locks (flock)", path.display())]
    NoLock { path: PathBuf, source: io::Error },
    #[error("{} is missing: run `cargo xtask build`, or point `kit` at a folder that has it", path.display())]
    Missing { path: PathBuf },
    #[error("cannot prepare {}: {source}", path.display())]
    Prepare { path: PathBuf, source: io::Error },
    #[error("{service} did not start: {why}. Its last words, from {}:\n{tail}", log.display())]
    NotStarted { service: &'static str, why: String, log: PathBuf, tail: String },
    #[error(
        "PostgreSQL does not run as root, and this machine lets root make no user namespace to run it in ({source}). \
         Docker's seccomp profile forbids it, for one. Start Latent as another user (`docker run --user 1000:1000`, with \
         a data-dir that is theirs), or allow it (`--security-opt seccomp=unconfined`), or set database.url and redis.url"
    )]
    NoNamespace { source: io::Error },
    #[error(
        "{} was made by PostgreSQL {found}, and this Latent brings {ours}. Nothing was changed. Start the Latent that you had \
         before, dump with its kit/postgres/bin/pg_dump (-h {} -U latent postgres), stop it, move the folder away, start this \
         one, and load the dump with this one's kit/postgres/bin/psql",
        data.display(), sockets.display()
    )]
    OtherMajor { data: PathBuf, found: u32, ours: u32, sockets: PathBuf },
}

impl RuntimeError {
    /// With the end of the service's log, because the reason stands there.
    pub(crate) fn not_started(service: &'static str, why: impl Into<String>, log: PathBuf) -> Self {
        let text = std::fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(12)..].join("\n");
        Self::NotStarted { service, why: why.into(), log, tail }
    }

    /// The same for a spawn that failed: as root the cause is often the namespace.
    pub(crate) fn not_spawned(service: &'static str, error: io::Error, log: PathBuf) -> Self {
        let denied = matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSPC | libc::EINVAL | libc::ENOSYS));
        if denied && rustix::process::geteuid().is_root() {
            return Self::NoNamespace { source: error };
        }
        Self::not_started(service, error.to_string(), log)
    }
}

pub(crate) trait Prepare<T> {
    /// Names the path that an IO error is about.
    fn prepare(self, path: impl Into<PathBuf>) -> Result<T, RuntimeError>;
}

impl<T> Prepare<T> for io::Result<T> {
    fn prepare(self, path: impl Into<PathBuf>) -> Result<T, RuntimeError> {
        self.map_err(|source| RuntimeError::Prepare { path: path.into(), source })
    }
}
