//! The image paths of plugins against their native twins: the same pictures by turns, in one run.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use media::Pixels;
use plugin_host::{Embedder, FaceDetector};
use tokio::runtime::Handle;
use types::DetectedFace;

use crate::crossing::{self, Path as Crossed};
use crate::house::{EMBEDDER, House, previews};
use crate::native::inference::bind;
use crate::native::tally;
use crate::report::{Report, Wanted};
use crate::{Place, tiny_model, twin};

const NAME: &str = "faces";
const PHOTOS: usize = 20;
const ROUNDS: usize = 5;

/// Faces, a model that only copies, and search.
pub fn faces(place: &Place, report: &mut Report) -> Result<()> {
    let house = House::new(place, None)?;
    let pictures = previews(place, usize::MAX)?;
    let timed = evenly(&pictures, PHOTOS);
    {
        let _inside = house.host.guests().enter();
        let path = FacePath::open(&house)?;
        report.revision("face-detection", &path.plugin.describe().revision);
        face_path(&path, &timed, &pictures, report)?;
    }
    identity(place, report)?;
    let _inside = house.host.guests().enter();
    let path = SearchPath::open(&house, EMBEDDER)?;
    report.revision("clip-search", &path.plugin.describe().revision);
    search_path(&path, "embedding", &timed, report)
}

/// What `cargo xtask test` looks at too: both twins open on the models as they are shipped, and do what the plugins do.
pub fn twins_agree(place: &Place) -> Result<()> {
    let house = House::new(place, None)?;
    let _inside = house.host.guests().enter();
    let pictures = evenly(&previews(place, usize::MAX)?, 4);
    let (faces, search) = (FacePath::open(&house)?, SearchPath::open(&house, EMBEDDER)?);
    for picture in &pictures {
        faces.native.ensure_agrees(&faces.plugin, &faces.through(picture)?, picture)?;
        search.native.ensure_agrees(&search.plugin, &search.through(picture)?, picture)?;
    }
    Ok(())
}

fn identity(place: &Place, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    tiny_model::write(folder.path(), &manifest(place, "starter-search-text")?)?;
    let house = House::new(place, Some(folder.path()))?;
    let _inside = house.host.guests().enter();
    let small: Vec<Pixels> = (0..PHOTOS).map(|at| picture(at as u8)).collect::<Result<_>>()?;
    search_path(&SearchPath::open(&house, tiny_model::NAME)?, "identity", &small, report)
}

/// The face plugin and its twin.
struct FacePath {
    guests: Handle,
    plugin: FaceDetector,
    native: twin::Faces,
    /// What crosses when an instance is made.
    opened: tally::Tally,
}

impl FacePath {
    fn open(house: &House) -> Result<Self> {
        let guests = house.host.guests().clone();
        let plugin = guests.block_on(house.faces())?;
        for (label, model) in [("detector", "centerface"), ("embedder", "fr-feature")] {
            bind(label, guests.block_on(house.inference.model(model))?);
        }
        tally::take();
        Ok(Self { guests, plugin, native: twin::Faces::open()?, opened: tally::take() })
    }

    fn through(&self, pixels: &Pixels) -> Result<Vec<DetectedFace>> {
        twin::only(self.guests.block_on(self.plugin.detect(vec![pixels.clone()]))?)
    }
}

/// The search plugin and its twin, with any model for pictures.
struct SearchPath {
    guests: Handle,
    plugin: Embedder,
    native: twin::Tower,
    opened: tally::Tally,
}

impl SearchPath {
    fn open(house: &House, model: &str) -> Result<Self> {
        let guests = house.host.guests().clone();
        let plugin = guests.block_on(house.embedder(model))?;
        bind("image", guests.block_on(house.inference.model(model))?);
        tally::take();
        Ok(Self { guests, plugin, native: twin::Tower::open()?, opened: tally::take() })
    }

    fn through(&self, pixels: &Pixels) -> Result<Vec<f32>> {
        twin::only(self.guests.block_on(self.plugin.embed_images(vec![pixels.clone()]))?)
    }
}

fn face_path(path: &FacePath, timed: &[Pixels], all: &[Pixels], report: &mut Report) -> Result<()> {
    let mut with_faces = Vec::new();
    for picture in all {
        let guest = path.through(picture)?;
        path.native.ensure_agrees(&path.plugin, &guest, picture)?;
        if !guest.is_empty() {
            with_faces.push(picture.clone());
        }
    }
    let found: usize = timed.iter().map(|picture| Ok(path.through(picture)?.len())).sum::<Result<_>>()?;
    report.add(NAME, "faces a photo", found as f64 / timed.len() as f64, "");
    let (ours, theirs) =
        (|picture: &Pixels| path.through(picture).map(drop), |p: &Pixels| path.native.detect(p).map(drop));
    compare("face path", timed, ours, theirs, report)?;
    let crossed = Crossed {
        what: "face path",
        plugin: path.plugin.plugin(),
        opened: path.opened,
        each: &|at| ours(&with_faces[at]),
        twin: &|at| Ok(path.native.detect(&with_faces[at])?.len()),
        count: with_faces.len(),
    };
    crossing::of_twin(NAME, &crossed, report)
}

fn search_path(path: &SearchPath, what: &str, pictures: &[Pixels], report: &mut Report) -> Result<()> {
    for picture in pictures {
        path.native.ensure_agrees(&path.plugin, &path.through(picture)?, picture)?;
    }
    let (ours, theirs) =
        (|picture: &Pixels| path.through(picture).map(drop), |p: &Pixels| path.native.embed(p).map(drop));
    compare(what, pictures, ours, theirs, report)?;
    let crossed = Crossed {
        what,
        plugin: path.plugin.plugin(),
        opened: path.opened,
        each: &|at| ours(&pictures[at]),
        twin: &|at| theirs(&pictures[at]).map(|()| 0),
        count: pictures.len(),
    };
    crossing::of_twin(NAME, &crossed, report)
}

/// The best of several rounds for each picture: what else runs on the machine only ever adds.
fn compare(
    what: &str,
    pictures: &[Pixels],
    plugin: impl Fn(&Pixels) -> Result<()>,
    native: impl Fn(&Pixels) -> Result<()>,
    report: &mut Report,
) -> Result<()> {
    let best = |before: &mut f64, work: &dyn Fn() -> Result<()>| -> Result<()> {
        let begun = Instant::now();
        work()?;
        *before = before.min(begun.elapsed().as_secs_f64());
        Ok(())
    };
    let (mut guest_times, mut own_times) = (vec![f64::INFINITY; pictures.len()], vec![f64::INFINITY; pictures.len()]);
    // Short work is repeated more often, for its share of the noise is larger.
    let probe = Instant::now();
    native(&pictures[0])?;
    let rounds = if probe.elapsed().as_millis() < 5 { ROUNDS * 20 } else { ROUNDS };
    for round in 0..rounds {
        for (at, picture) in pictures.iter().enumerate() {
            let turns: [bool; 2] = if (round + at) % 2 == 0 { [true, false] } else { [false, true] };
            for is_plugin in turns {
                match is_plugin {
                    true => best(&mut guest_times[at], &|| plugin(picture))?,
                    false => best(&mut own_times[at], &|| native(picture))?,
                }
            }
        }
    }
    let each = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64 * 1e6;
    let (guest, own) = (each(&guest_times), each(&own_times));
    report.add(NAME, &format!("{what}: through the plugin, a call"), guest, "us");
    report.add(NAME, &format!("{what}: native twin, a call"), own, "us");
    report.hold(NAME, &format!("{what}: throughput, share of the twin's"), own / guest, "", Wanted::AtLeast(0.99));
    Ok(())
}

/// At most so many, from all over.
fn evenly(pictures: &[Pixels], most: usize) -> Vec<Pixels> {
    pictures.iter().step_by(pictures.len().div_ceil(most).max(1)).cloned().collect()
}

/// A noisy square of the tiny model's size.
fn picture(seed: u8) -> Result<Pixels> {
    let side = tiny_model::SIDE;
    let bytes = (0..side * side * 3).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed);
    Ok(Pixels::new(side, side, bytes.collect::<Vec<u8>>())?)
}

fn manifest(place: &Place, model: &str) -> Result<String> {
    let path: &Path = &place.root.join("models").join(model).with_extension("toml");
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
