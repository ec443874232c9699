//! Everything that a server needs, in the order that keeps two cores busy.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use crate::shell::{bin_dir, cargo, root, run, step};
use crate::{guests, kit, models, probe, web};

/// Fetches, converts and compiles. What is there already costs nothing.
pub fn everything() -> Result<()> {
    step("tools", || probe::ensure(false))?;
    parts(&["--workspace"])
}

/// With these packages of the workspace.
pub fn parts(packages: &[&str]) -> Result<()> {
    // Downloads wait for the network: they run beside the compiler.
    std::thread::scope(|scope| {
        let fetched = scope.spawn(|| {
            step("services", kit::services)?;
            step("models", || models::build(false))
        });
        step("page", web::build)?;
        step("plugins", guests::build_all)?;
        step("server", || run(cargo().args(["build", "--release", "--locked"]).args(packages)))?;
        fetched.join().map_err(|_| anyhow!("the thread that fetches panicked"))?
    })
}

/// Builds, then becomes the server: its signals and its exit code are the server's own.
pub fn serve(args: &[String]) -> Result<()> {
    step("tools", || probe::ensure(false))?;
    // Whoever serves does not compile the tests. With the features of the whole workspace nevertheless: with `-p server` they
    // are others, and a later `cargo xtask test` would compile half of the dependencies again.
    parts(&["--workspace", "--bin", "latent"])?;
    let mut latent = Command::new(bin_dir().join("latent"));
    latent.current_dir(root()).args(args);
    let error = latent.exec();
    Err(error).context("cannot start target/release/latent")
}
