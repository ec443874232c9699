//! Thumbnails side by side with sharp, which is what Immich makes them with: the same files, one thread each, by turns.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use media::{Limits, ThumbnailSpec};

use crate::report::{Report, Wanted};
use crate::{Place, photos, process};

const NAME: &str = "thumbs";
const ROUNDS: usize = 4;

/// Seconds of wall clock and of CPU.
#[derive(Clone, Copy, Default)]
struct Spent {
    wall: f64,
    cpu: f64,
}

/// Images a second of one core, both, and their ratio.
pub fn beside_sharp(place: &Place, report: &mut Report) -> Result<()> {
    let paths = photos::twelve_megapixels(place)?;
    let files = paths.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let mut sharp = Sharp::start(place, &paths)?;
    report.revision("thumbs, beside", &sharp.version);
    let (mut ours, mut theirs) = (Spent::default(), Spent::default());
    for round in 0..=ROUNDS {
        let before = (ours, theirs);
        for (at, bytes) in files.iter().enumerate() {
            let cpu = process::cpu_seconds(sharp.child.id());
            theirs.wall += sharp.ask(at)?;
            theirs.cpu += process::cpu_seconds(sharp.child.id()) - cpu;
            let (begun, cpu) = (Instant::now(), process::thread_seconds());
            media::thumbnails(bytes, &ThumbnailSpec::default(), &Limits::default())?;
            ours.cpu += process::thread_seconds() - cpu;
            ours.wall += begun.elapsed().as_secs_f64();
        }
        // The first round is for caches and for the compiler of JavaScript.
        if round == 0 {
            (ours, theirs) = before;
        }
    }
    let count = (ROUNDS * paths.len()) as f64;
    report.add(NAME, "mean size of the photos, 12 MP", photos::mean_megabytes(&paths)?, "MB");
    report.add(NAME, "ours, images per CPU second", count / ours.cpu, "1/s");
    report.add(NAME, &format!("{}, images per CPU second", sharp.version), count / theirs.cpu, "1/s");
    report.add(NAME, "ours, images per second", count / ours.wall, "1/s");
    report.add(NAME, &format!("{}, images per second", sharp.version), count / theirs.wall, "1/s");
    report.add(NAME, "ratio by the clock", theirs.wall / ours.wall, "x");
    report.hold(NAME, "ratio by CPU time", theirs.cpu / ours.cpu, "x", Wanted::AtLeast(2.0));
    Ok(())
}

/// The other side, a process of its own.
struct Sharp {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    version: String,
}

impl Sharp {
    /// It reads the files before it says what it is, as ours are read before.
    fn start(place: &Place, paths: &[PathBuf]) -> Result<Self> {
        let folder = place.root.join("tests/bench/sharp");
        let mut child = Command::new("node")
            .arg("bench.mjs")
            .args(paths)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start node")?;
        let to = child.stdin.take().context("no pipe")?;
        let from = BufReader::new(child.stdout.take().context("no pipe")?);
        let mut sharp = Self { child, to, from, version: String::new() };
        sharp.version = sharp.line().context("is sharp installed? `cargo xtask bench` does that")?;
        Ok(sharp)
    }

    /// Seconds for the file at this place.
    fn ask(&mut self, at: usize) -> Result<f64> {
        writeln!(self.to, "{at}")?;
        let line = self.line()?;
        line.split(' ').next().and_then(|seconds| seconds.parse().ok()).with_context(|| format!("it answered {line:?}"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            bail!("the process with sharp ended");
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Sharp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
