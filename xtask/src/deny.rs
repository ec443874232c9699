//! Licences, bans and sources of all that is linked, by deny.toml, for the host and for the plugins; advisories where their
//! database can be reached. The tool is a prebuilt one, from a package.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::packages;
use crate::shell::{output, root, run};

/// Fails with every package that may not be linked.
pub fn check() -> Result<()> {
    let tool = tool()?;
    for workspace in [root(), root().join("plugins")] {
        println!("   {}", workspace.join("Cargo.lock").display());
        // "Unused" licences of the list are no fault: the two workspaces share it.
        let kinds = ["check", "--hide-inclusion-graph", "--allow", "license-not-encountered"];
        run(deny(&tool, &workspace).args(kinds).args(["licenses", "bans", "sources"]))?;
        advisories(&tool, &workspace)?;
    }
    Ok(())
}

fn tool() -> Result<PathBuf> {
    let package = packages::tool("cargo-deny")?;
    let program = package.unpacked()?.join("cargo-deny");
    packages::make_executable(&program)?;
    Ok(program)
}

fn deny(tool: &Path, workspace: &Path) -> Command {
    let mut command = Command::new(tool);
    command.current_dir(workspace).args(["--locked", "--log-level", "warn", "--config"]).arg(root().join("deny.toml"));
    command
}

fn advisories(tool: &Path, workspace: &Path) -> Result<()> {
    match output(deny(tool, workspace).args(["check", "advisories"])) {
        Ok(_) => println!("   advisories ok"),
        Err(error) if format!("{error:#}").contains("failed to fetch advisory database") => {
            println!("   advisories skipped: their database (github.com/RustSec/advisory-db) cannot be reached");
        }
        Err(error) => return Err(error).context("advisories"),
    }
    Ok(())
}
