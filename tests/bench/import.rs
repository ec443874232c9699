//! Import of 200 photos, four uploads at once, end to end: the clock stops when the last one is processed. And what is left in
//! memory when all is done.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use crate::house::EMBEDDER;
use crate::process::{self, Sampler};
use crate::report::{Report, Wanted};
use crate::server::{IDLE, Server, idle as idle_memory, runtime, settle};
use crate::{Place, camera, limit, photos};

const AT_ONCE: usize = 4;
const NO_PLUGINS: &str = "[plugins.\"latent.face-detection\"]\nfile = \"face-detection\"\nenabled = false\n\
    [plugins.\"latent.clip-search\"]\nfile = \"clip-search\"\nenabled = false\n";

/// Metadata and thumbnails only: what a stock Immich without machine learning does.
pub fn without_models(place: &Place, report: &mut Report) -> Result<()> {
    let figures = import(place, NO_PLUGINS)?;
    let name = "import";
    report.hold(name, "assets/s, uploads and processing", figures.rate(), "1/s", Wanted::AtLeast(25.0));
    report.hold(name, "CPU seconds an asset", figures.cpu_each(), "s", Wanted::AtMost(0.09));
    report.hold(name, "peak memory: all, PSS", figures.peak.total().pss, "MiB", Wanted::AtMost(350.0));
    parts(name, &figures, report);
    Ok(())
}

/// Everything: metadata, thumbnails, faces, embedding.
pub fn with_models(place: &Place, report: &mut Report) -> Result<()> {
    let limit = limit::of(place)?;
    let figures = import(place, "")?;
    let name = "ingest";
    report.hold(name, "assets/s, uploads and processing", figures.rate(), "1/s", Wanted::AtLeast(9.0));
    report.add(name, "CPU seconds an asset", figures.cpu_each(), "s");
    report.add(name, "peak memory: all, PSS", figures.peak.total().pss, "MiB");
    parts(name, &figures, report);
    report.add(name, "faces a photo", limit.faces, "");
    report.add(name, "alone, thumbnails: CPU seconds an asset", limit.thumbnails, "s");
    report.add(name, "alone, faces: CPU seconds an asset", limit.detection, "s");
    report.add(name, "alone, embedding: CPU seconds an asset", limit.embedding, "s");
    report.add(name, "limit of these parts, all cores", limit.rate(), "1/s");
    report.hold(name, "share of that limit", 100.0 * figures.rate() / limit.rate(), "%", Wanted::AtLeast(70.0));
    Ok(())
}

fn parts(bench: &str, figures: &Figures, report: &mut Report) {
    report.add(bench, "mean size of the photos", figures.megabytes, "MB");
    figures.peak.report(bench, "peak memory", report);
    report.add(bench, "uploads/s alone", figures.count as f64 / figures.uploaded.as_secs_f64(), "1/s");
}

struct Figures {
    count: usize,
    megabytes: f64,
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

/// Memory when everything is imported, models and all, and the models are unloaded again.
pub fn idle(place: &Place, report: &mut Report) -> Result<()> {
    let photos = photos::import_set(place)?;
    runtime()?.block_on(async {
        let server = Arc::new(Server::start(place, IDLE).await?);
        upload_all(&server, &photos).await?;
        wait_until_processed(&server, photos.len()).await?;
        settle(server.pid()).await?;
        // So long the tables of places and time zones stay after the last photo that needed them.
        tokio::time::sleep(Duration::from_secs(35)).await;
        for model in ["centerface", "fr-feature", EMBEDDER] {
            ensure!(has_unloaded(&server.log()?, model), "{model} was not unloaded");
        }
        idle_memory("idle", "idle after an import, models unloaded", server.pid(), report)
    })
}

fn has_unloaded(log: &str, model: &str) -> bool {
    log.lines().any(|line| line.contains("Unloaded the idle model") && line.contains(model))
}

fn import(place: &Place, settings: &str) -> Result<Figures> {
    let photos = photos::import_set(place)?;
    let megabytes = photos::mean_megabytes(&photos)?;
    runtime()?.block_on(async {
        let server = Arc::new(Server::start(place, settings).await?);
        let cpu = process::cpu_seconds(server.pid());
        let sampler = Sampler::start(server.pid());
        let begin = Instant::now();
        upload_all(&server, &photos).await?;
        let uploaded = begin.elapsed();
        wait_until_processed(&server, photos.len()).await?;
        let done = begin.elapsed();
        let cpu = process::cpu_seconds(server.pid()) - cpu;
        let peak = sampler.peak()?;
        ensure_described(&server, photos.len()).await?;
        Ok(Figures { count: photos.len(), megabytes, uploaded, done, cpu, peak })
    })
}

async fn upload_all(server: &Arc<Server>, photos: &[PathBuf]) -> Result<()> {
    let uploads = photos.iter().map(|path| upload(server.clone(), path.clone()));
    let answers: Vec<Result<()>> = futures::stream::iter(uploads).buffer_unordered(AT_ONCE).collect().await;
    answers.into_iter().collect()
}

async fn upload(server: Arc<Server>, path: PathBuf) -> Result<()> {
    let bytes = tokio::fs::read(&path).await?;
    let name = path.file_name().context("a photo has a name")?.to_string_lossy().into_owned();
    let form = Form::new()
        .text("fileCreatedAt", "2024-03-15T12:00:00.000Z")
        .text("fileModifiedAt", "2024-03-15T12:00:00.000Z")
        .part("assetData", Part::bytes(bytes).file_name(name));
    let answer = server
        .http
        .post(format!("{}/api/assets", server.url))
        .bearer_auth(server.token())
        .multipart(form)
        .send()
        .await?;
    if answer.status().as_u16() != 201 {
        bail!("{} answered {}: {}", show(&path), answer.status(), answer.text().await?);
    }
    Ok(())
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// Every photo has its thumbnail, and twice in a row no job waits, is under way or is delayed: a job makes others.
async fn wait_until_processed(server: &Server, count: usize) -> Result<()> {
    let begin = Instant::now();
    let mut calm = 0;
    while calm < 2 {
        if begin.elapsed() > Duration::from_secs(300) {
            bail!("not all photos are processed after five minutes");
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
        let jobs = server.get("/api/jobs").await?;
        let queues = jobs.as_object().context("/api/jobs is no object")?.values();
        if queues.clone().any(|queue| queue["jobCounts"]["failed"].as_u64() != Some(0)) {
            bail!("a job failed");
        }
        let is_calm = queues.map(open_jobs).sum::<u64>() == 0 && with_thumbnail(server).await? == count;
        calm = if is_calm { calm + 1 } else { 0 };
    }
    Ok(())
}

/// Photos whose thumbnail is there.
async fn with_thumbnail(server: &Server) -> Result<usize> {
    texts_of(server, "thumbhash").await
}

/// That metadata were read, and places found: a bench of nothing would be fast.
async fn ensure_described(server: &Server, count: usize) -> Result<()> {
    let placed = texts_of(server, "city").await?;
    ensure!(placed == count, "{placed} of {count} photos have a city");
    Ok(())
}

/// Photos of the month that have this text.
async fn texts_of(server: &Server, column: &str) -> Result<usize> {
    let bucket = server.get(&format!("/api/timeline/bucket?timeBucket={}", camera::MONTH)).await?;
    let texts = bucket[column].as_array().with_context(|| format!("a bucket without {column}"))?;
    Ok(texts.iter().filter(|text| text.is_string()).count())
}

fn open_jobs(queue: &Value) -> u64 {
    ["active", "waiting", "delayed"].iter().filter_map(|name| queue["jobCounts"][name].as_u64()).sum()
}
