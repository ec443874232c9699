//! The page: npm ci and vite build, when its sources changed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cache;
use crate::shell::{root, run, run_quiet, target};

/// Builds web/dist, which the server embeds.
pub fn build() -> Result<()> {
    let web = root().join("web");
    let fingerprint = cache::fingerprint(std::slice::from_ref(&web))?;
    let stamp = target().join("web.fingerprint");
    let fresh = fs::read_to_string(&stamp).is_ok_and(|there| there == fingerprint);
    if fresh && web.join("dist/index.html").exists() {
        return Ok(());
    }
    install(&web)?;
    run(npm(&web).args(["run", "build", "--silent"]))?;
    fs::create_dir_all(target())?;
    Ok(fs::write(stamp, fingerprint)?)
}

/// `npm ci`, from npm's own cache where that is possible, when the lock file changed.
pub fn install(folder: &Path) -> Result<()> {
    let lock = fs::read_to_string(folder.join("package-lock.json"))?;
    let stamp = folder.join("node_modules/.latent-lock");
    if fs::read_to_string(&stamp).is_ok_and(|there| there == lock) {
        return Ok(());
    }
    run_quiet(npm(folder).args(["ci", "--prefer-offline", "--no-audit", "--no-fund"]))?;
    Ok(fs::write(stamp, lock)?)
}

/// npm in a folder.
pub fn npm(folder: &Path) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(folder);
    command
}
