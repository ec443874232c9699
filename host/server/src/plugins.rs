//! The plugins that look at photos and videos: loads what the settings name, with what they grant.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gallery::plugins::requests::OperatorCeiling;
use gallery::plugins::{Manager, ManagerParts, Pinned};
use inference::{Inference, InferenceConfig};
use plugin_host::{PluginHost, read_manifest};
use queue::Queue;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::{Settings, grants, settings};

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
        ceilings: ceilings.map(|(id, plugin)| (id.clone(), ceiling(id, plugin))).collect(),
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
        pinned.plugin = Some(host.load(wasm.into(), &grants::of_plugin(plugin)?).await?);
    }
    Ok(())
}

fn ceiling(id: &str, plugin: &settings::Plugin) -> OperatorCeiling {
    let secrets = grants::secrets(&plugin.secrets).unwrap_or_else(|error| {
        tracing::error!(plugin = id, error = format!("{error:#}"), "A plugin gets no secrets");
        BTreeMap::new()
    });
    OperatorCeiling {
        pixels: plugin.ceiling.pixels,
        http: plugin.ceiling.http.clone(),
        secrets,
        models: plugin.models.clone(),
        limits: grants::limits(plugin),
        is_off: !plugin.enabled,
    }
}

/// In the shape of requests, to be put into words.
fn granted(plugin: &settings::Plugin) -> Map<String, Value> {
    let limits = grants::limits(plugin);
    let all = json!({
        "models": plugin.models,
        "pixels": plugin.pixels,
        "http": plugin.http,
        "secrets": plugin.secrets.keys().collect::<Vec<_>>(),
        "kv": limits.kv,
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
