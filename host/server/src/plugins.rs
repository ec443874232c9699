//! The plugins that look at photos and videos: loads what the settings name, with what they grant.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gallery::Plugins;
use inference::{Inference, InferenceConfig};
use plugin_host::{Plugin, PluginHost};
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

/// Loads every plugin that is enabled. One that cannot be loaded is said in the log and left out: photos are kept without it.
pub async fn load(settings: &Settings, host: &PluginHost) -> Plugins {
    let mut plugins = Plugins::default();
    for (id, plugin) in settings.plugins.iter().filter(|(_, plugin)| plugin.enabled) {
        match load_one(settings, host, id, plugin).await {
            Ok(loaded) => install(&mut plugins, loaded),
            Err(error) => tracing::error!(plugin = id, error = format!("{error:#}"), "A plugin cannot be loaded"),
        }
    }
    plugins
}

async fn load_one(settings: &Settings, host: &PluginHost, id: &str, plugin: &settings::Plugin) -> Result<Arc<Plugin>> {
    let path = file(settings, &plugin.file);
    let wasm = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let loaded = host.load(wasm.into(), &grants::of_plugin(plugin)?).await?;
    let found = &loaded.manifest().id;
    anyhow::ensure!(found == id, "{} is {found}: write [plugins.{found:?}]", path.display());
    Ok(loaded)
}

/// A bare name is one of the kit's.
fn file(settings: &Settings, file: &Path) -> PathBuf {
    if file.components().count() > 1 || file.extension().is_some() {
        return file.to_path_buf();
    }
    settings.kit.join("plugins").join(file).with_extension("wasm")
}

/// The first of a kind does the work; the others can be named by pipelines.
fn install(plugins: &mut Plugins, plugin: Arc<Plugin>) {
    if let Some(transcoder) = plugin.transcoder().filter(|_| plugins.transcoder.is_none()) {
        plugins.transcoder = Some(transcoder);
        return;
    }
    match (plugin.face_detector(), plugin.embedder()) {
        (Some(detector), _) if plugins.face_detector.is_none() => plugins.face_detector = Some(detector),
        (_, Some(embedder)) if plugins.embedder.is_none() => plugins.embedder = Some(embedder),
        _ => plugins.others.push(plugin),
    }
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
