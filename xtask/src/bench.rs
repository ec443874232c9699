//! `cargo xtask bench`.

use anyhow::Result;

/// Runs the benches whose name contains one of `only`.
pub fn run(_only: &[String]) -> Result<()> {
    anyhow::bail!("the benches come with step d")
}
