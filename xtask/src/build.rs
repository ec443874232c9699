//! Everything that a server needs, in the order that keeps two cores busy.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use crate::shell::{bin_dir, cargo, root, run, step};
use crate::{guests, kit, models, probe, web};

/// Probes, fetches, converts and compiles. What is there already costs nothing.
pub fn everything() -> Result<()> {
    step("tools", || probe::ensure(false))?;
    all()
}

/// The same, for those who have probed.
pub fn all() -> Result<()> {
    // Downloads wait for the network: they run beside the compiler.
    std::thread::scope(|scope| {
        let fetched = scope.spawn(|| {
            step("services", kit::services)?;
            step("models", || models::build(false))
        });
        step("page", web::build)?;
        step("plugins", guests::build_all)?;
        // The workspace, always: another choice of packages is another choice of their features, and would compile wasmtime and
        // most other crates once more for the tests.
        step("server", || run(cargo().args(["build", "--release", "--locked", "--workspace"])))?;
        fetched.join().map_err(|_| anyhow!("the thread that fetches panicked"))?
    })
}

/// Builds, then becomes the server: its signals and its exit code are the server's own.
pub fn serve(args: &[String]) -> Result<()> {
    everything()?;
    let mut latent = Command::new(bin_dir().join("latent"));
    latent.current_dir(root()).args(args);
    let error = latent.exec();
    Err(error).context("cannot start target/release/latent")
}
