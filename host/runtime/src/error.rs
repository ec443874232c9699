//! Why an embedded service is not there.

use std::io;
use std::path::PathBuf;

/// What an operator can act on.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("{} belongs to a server that runs already (process {owner}): stop it, or choose another data-dir", dir.display())]
    Locked { dir: PathBuf, owner: String },
    #[error("{} is missing: run `cargo xtask build`, or point `kit` at a folder that has it", path.display())]
    Missing { path: PathBuf },
    #[error("cannot prepare {}: {source}", path.display())]
    Prepare { path: PathBuf, source: io::Error },
    #[error("{service} did not start: {why}. Its last words, from {}:\n{tail}", log.display())]
    NotStarted { service: &'static str, why: String, log: PathBuf, tail: String },
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
