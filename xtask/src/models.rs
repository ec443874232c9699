//! The models that ship inside packages: models/build.py makes them, in the user's cache.

use std::process::Command;

use anyhow::Result;

use crate::kit;
use crate::shell::{root, run};

/// Makes what is missing and links it as target/release/kit/models. `all`: also the models that no default needs.
pub fn build(all: bool) -> Result<()> {
    let mut python = Command::new("python3");
    python.current_dir(root()).env("PYTHONDONTWRITEBYTECODE", "1");
    python.arg("models/build.py").arg("--link").arg(kit::dir().join("models"));
    if all {
        python.arg("--all");
    }
    run(&mut python)
}
