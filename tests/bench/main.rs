//! What `cargo xtask bench` runs: prints a table, writes JSON. Compare ratios; machines are shared and noisy.
//! A bench is not a test: a figure that is missed is said, and fails nothing unless `--strict`. What cannot be measured fails.

// The plugins' own source is compiled against `native` here, under the names that it knows: their native twins.
extern crate self as latent_plugin;

#[path = "../../plugins/face-detection/src/align.rs"]
mod align;
mod bucket;
mod call;
mod camera;
#[expect(dead_code, reason = "the plugin is a library, whose fields others may read")]
#[path = "../../plugins/face-detection/src/centerface.rs"]
mod centerface;
mod corpus;
mod crossing;
#[path = "../../plugins/face-detection/src/detector.rs"]
mod detector;
#[path = "../../plugins/face-detection/src/embedder.rs"]
mod embedder;
mod hostile;
mod house;
#[expect(dead_code, reason = "the plugins' SDK has more than a twin calls")]
#[path = "../../plugins/sdk/src/image.rs"]
mod image;
#[path = "../../plugins/clip-search/src/image_tower.rs"]
mod image_tower;
mod import;
#[expect(dead_code, reason = "the plugins' SDK has more than a twin calls")]
#[path = "../../plugins/sdk/src/inference.rs"]
mod inference;
mod limit;
mod native;
mod paths;
mod photos;
mod process;
mod report;
mod search;
mod server;
mod settings;
#[expect(dead_code, reason = "the plugin also makes links")]
#[path = "../../plugins/storage-s3/src/sigv4.rs"]
mod sigv4;
mod smart;
mod sync;
#[path = "../../plugins/sdk/src/tensor.rs"]
mod tensor;
mod thumbs;
mod tiny_model;
mod transcode;
mod twin;
#[allow(dead_code, reason = "the plugin also encodes whole paths")]
#[path = "../../plugins/storage-s3/src/uri.rs"]
mod uri;

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::report::Report;
use crate::twin::rect;

pub use native::{Dtype, Error, Rect, Result, Size, log};

/// Where the SDK looks for what the host lends.
mod bindings {
    pub mod latent {
        pub mod plugin {
            pub use crate::native::{image, inference, tensor};
        }
    }
}

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
    /// Leave out what takes long.
    pub quick: bool,
}

type Bench = fn(&Place, &mut Report) -> anyhow::Result<()>;

const BENCHES: &[(&str, Bench)] = &[
    ("thumbs", thumbs::beside_sharp),
    ("call", call::overhead),
    ("runaway", hostile::runaway),
    ("hostile", hostile::beside_a_server),
    ("faces", paths::faces),
    ("storage", crossing::storage),
    ("transcode", transcode::beside_ffmpeg),
    ("s3", bucket::throughput),
    ("move", bucket::moving),
    ("search", search::nearest),
    ("smart", smart::through_http),
    ("sync", sync::first),
    ("ready", server::ready),
    ("import", import::without_models),
    ("ingest", import::with_models),
    ("idle", import::idle),
];
/// `--check` is for the suite: what the benches stand on still fits the plugins and models, in seconds.
const FLAGS: [&str; 3] = ["--quick", "--strict", "--check"];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, only): (Vec<&str>, Vec<&str>) = arguments.iter().map(|word| &**word).partition(|w| w.starts_with("--"));
    let names: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = flags.iter().find(|flag| !FLAGS.contains(flag)) {
        bail!("{unknown}: the flags are {}", FLAGS.join(", "));
    }
    if let Some(unknown) = only.iter().find(|part| !names.iter().any(|name| name.contains(**part))) {
        bail!("there is no bench {unknown:?}; there are {}", names.join(", "));
    }
    let place = place(flags.contains(&"--quick"))?;
    if flags.contains(&"--check") {
        photos::check(&place)?;
        return paths::twins_agree(&place);
    }
    let mut report = Report::of(&place.root, arguments.clone());
    for (name, bench) in BENCHES {
        if only.is_empty() || only.iter().any(|part| name.contains(part)) {
            report.begin(name);
            if let Err(error) = bench(&place, &mut report) {
                eprintln!("   could not be measured: {error:#}");
                report.fail(name, &format!("{error:#}"));
            }
        }
    }
    report.print();
    report.write(&var("LATENT_BENCH_OUT")?)?;
    if !report.is_complete() {
        bail!("not everything could be measured");
    }
    if flags.contains(&"--strict") && !report.is_held() {
        bail!("a figure was missed");
    }
    Ok(())
}

fn place(quick: bool) -> anyhow::Result<Place> {
    Ok(Place {
        latent: var("LATENT_BIN")?,
        kit: var("LATENT_KIT")?,
        cache: var("LATENT_CACHE")?,
        photos: var("LATENT_PHOTOS")?,
        root: var("LATENT_ROOT")?,
        quick,
    })
}

fn var(name: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::var_os(name).with_context(|| format!("{name} is not set: run `cargo xtask bench`"))?.into())
}
