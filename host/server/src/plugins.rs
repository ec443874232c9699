//! The plugins that look at photos: loads what the settings name, with what they grant.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gallery::plugins::requests::OperatorCeiling;
use gallery::plugins::{Manager, ManagerParts, Pinned};
use inference::{Inference, InferenceConfig};
use plugin_host::{Ceiling, OperatorGrant, PluginHost, read_manifest};
use queue::Queue;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::Settings;
use crate::settings;

/// How often models are looked at that nobody runs.
const LOOK: Duration = Duration::from_secs(5);

/// ONNX Runtime, which is loaded with the first model.
pub fn inference(settings: &Settings) -> Result<Arc<Inference>> {
    let own = &settings.inference;
    Ok(Inference::new(InferenceConfig {
        library: settings.kit.join("onnxruntime/libonnxruntime.so"),
        weights: vec![settings.kit.join("models")],
        manifests: own.manifests.clone(),
        downloads: own.models.clone(),
        threads: own.threads,
        parallel: own.parallel,
        idle_unload: Duration::from_secs(own.idle_unload),
        provider: own.provider.clone(),
    })?)
}

/// What the settings pin and what they allow at most, and where `run` is the word, the pinned ones loaded. One that cannot be
/// loaded is said in the log and left out: photos are kept without it.
pub async fn manager(
    settings: &Settings,
    store: Store,
    host: PluginHost,
    inference: &Inference,
    queue: Option<Queue>,
    run: bool,
) -> Manager {
    let mut pinned = Vec::new();
    for (id, plugin) in settings.plugins.iter().filter(|(_, plugin)| plugin.is_pinned()) {
        pinned.push(pin(settings, &host, id, plugin, run).await);
    }
    let ceilings = settings.plugins.iter().filter(|(_, plugin)| !plugin.is_pinned());
    Manager::new(ManagerParts {
        store,
        host: Arc::new(host),
        pinned,
        ceilings: ceilings.map(|(id, plugin)| (id.clone(), ceiling(plugin))).collect(),
        models: inference.manifests().iter().map(|manifest| manifest.name.clone()).collect(),
        queue,
    })
}

async fn pin(settings: &Settings, host: &PluginHost, id: &str, plugin: &settings::Plugin, run: bool) -> Pinned {
    let mut pinned = Pinned {
        id: id.to_owned(),
        enabled: plugin.enabled,
        source: format!("settings: {}", plugin.file.display()),
        manifest: None,
        digest: String::new(),
        changed_at: jiff::Timestamp::UNIX_EPOCH,
        granted: granted(plugin),
        plugin: None,
        error: None,
    };
    if let Err(error) = fill(settings, host, plugin, run && plugin.enabled, &mut pinned).await {
        if plugin.enabled {
            tracing::error!(plugin = id, error = format!("{error:#}"), "A plugin cannot be loaded");
        }
        pinned.error = Some(format!("{error:#}"));
    }
    pinned
}

async fn fill(
    settings: &Settings,
    host: &PluginHost,
    plugin: &settings::Plugin,
    run: bool,
    pinned: &mut Pinned,
) -> Result<()> {
    let path = file(settings, &plugin.file);
    let wasm = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if let Ok(changed_at) = path.metadata()?.modified().map(jiff::Timestamp::try_from) {
        pinned.changed_at = changed_at.unwrap_or_default();
    }
    let manifest = read_manifest(&wasm)?;
    let found = manifest.id.clone();
    anyhow::ensure!(found == pinned.id, "{} is {found}: write [plugins.{found:?}]", path.display());
    pinned.digest = hex::encode(Sha256::digest(&wasm));
    pinned.manifest = Some(manifest);
    if run {
        pinned.plugin = Some(host.load(wasm.into(), &grant(plugin)).await?);
    }
    Ok(())
}

fn grant(plugin: &settings::Plugin) -> OperatorGrant {
    OperatorGrant {
        models: plugin.models.clone(),
        pixels: plugin.pixels,
        settings: plugin.settings.clone(),
        ceiling: limits(plugin),
        files: None,
    }
}

fn limits(plugin: &settings::Plugin) -> Ceiling {
    Ceiling {
        memory: plugin.memory.or(plugin.ceiling.memory),
        host_memory: plugin.host_memory.or(plugin.ceiling.host_memory),
        deadline: plugin.deadline.or(plugin.ceiling.deadline),
        concurrency: plugin.concurrency.or(plugin.ceiling.concurrency).map(NonZeroUsize::get),
    }
}

fn ceiling(plugin: &settings::Plugin) -> OperatorCeiling {
    OperatorCeiling {
        pixels: plugin.ceiling.pixels,
        models: plugin.models.clone(),
        limits: limits(plugin),
        is_off: !plugin.enabled,
    }
}

/// In the shape of requests, to be put into words.
fn granted(plugin: &settings::Plugin) -> Map<String, Value> {
    let limits = limits(plugin);
    let all = json!({
        "models": plugin.models,
        "pixels": plugin.pixels,
        "memory": limits.memory,
        "host-memory": limits.host_memory,
        "deadline": limits.deadline,
        "concurrency": limits.concurrency,
    });
    let Value::Object(all) = all else { return Map::new() };
    all.into_iter().filter(|(_, value)| !value.is_null() && *value != Value::Bool(false)).collect()
}

/// A bare name is one of the kit's.
fn file(settings: &Settings, file: &Path) -> PathBuf {
    if file.components().count() > 1 || file.extension().is_some() {
        return file.to_path_buf();
    }
    settings.kit.join("plugins").join(file).with_extension("wasm")
}

/// Gives back the memory of models that nobody runs, until `stop`.
pub async fn unload_idle(inference: Arc<Inference>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let inference = inference.clone();
        let _ = tokio::task::spawn_blocking(move || inference.unload_idle()).await;
    }
}
