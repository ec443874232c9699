//! What of Immich's configuration stands in the settings: shown to administrators as it is, and changed in the settings alone.

use serde_json::{Map, Value, json};

use crate::Settings;
use crate::settings::Acceleration;

/// A part of AdminConfigDto.
pub fn of(settings: &Settings) -> Value {
    let media = &settings.media;
    let model = |plugin: &str, label: &str| {
        let plugin = settings.plugins.get(plugin);
        plugin.and_then(|plugin| plugin.models.get(label)).cloned().unwrap_or_default()
    };
    let mut config = json!({
        "ffmpeg": ffmpeg(settings),
        "image": {
            "preview": { "quality": media.preview_quality, "size": media.preview },
            "thumbnail": { "quality": media.thumbnail_quality, "size": media.thumbnail },
        },
        "job": jobs(settings),
        "logging": { "level": level(&settings.log.filter) },
        "machineLearning": {
            "clip": { "modelName": model("latent.clip-search", "text") },
            "facialRecognition": { "modelName": model("latent.face-detection", "embedder") },
        },
    });
    let originals = settings.storage.backend.get(&settings.storage.originals);
    if let Some(template) = originals.and_then(|backend| backend.settings.get("template")) {
        config["storageTemplate"] = json!({ "template": template });
    }
    config
}

/// The settings of the plugin are Immich's, spelled with hyphens.
fn ffmpeg(settings: &Settings) -> Value {
    let plugin = settings.plugins.get("latent.transcoding");
    let own = plugin.map(|plugin| &plugin.settings).into_iter().flatten();
    let mut config: Map<String, Value> = own.map(|(key, value)| (camel(key), value.clone())).collect();
    if plugin.is_none_or(|plugin| !plugin.enabled) {
        config.insert("transcode".into(), "disabled".into());
    }
    let acceleration = match settings.video.acceleration {
        Acceleration::None => "disabled",
        Acceleration::Nvenc => "nvenc",
        Acceleration::Qsv => "qsv",
        Acceleration::Vaapi => "vaapi",
    };
    config.insert("accel".into(), acceleration.into());
    config.insert("threads".into(), settings.video.threads.into());
    if settings.video.acceleration != Acceleration::None {
        config.insert("preferredHwDevice".into(), settings.video.device.display().to_string().into());
    }
    config.into()
}

fn camel(key: &str) -> String {
    let mut parts = key.split('-');
    let first = parts.next().unwrap_or("").to_owned();
    parts.fold(first, |text, part| {
        let mut letters = part.chars();
        text + &letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    })
}

/// How many of each at once: what its queue allows, or all that a worker does.
fn jobs(settings: &Settings) -> Value {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let all = if settings.workers.concurrency == 0 { 2 * cores } else { settings.workers.concurrency };
    let of = |queue: &str| match settings.queue.get(queue).map_or(0, |queue| queue.concurrency) {
        0 => all,
        concurrency => concurrency,
    };
    json!({
        "faceDetection": { "concurrency": of("faces") },
        "metadataExtraction": { "concurrency": of("metadata") },
        "smartSearch": { "concurrency": of("search") },
        "thumbnailGeneration": { "concurrency": of("thumbnails") },
        "videoConversion": { "concurrency": settings.video.at_once },
    })
}

/// Immich's word for the level that a filter begins with.
fn level(filter: &str) -> &'static str {
    match filter.split(',').next().unwrap_or("").trim() {
        "trace" => "verbose",
        "debug" => "debug",
        "warn" => "warn",
        "error" => "error",
        _ => "log",
    }
}
