//! `latent config check`: what can be known of the settings without starting anything.

use pipelines::Pipelines;
use tracing_subscriber::EnvFilter;

use crate::compose::definitions;
use crate::{Settings, plugins, video};

/// What is wrong, each with the key that it is about; nothing where all is in order.
pub fn check(settings: &Settings) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, name) in [("originals", &settings.storage.originals), ("derivatives", &settings.storage.derivatives)] {
        if !settings.storage.backend.contains_key(name) {
            wrong.push(format!("storage.{key}: there is no [storage.backend.{name}]"));
        }
    }
    for (name, backend) in &settings.storage.backend {
        let file = settings.kit.join("plugins").join(format!("{}.wasm", backend.plugin));
        if !file.exists() {
            wrong.push(format!("storage.backend.{name}.plugin: {} is not there", file.display()));
        }
    }
    if let Err(error) = EnvFilter::try_new(&settings.log.filter) {
        wrong.push(format!("log.filter: {error}"));
    }
    match definitions(&settings.pipelines) {
        Ok(definitions) if definitions.is_empty() => {
            wrong.push(format!("pipelines: {} holds no *.toml", settings.pipelines.display()));
        }
        Ok(definitions) => drop(Pipelines::new(definitions)),
        Err(error) => wrong.push(format!("pipelines: {error:#}")),
    }
    if let Err(error) = plugins::inference(settings) {
        wrong.push(format!("inference: {error:#}"));
    }
    if let Err(error) = video::tools(settings) {
        wrong.push(format!("video: {error}"));
    }
    let ca = &settings.database.ca;
    if !ca.as_os_str().is_empty() && !ca.is_file() {
        wrong.push(format!("database.ca: {} is not there", ca.display()));
    }
    wrong
}
