//! What a server feels of guests that behave badly: pings while each is called all the time, memory, and how soon a runaway dies.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use media::Pixels;
use plugin_host::{OperatorGrant, PluginError};
use tests::{guests, hostile};

use crate::Place;
use crate::house::House;
use crate::report::{Report, Wanted};

const NAME: &str = "hostile";
const PINGS: usize = 1_000;
const QUICK: usize = 200;
const DEADLINE_MS: u64 = 200;
const RUNAWAYS: usize = 50;

/// Every guest of the suite's harness, with more pings; each beside the calm before it.
pub fn beside_a_server(place: &Place, report: &mut Report) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rows = runtime.block_on(hostile::run(if place.quick { QUICK } else { PINGS }));
    eprintln!("{}", hostile::table(&rows));
    for row in &rows {
        let guest = &row.guest;
        report.hold(NAME, &format!("{guest}: ping p99 to its calm value"), row.ratio(), "x", Wanted::AtMost(3.0));
        report.hold(NAME, &format!("{guest}: memory it takes at most"), row.growth, "MiB", Wanted::AtMost(64.0));
    }
    Ok(())
}

/// An endless loop: milliseconds that it lives beyond its deadline.
pub fn runaway(place: &Place, report: &mut Report) -> Result<()> {
    let house = House::new(place, None)?;
    let manifest = guests::manifest(&format!("deadline = \"{DEADLINE_MS}ms\""));
    let wasm = guests::with_manifest(guests::component("spin"), &manifest);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut beyond = runtime.block_on(async {
        let mut beyond = Vec::new();
        while beyond.len() < RUNAWAYS {
            // A new one each time: its breaker would open.
            let plugin = house.host.load(wasm.clone().into(), &OperatorGrant::default()).await?;
            let detector = plugin.face_detector().context("no detector")?;
            for _ in 0..4 {
                let begun = Instant::now();
                let ended = detector.detect(vec![Pixels::new(1, 1, vec![0; 3])?]).await?;
                let took = begun.elapsed().as_secs_f64() * 1e3;
                ensure!(matches!(ended[..], [Err(PluginError::Timeout(DEADLINE_MS))]), "it ended with {ended:?}");
                beyond.push(took - DEADLINE_MS as f64);
            }
        }
        Ok::<_, anyhow::Error>(beyond)
    })?;
    beyond.sort_by(f64::total_cmp);
    report.add(NAME, "a runaway beyond its deadline, p50", beyond[beyond.len() / 2], "ms");
    report.hold(NAME, "a runaway beyond its deadline, the worst", beyond[beyond.len() - 1], "ms", Wanted::AtMost(20.0));
    Ok(())
}
