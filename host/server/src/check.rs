//! `latent config check`: what can be known of the settings without starting anything.

use ::pipelines::{Pipelines, QueueRules};
use tracing_subscriber::EnvFilter;

use crate::{Settings, grants, pipelines, plugins, video};

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
    wrong.extend(granted(settings));
    if let Err(error) = EnvFilter::try_new(&settings.log.filter) {
        wrong.push(format!("log.filter: {error}"));
    }
    let rules = pipelines::rules(settings);
    match Pipelines::open(pipelines::source(settings), QueueRules::default()) {
        Ok(opened) => wrong.extend(pipelines::known_queues(settings, &opened).err().map(|error| format!("{error:#}"))),
        Err(mistakes) => wrong.extend(mistakes.iter().map(|mistake| format!("pipelines: {mistake}"))),
    }
    wrong.extend(rules.err().map(|error| format!("{error:#}")));
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

/// Secrets that are not where the settings say.
fn granted(settings: &Settings) -> impl Iterator<Item = String> {
    let wrong = |key: String, error: anyhow::Error| format!("{key}: {error:#}");
    let backends = settings.storage.backend.iter().filter_map(move |(name, backend)| {
        grants::of_backend(name, backend).err().map(|error| wrong(format!("storage.backend.{name}"), error))
    });
    let plugins = settings.plugins.iter().filter_map(move |(id, plugin)| {
        grants::of_plugin(plugin).err().map(|error| wrong(format!("plugins.{id}"), error))
    });
    backends.chain(plugins)
}
