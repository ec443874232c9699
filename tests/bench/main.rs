//! What `cargo xtask bench` runs: prints a table, writes JSON. Compare ratios; machines are shared and noisy.
//! A bench is not a test: nothing here fails because of a time.

mod import;
mod photos;
mod process;
mod report;
mod server;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::report::Report;

/// Where things are, given by xtask.
pub struct Place {
    /// The server's binary.
    pub latent: PathBuf,
    pub kit: PathBuf,
    /// The user's cache: generated photos are kept there.
    pub cache: PathBuf,
    /// The labelled real photos.
    pub photos: PathBuf,
    /// The checkout.
    pub root: PathBuf,
}

type Bench = fn(&Place, &mut Report) -> Result<()>;

const BENCHES: &[(&str, Bench)] = &[
    ("ready", server::ready_and_idle),
    ("import-plain", import::without_models),
    ("import-models", import::with_models),
];

fn main() -> Result<()> {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let place = Place {
        latent: var("LATENT_BIN")?,
        kit: var("LATENT_KIT")?,
        cache: var("LATENT_CACHE")?,
        photos: var("LATENT_PHOTOS")?,
        root: var("LATENT_ROOT")?,
    };
    let mut report = Report::default();
    for (name, bench) in BENCHES {
        if only.is_empty() || only.iter().any(|part| name.contains(&**part)) {
            eprintln!("== {name}");
            if let Err(error) = bench(&place, &mut report) {
                eprintln!("== {name} could not be measured: {error:#}");
                report.fail(name, &format!("{error:#}"));
            }
        }
    }
    report.print();
    report.write(&var("LATENT_BENCH_OUT")?)
}

fn var(name: &str) -> Result<PathBuf> {
    Ok(std::env::var_os(name).with_context(|| format!("{name} is not set: run `cargo xtask bench`"))?.into())
}
