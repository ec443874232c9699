//! Import of 200 photos, four uploads at once, end to end: the clock stops when the last one is processed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use crate::process::{self, Sampler};
use crate::report::Report;
use crate::server::{Server, runtime};
use crate::{Place, photos};

const AT_ONCE: usize = 4;

/// Metadata and thumbnails only: what a stock Immich without machine learning does.
pub fn without_models(place: &Place, report: &mut Report) -> Result<()> {
    let settings = "[pipelines.ingest.steps]\nfaces = false\nclip = false\n";
    let figures = import(place, settings)?;
    report.hold("import-plain", "assets/s, uploads and processing", figures.rate(), "1/s", ">= 25");
    report.hold("import-plain", "CPU seconds an asset", figures.cpu_each(), "s", "<= 0.09");
    report.hold("import-plain", "peak memory: all", figures.peak.total(), "MiB", "<= 350");
    parts("import-plain", &figures, report);
    Ok(())
}

/// Everything: metadata, thumbnails, faces, embedding.
pub fn with_models(place: &Place, report: &mut Report) -> Result<()> {
    let figures = import(place, "")?;
    report.hold("import-models", "assets/s, uploads and processing", figures.rate(), "1/s", ">= 9");
    report.add("import-models", "CPU seconds an asset", figures.cpu_each(), "s");
    report.add("import-models", "peak memory: all", figures.peak.total(), "MiB");
    parts("import-models", &figures, report);
    Ok(())
}

fn parts(bench: &str, figures: &Figures, report: &mut Report) {
    report.add(bench, "peak memory: server", figures.peak.server, "MiB");
    report.add(bench, "peak memory: Postgres", figures.peak.postgres, "MiB");
    report.add(bench, "peak memory: Valkey", figures.peak.redis, "MiB");
    report.add(bench, "uploads/s alone", figures.count as f64 / figures.uploaded.as_secs_f64(), "1/s");
}

struct Figures {
    count: usize,
    uploaded: Duration,
    done: Duration,
    cpu: f64,
    peak: process::Memory,
}

impl Figures {
    fn rate(&self) -> f64 {
        self.count as f64 / self.done.as_secs_f64()
    }

    fn cpu_each(&self) -> f64 {
        self.cpu / self.count as f64
    }
}

fn import(place: &Place, settings: &str) -> Result<Figures> {
    let photos = photos::import_set(place)?;
    runtime()?.block_on(async {
        let server = Arc::new(Server::start(place, settings).await?);
        let cpu = process::cpu_seconds(server.pid());
        let sampler = Sampler::start(server.pid());
        let begin = Instant::now();
        let uploads = photos.iter().map(|path| upload(server.clone(), path.clone()));
        let answers: Vec<Result<()>> = futures::stream::iter(uploads).buffer_unordered(AT_ONCE).collect().await;
        answers.into_iter().collect::<Result<()>>()?;
        let uploaded = begin.elapsed();
        wait_until_processed(&server).await?;
        let done = begin.elapsed();
        let cpu = process::cpu_seconds(server.pid()) - cpu;
        Ok(Figures { count: photos.len(), uploaded, done, cpu, peak: sampler.peak() })
    })
}

async fn upload(server: Arc<Server>, path: PathBuf) -> Result<()> {
    let bytes = tokio::fs::read(&path).await?;
    let name = path.file_name().context("a photo has a name")?.to_string_lossy().into_owned();
    let form = Form::new()
        .text("fileCreatedAt", "2024-03-15T12:00:00.000Z")
        .text("fileModifiedAt", "2024-03-15T12:00:00.000Z")
        .part("assetData", Part::bytes(bytes).file_name(name));
    let answer =
        server.http.post(format!("{}/api/assets", server.url)).bearer_auth(server.token()).multipart(form).send().await?;
    if answer.status().as_u16() != 201 {
        bail!("{} answered {}: {}", show(&path), answer.status(), answer.text().await?);
    }
    Ok(())
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// The queues are empty: nothing waits, nothing is under way, nothing is delayed.
async fn wait_until_processed(server: &Server) -> Result<()> {
    let begin = Instant::now();
    loop {
        let jobs = server.get("/api/jobs").await?;
        let open: u64 = jobs.as_object().context("/api/jobs is no object")?.values().map(open_jobs).sum();
        if open == 0 {
            return Ok(());
        }
        if begin.elapsed() > Duration::from_secs(300) {
            bail!("{open} jobs are still open after five minutes");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn open_jobs(queue: &Value) -> u64 {
    ["active", "waiting", "delayed"].iter().filter_map(|name| queue["jobCounts"][name].as_u64()).sum()
}
