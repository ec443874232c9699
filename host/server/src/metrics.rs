//! What /metrics shows beside what the rooms count as they work.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gallery::Gallery;
use metrics::gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use pipelines::Pipelines;
use tokio_util::sync::CancellationToken;
use types::QueueName;

const EVERY: Duration = Duration::from_secs(5);
/// From a warm plugin call to a long video.
const SECONDS: &[f64] = &[
    0.000_01, 0.000_1, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// Takes the counts of this process from now on.
pub fn install() -> Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .context("metrics")
}

/// What renders them.
pub fn renderer(handle: PrometheusHandle) -> Arc<dyn Fn() -> String + Send + Sync> {
    Arc::new(move || handle.render())
}

/// Puts samples into their buckets, for ever: without it they pile up until somebody asks.
pub async fn keep_up(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(EVERY).await;
        handle.run_upkeep();
    }
}

/// Looks at what nobody counts, until `stop`.
pub async fn watch(gallery: Gallery, pipelines: Pipelines, stop: CancellationToken) {
    loop {
        memory();
        pool(&gallery);
        for queue in pipelines.queues() {
            depth(&gallery, &queue).await;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn depth(gallery: &Gallery, queue: &QueueName) {
    let Ok(counts) = gallery.queue().counts(queue).await else { return };
    let states = [
        ("waiting", counts.waiting),
        ("active", counts.active),
        ("delayed", counts.delayed),
        ("failed", counts.failed),
    ];
    for (state, jobs) in states {
        gauge!("latent_queue_jobs", "queue" => queue.to_string(), "state" => state).set(jobs as f64);
    }
    gauge!("latent_queue_paused", "queue" => queue.to_string()).set(f64::from(u8::from(counts.paused)));
}

fn pool(gallery: &Gallery) {
    let status = gallery.store().pool_status();
    for (state, value) in [("open", status.open), ("idle", status.idle), ("waiting", status.waiting)] {
        gauge!("latent_database_connections", "state" => state).set(value as f64);
    }
}

/// Of this process, by the names that Prometheus' own clients use.
fn memory() {
    let Ok(text) = std::fs::read_to_string("/proc/self/status") else { return };
    let bytes = |name: &str| -> Option<f64> {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(rest.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
    };
    for (name, metric) in [("VmRSS:", "process_resident_memory_bytes"), ("VmSize:", "process_virtual_memory_bytes")] {
        if let Some(bytes) = bytes(name) {
            gauge!(metric).set(bytes);
        }
    }
}
