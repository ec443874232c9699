//! The page: npm ci and vite build, when its sources changed.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::shell::{root, run, run_quiet, target};
use crate::{cache, probe};

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
    run(npm(&web)?.args(["run", "build", "--silent"]))?;
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
    run_quiet(npm(folder)?.args(["ci", "--prefer-offline", "--no-audit", "--no-fund"]))?;
    Ok(fs::write(stamp, lock)?)
}

/// Checks types and runs the tests of the page, those that its package.json has.
pub fn test() -> Result<()> {
    let web = root().join("web");
    install(&web)?;
    let package: serde_json::Value = serde_json::from_str(&fs::read_to_string(web.join("package.json"))?)?;
    for script in ["check", "test"] {
        if package["scripts"][script].is_string() {
            run(npm(&web)?.args(["run", "--silent", script]))?;
        }
    }
    Ok(())
}

/// npm in a folder, with a Node that is new enough.
pub fn npm(folder: &Path) -> Result<Command> {
    let mut command = Command::new("npm");
    command.current_dir(folder);
    if let Some(node) = probe::node()? {
        command.env("PATH", first_on_path(&node)?);
    }
    Ok(command)
}

/// PATH with a folder before the others.
pub fn first_on_path(folder: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path)))?)
}
