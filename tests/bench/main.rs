//! What `cargo xtask bench` runs: prints a table, writes JSON. Compare ratios; machines are shared and noisy.
//! A bench is not a test: a figure that is missed is said, and fails nothing unless `--strict`.

// The face plugin's own source is compiled against `native` here, under the names that it knows: its native twin.
extern crate self as latent_plugin;

#[path = "../../plugins/face-detection/src/align.rs"]
mod align;
mod call;
#[expect(dead_code, reason = "the plugin is a library, whose fields others may read")]
#[path = "../../plugins/face-detection/src/centerface.rs"]
mod centerface;
#[path = "../../plugins/face-detection/src/detector.rs"]
mod detector;
#[path = "../../plugins/face-detection/src/embedder.rs"]
mod embedder;
mod house;
mod import;
mod limit;
mod native;
mod paths;
mod photos;
mod process;
mod report;
mod search;
mod server;
#[path = "../../plugins/face-detection/src/settings.rs"]
mod settings;
mod thumbs;
mod tiny_model;
mod twin;

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::report::Report;
use crate::twin::rect;

pub use native::{Error, Rect, Result, Size, image, inference, log, tensor};

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
    /// Also what takes long.
    pub full: bool,
}

type Bench = fn(&Place, &mut Report) -> anyhow::Result<()>;

const BENCHES: &[(&str, Bench)] = &[
    ("thumbs", thumbs::beside_sharp),
    ("call", call::overhead),
    ("faces", paths::faces),
    ("search", search::nearest),
    ("ready", server::ready_and_idle),
    ("import", import::without_models),
    ("ingest", import::with_models),
];

fn main() -> anyhow::Result<()> {
    let (flags, only): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let is_set = |flag: &str| flags.iter().any(|there| there == flag);
    let names: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = flags.iter().find(|flag| !matches!(&***flag, "--full" | "--strict")) {
        bail!("{unknown}: the flags are --full and --strict");
    }
    if let Some(unknown) = only.iter().find(|part| !names.iter().any(|name| name.contains(&***part))) {
        bail!("there is no bench {unknown:?}; there are {}", names.join(", "));
    }
    let place = place(is_set("--full"))?;
    let mut report = Report::of(&place.root);
    for (name, bench) in BENCHES {
        if only.is_empty() || only.iter().any(|part| name.contains(&**part)) {
            report.begin(name);
            if let Err(error) = bench(&place, &mut report) {
                eprintln!("   could not be measured: {error:#}");
                report.fail(name, &format!("{error:#}"));
            }
        }
    }
    report.print();
    report.write(&var("LATENT_BENCH_OUT")?)?;
    if is_set("--strict") && !report.is_good() {
        bail!("a figure was missed or not measured");
    }
    Ok(())
}

fn place(full: bool) -> anyhow::Result<Place> {
    Ok(Place {
        latent: var("LATENT_BIN")?,
        kit: var("LATENT_KIT")?,
        cache: var("LATENT_CACHE")?,
        photos: var("LATENT_PHOTOS")?,
        root: var("LATENT_ROOT")?,
        full,
    })
}

fn var(name: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::var_os(name).with_context(|| format!("{name} is not set: run `cargo xtask bench`"))?.into())
}
