//! The image paths of plugins against their native twins: the same pictures by turns, in one run.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use media::Pixels;
use plugin_host::{Plugin, Traffic};
use tokio::runtime::Handle;

use crate::house::{House, previews};
use crate::report::{Report, Wanted};
use crate::{Place, inference::bind, tiny_model, twin};

const NAME: &str = "faces";
const PHOTOS: usize = 20;
const ROUNDS: usize = 5;
/// Bytes of results of a photo.
const MOST_RESULTS: f64 = 10_000.0;

/// Faces, search, and a model that only copies.
pub fn faces(place: &Place, report: &mut Report) -> Result<()> {
    let house = House::new(place, None)?;
    let guests = house.host.guests().clone();
    let _inside = guests.enter();
    let pictures = previews(place, PHOTOS)?;
    face_path(&house, &guests, &pictures, report)?;
    search_path(&house, &guests, "starter-search-image", "embedding", &pictures, report)?;
    let folder = tempfile::tempdir()?;
    tiny_model::write(folder.path(), &manifest(place, "starter-search-text")?)?;
    let house = House::new(place, Some(folder.path()))?;
    let guests = house.host.guests().clone();
    let _inside = guests.enter();
    let small: Vec<Pixels> = (0..PHOTOS).map(|at| picture(at as u8)).collect::<Result<_>>()?;
    search_path(&house, &guests, tiny_model::NAME, "identity", &small, report)
}

fn face_path(house: &House, guests: &Handle, pictures: &[Pixels], report: &mut Report) -> Result<()> {
    let detector = guests.block_on(house.faces())?;
    for (label, model) in [("detector", "centerface"), ("embedder", "fr-feature")] {
        bind(label, guests.block_on(house.inference.model(model))?);
    }
    let native = twin::Faces::open()?;
    let (revision, dimensions, same_person) = native.space();
    let space = detector.describe();
    ensure!(
        space.revision.ends_with(&revision)
            && space.dimensions == dimensions as usize
            && space.same_person == same_person,
        "the twin is another space than {space:?}"
    );
    let through = |pixels: &Pixels| {
        let mut found = guests.block_on(detector.detect(vec![pixels.clone()]))?;
        Ok(found.pop().context("no answer")??)
    };
    for picture in pictures {
        let (guest, own) = (through(picture)?, native.detect(picture)?);
        ensure!(guest.len() == own.len(), "the plugin finds {} faces, its twin {}", guest.len(), own.len());
    }
    let found: usize = pictures.iter().map(|picture| Ok(through(picture)?.len())).sum::<Result<_>>()?;
    report.add(NAME, "faces a photo", found as f64 / pictures.len() as f64, "");
    let ours = |picture: &Pixels| through(picture).map(drop);
    compare("face path", pictures, ours, |picture| native.detect(picture).map(drop), report)?;
    traffic("face path", detector.plugin(), pictures, ours, report)
}

fn search_path(
    house: &House,
    guests: &Handle,
    model: &str,
    what: &str,
    pictures: &[Pixels],
    report: &mut Report,
) -> Result<()> {
    let embedder = guests.block_on(house.embedder(model))?;
    bind("image", guests.block_on(house.inference.model(model))?);
    let native = twin::Tower::open()?;
    let through = |pixels: &Pixels| -> Result<Vec<f32>> {
        let mut found = guests.block_on(embedder.embed_images(vec![pixels.clone()]))?;
        Ok(found.pop().context("no answer")??)
    };
    for picture in pictures {
        let (guest, own) = (through(picture)?, native.embed(picture)?);
        let cosine: f32 = guest.iter().zip(&own).map(|(a, b)| a * b).sum();
        ensure!(guest.len() == own.len() && cosine > 0.999, "the plugin's vector is not its twin's: cosine {cosine}");
    }
    let ours = |picture: &Pixels| through(picture).map(drop);
    compare(what, pictures, ours, |picture| native.embed(picture).map(drop), report)?;
    traffic(what, embedder.plugin(), pictures, ours, report)
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
    report.add(NAME, &format!("{what}: through the plugin"), guest, "us");
    report.add(NAME, &format!("{what}: native twin"), own, "us");
    report.hold(NAME, &format!("{what}: throughput of the native twin's"), own / guest, "", Wanted::AtLeast(0.99));
    Ok(())
}

/// What crosses into the guest's memory, photo by photo.
fn traffic(
    what: &str,
    plugin: &Plugin,
    pictures: &[Pixels],
    call: impl Fn(&Pixels) -> Result<()>,
    report: &mut Report,
) -> Result<()> {
    let begin: Traffic = plugin.traffic();
    let mut most = 0;
    for picture in pictures {
        let before = plugin.traffic().results;
        call(picture)?;
        most = most.max(plugin.traffic().results - before);
    }
    let end = plugin.traffic();
    let payload = (end.payload - begin.payload) as f64;
    let mean = (end.results - begin.results) as f64 / pictures.len() as f64;
    report.hold(NAME, &format!("{what}: payload through guest memory"), payload, "bytes", Wanted::AtMost(0.0));
    report.hold(NAME, &format!("{what}: results a photo, mean"), mean, "bytes", Wanted::AtMost(MOST_RESULTS));
    report.add(NAME, &format!("{what}: results a photo, most"), most as f64, "bytes");
    Ok(())
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
