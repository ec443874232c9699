//! Everything that a server needs, in the order that keeps two cores busy.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use crate::shell::{bin_dir, cargo, root, run, step};
use crate::{guests, kit, models, probe, web};

/// Probes, fetches, converts and compiles. What is there already costs nothing.
pub fn everything() -> Result<()> {
    step("tools", || probe::ensure(false))?;
    parts(&[])
}

/// The same for those who have probed. `targets`: of the server's workspace; none for all of them.
pub fn parts(targets: &[&str]) -> Result<()> {
    // Downloads wait for the network: they run beside the compiler.
    std::thread::scope(|scope| {
        let fetched = scope.spawn(|| {
            step("services", kit::services)?;
            step("models", || models::build(false))
        });
        step("page", web::build)?;
        step("plugins", guests::build_all)?;
        // With the features of the whole workspace, always: with `-p server` they are others, and a later test would compile
        // wasmtime and half of the other crates again.
        step("server", || run(cargo().args(["build", "--release", "--locked", "--workspace"]).args(targets)))?;
        fetched.join().map_err(|_| anyhow!("the thread that fetches panicked"))?
    })
}

/// Builds, then becomes the server: its signals and its exit code are the server's own.
pub fn serve(args: &[String]) -> Result<()> {
    step("tools", || probe::ensure(false))?;
    parts(&["--bin", "latent"])?;
    let mut latent = Command::new(bin_dir().join("latent"));
    latent.current_dir(root()).args(args);
    let error = latent.exec();
    Err(error).context("cannot start target/release/latent")
}
