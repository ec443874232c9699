//! Rows of figures: a table for the eye, JSON for the next comparison.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde::Serialize;

/// What the project wants a figure to be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

/// Everything that was measured in one run.
#[derive(Default, Serialize)]
pub struct Report {
    commit: String,
    cpu: String,
    cores: usize,
    memory_mib: u64,
    /// Of the command.
    arguments: Vec<String>,
    /// What was measured with: the revision of a plugin's space holds those of its models.
    revisions: BTreeMap<String, String>,
    /// Load average over one minute when each bench began, by its name.
    load: Vec<(String, f64)>,
    rows: Vec<Row>,
    /// What could not be measured: the run fails.
    failed: Vec<Failed>,
}

#[derive(Serialize)]
struct Row {
    bench: String,
    figure: String,
    value: f64,
    unit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<Wanted>,
    /// Absent where nothing was promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<bool>,
}

#[derive(Serialize)]
struct Failed {
    bench: String,
    why: String,
}

impl Wanted {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}"),
            Self::AtMost(most) => format!("<= {most}"),
        }
    }
}

impl Report {
    /// Empty, with what the machine is.
    pub fn of(root: &Path, arguments: Vec<String>) -> Self {
        let commit = Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(root).output();
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            commit: commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default(),
            cpu: model.map_or_else(String::new, |(_, model)| model.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_mib: memory_mib(),
            arguments,
            ..Self::default()
        }
    }

    /// Notes the load that a bench begins under.
    pub fn begin(&mut self, bench: &str) {
        let load = load();
        eprintln!("== {bench} (load {load})");
        self.load.push((bench.to_owned(), load));
    }

    /// What a figure was measured with: a model, a tool.
    pub fn revision(&mut self, of: &str, revision: &str) {
        self.revisions.insert(of.into(), revision.into());
    }

    /// A figure that nothing was promised for.
    pub fn add(&mut self, bench: &str, figure: &str, value: f64, unit: &str) {
        self.push(bench, figure, value, unit, None);
    }

    /// A figure with the number to hold.
    pub fn hold(&mut self, bench: &str, figure: &str, value: f64, unit: &str, wanted: Wanted) {
        self.push(bench, figure, value, unit, Some(wanted));
    }

    fn push(&mut self, bench: &str, figure: &str, value: f64, unit: &str, wanted: Option<Wanted>) {
        eprintln!("   {figure}: {} {unit}", shown(value));
        let held = wanted.map(|wanted| wanted.is_met(value));
        self.rows.push(Row { bench: bench.into(), figure: figure.into(), value, unit: unit.into(), wanted, held });
    }

    /// A bench that did not run, and why.
    pub fn fail(&mut self, bench: &str, why: &str) {
        self.failed.push(Failed { bench: bench.into(), why: why.into() });
    }

    /// Nothing left unmeasured.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }

    /// No figure missed.
    pub fn is_held(&self) -> bool {
        self.rows.iter().all(|row| row.held != Some(false))
    }

    /// The table.
    pub fn print(&self) {
        println!("\n{}, {}, {} cores, {} MiB", self.commit, self.cpu, self.cores, self.memory_mib);
        println!("{:<8} {:<64} {:>9} {:<6}", "bench", "figure", "value", "unit");
        for row in &self.rows {
            let verdict = match (row.wanted, row.held) {
                (Some(wanted), Some(true)) => format!("{}  held", wanted.text()),
                (Some(wanted), _) => format!("{}  MISSED", wanted.text()),
                (None, _) => String::new(),
            };
            println!("{:<8} {:<64} {:>9} {:<6} {verdict}", row.bench, row.figure, shown(row.value), row.unit);
        }
        for failed in &self.failed {
            println!("{:<8} not measured: {}", failed.bench, failed.why);
        }
        for (of, revision) in &self.revisions {
            println!("{of}: {revision}");
        }
        for (bench, load) in &self.load {
            println!("load when {bench} began: {load}");
        }
    }

    /// The same as JSON.
    pub fn write(&self, to: &Path) -> Result<()> {
        fs::write(to, serde_json::to_vec_pretty(self)?)?;
        println!("\nwritten to {}", to.display());
        Ok(())
    }
}

fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

fn memory_mib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    total.unwrap_or(0_u64) / 1024
}

fn shown(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
    }
}
