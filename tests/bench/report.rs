//! Rows of figures: a table for the eye, JSON for the next comparison.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

/// Everything that was measured in one run.
#[derive(Default, Serialize)]
pub struct Report {
    rows: Vec<Row>,
    failed: Vec<Failed>,
}

#[derive(Serialize)]
struct Row {
    bench: String,
    figure: String,
    value: f64,
    unit: String,
    /// What the project wants to hold, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<String>,
}

#[derive(Serialize)]
struct Failed {
    bench: String,
    why: String,
}

impl Report {
    /// A figure that nothing was promised for.
    pub fn add(&mut self, bench: &str, figure: &str, value: f64, unit: &str) {
        self.push(bench, figure, value, unit, None);
    }

    /// A figure with the number to hold.
    pub fn hold(&mut self, bench: &str, figure: &str, value: f64, unit: &str, wanted: &str) {
        self.push(bench, figure, value, unit, Some(wanted.to_owned()));
    }

    fn push(&mut self, bench: &str, figure: &str, value: f64, unit: &str, wanted: Option<String>) {
        eprintln!("   {figure}: {} {unit}", shown(value));
        self.rows.push(Row { bench: bench.into(), figure: figure.into(), value, unit: unit.into(), wanted });
    }

    /// A bench that did not run, and why.
    pub fn fail(&mut self, bench: &str, why: &str) {
        self.failed.push(Failed { bench: bench.into(), why: why.into() });
    }

    /// The table.
    pub fn print(&self) {
        println!("\n{:<16} {:<52} {:>12} {:<10} wanted", "bench", "figure", "value", "unit");
        for row in &self.rows {
            let wanted = row.wanted.as_deref().unwrap_or("");
            println!("{:<16} {:<52} {:>12} {:<10} {wanted}", row.bench, row.figure, shown(row.value), row.unit);
        }
        for failed in &self.failed {
            println!("{:<16} not measured: {}", failed.bench, failed.why);
        }
    }

    /// The same as JSON.
    pub fn write(&self, to: &Path) -> Result<()> {
        fs::write(to, serde_json::to_vec_pretty(self)?)?;
        println!("\nwritten to {}", to.display());
        Ok(())
    }
}

fn shown(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
    }
}
