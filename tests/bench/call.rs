//! What a call of a plugin costs: a guest that does nothing, warm and fresh.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use media::Pixels;
use plugin_host::{OperatorGrant, Plugin};
use tokio::runtime::Handle;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::Place;
use crate::house::House;
use crate::report::{Report, Wanted};

const NAME: &str = "call";
const WARM: usize = 100_000;
const FRESH: usize = 5_000;
const LOADS: usize = 300;
const MANIFEST: &str = "id = \"bench.nothing\"\nversion = \"1.0.0\"\nworld = \"latent:plugin/face-detector@0.1.0\"\n\
    title = \"Nothing\"\n[requests]\nmemory = \"4MiB\"\ndeadline = \"1s\"\n";

/// `detect` of one small image by a guest that finds nothing: from a thread that runs guests, which is what a call costs; and
/// from a task of another runtime, as a pipeline's steps and HTTP's handlers call it, which adds the way to such a thread and
/// back.
pub fn overhead(place: &Place, report: &mut Report) -> Result<()> {
    let house = House::new(place, None)?;
    let wasm = with_manifest(nothing(&place.root)?);
    let guests = house.host.guests().clone();
    loading(&house, &wasm, report)?;
    let plugin = guests.block_on(house.host.load(wasm.into(), &OperatorGrant::default()))?;
    let [warm, fresh] = on(&guests, &plugin)?;
    report.hold(NAME, "on a guest thread: warm, p50", at(&warm, 0.5), "us", Wanted::AtMost(1.0));
    report.hold(NAME, "on a guest thread: warm, p99", at(&warm, 0.99), "us", Wanted::AtMost(5.0));
    report.hold(NAME, "on a guest thread: fresh instance, p50", at(&fresh, 0.5), "us", Wanted::AtMost(15.0));
    report.add(NAME, "on a guest thread: fresh instance, p99", at(&fresh, 0.99), "us");
    let main = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    anyhow::ensure!(main.handle().id() != guests.id(), "the same threads");
    let [warm, fresh] = on(main.handle(), &plugin)?;
    report.add(NAME, "from another runtime, as steps do: warm, p50", at(&warm, 0.5), "us");
    report.add(NAME, "from another runtime, as steps do: warm, p99", at(&warm, 0.99), "us");
    report.add(NAME, "from another runtime, as steps do: fresh, p50", at(&fresh, 0.5), "us");
    report.add(NAME, "from another runtime, as steps do: fresh, p99", at(&fresh, 0.99), "us");
    report.add(NAME, "the clock itself, p50", at(&clock(), 0.5), "us");
    Ok(())
}

/// From bytes to a plugin that has said what it is: compiled, and then from the compile cache, as a start or a swap loads it.
fn loading(house: &House, wasm: &[u8], report: &mut Report) -> Result<()> {
    let load = || -> Result<f64> {
        let begun = Instant::now();
        let wasm = wasm.to_vec().into();
        let plugin = house.host.guests().block_on(house.host.load(wasm, &OperatorGrant::default()))?;
        let took = begun.elapsed().as_secs_f64() * 1e3;
        drop(plugin);
        Ok(took)
    };
    report.add(NAME, "load, small component, compiled", load()?, "ms");
    let mut cached = (0..LOADS).map(|_| load()).collect::<Result<Vec<f64>>>()?;
    cached.sort_by(f64::total_cmp);
    report.hold(
        NAME,
        "load, small component, from the compile cache, p50",
        at(&cached, 0.5),
        "ms",
        Wanted::AtMost(1.0),
    );
    report.add(NAME, "load, small component, from the compile cache, p99", at(&cached, 0.99), "ms");
    Ok(())
}

/// Warm and fresh, from a task of this runtime.
fn on(runtime: &Handle, plugin: &Arc<Plugin>) -> Result<[Vec<f64>; 2]> {
    let plugin = plugin.clone();
    runtime.block_on(runtime.spawn(async move {
        // What a cold cache costs is no part of it.
        times(&plugin, WARM / 20, false).await?;
        let warm = times(&plugin, WARM, false).await?;
        let fresh = times(&plugin, FRESH, true).await?;
        Ok([warm, fresh])
    }))?
}

/// Sorted, in microseconds.
async fn times(plugin: &Arc<Plugin>, count: usize, fresh: bool) -> Result<Vec<f64>> {
    let detector = plugin.face_detector().context("no detector")?;
    let picture = Pixels::new(1, 1, vec![0; 3])?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        if fresh {
            plugin.cool();
        }
        let images = vec![picture.clone()];
        let begun = Instant::now();
        let found = detector.detect(images).await?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
        anyhow::ensure!(matches!(&found[..], [Ok(faces)] if faces.is_empty()), "the guest answered {found:?}");
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn clock() -> Vec<f64> {
    let mut times: Vec<f64> = (0..WARM).map(|_| Instant::now().elapsed().as_secs_f64() * 1e6).collect();
    times.sort_by(f64::total_cmp);
    times
}

fn at(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

/// The guest that the suite uses too, as a component.
fn nothing(root: &Path) -> Result<Vec<u8>> {
    let guests = root.join("tests/guests");
    let skeleton = std::fs::read_to_string(guests.join("face-detector.wat"))?;
    let guest = std::fs::read_to_string(guests.join("hostile/nothing.wat"))?;
    let (imports, detect) = guest.split_once(";; detect\n").context("a guest has a line `;; detect`")?;
    let mut module = wat::parse_str(skeleton.replace("(;imports;)", imports).replace("(;detect;)", detect))?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root.join("wit"))?;
    let world = resolve.select_world(&[package], Some("face-detector"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    ComponentEncoder::default().validate(true).module(&module)?.encode()
}

fn with_manifest(mut component: Vec<u8>) -> Vec<u8> {
    let section = wasm_encoder::CustomSection { name: "latent:manifest".into(), data: MANIFEST.as_bytes().into() };
    component.push(wasm_encoder::ComponentSection::id(&section));
    wasm_encoder::Encode::encode(&section, &mut component);
    component
}
