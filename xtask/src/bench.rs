//! `cargo xtask bench`: builds everything, fetches what the benches compare with, and runs them.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::shell::{self, bin_dir, root, step, target};
use crate::{build, cache, kit, suite, web};

/// Runs the benches whose name contains one of `only`, or all. Flags of the benches (`--quick`, `--strict`) come after `--`:
/// `cargo xtask bench search -- --quick`. Writes target/bench/<date>.json; fails where something could not be measured.
pub fn run(only: &[String]) -> Result<()> {
    build::everything()?;
    step("photos", photos)?;
    step("sharp", || web::install(&root().join("tests/bench/sharp")))?;
    let folder = target().join("bench");
    fs::create_dir_all(&folder)?;
    let mut bench = Command::new(bin_dir().join("bench"));
    bench
        .args(only)
        .current_dir(root())
        .env("LATENT_BIN", bin_dir().join("latent"))
        .env("LATENT_KIT", kit::dir())
        .env("LATENT_CACHE", cache::dir()?)
        .env("LATENT_PHOTOS", suite::photos()?)
        .env("LATENT_ROOT", root())
        .env("LATENT_BENCH_OUT", folder.join(format!("{}.json", date())));
    shell::run(&mut bench)
}

/// The labelled photos, from packages, in the cache.
fn photos() -> Result<()> {
    shell::run(Command::new("python3").arg(root().join("tests/fixtures/labels/fetch.py")).arg(suite::photos()?))
}

/// `2026-01-31T235959Z`, so that names sort.
fn date() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days as i64);
    format!("{year:04}-{month:02}-{day:02}T{:02}{:02}{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// Year, month and day of so many days after 1970-01-01 (H. Hinnant, days_from_civil backwards).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day - (153 * shifted + 2) / 5 + 1)
}
