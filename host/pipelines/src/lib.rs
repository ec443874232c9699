//! Reads pipeline TOML and runs its steps on one asset.

mod darkroom;
mod definition;
mod feeder;
mod plan;
mod recipe;
mod run;
mod settle;
mod video;
mod worker;

pub use definition::{Definition, DefinitionError, OnFailure, Retry, Step, Use};
pub use feeder::{Feeder, Reconciled};
pub use worker::{Worker, WorkerConfig};

use std::sync::Arc;

/// The pipelines of an installation.
#[derive(Debug, Clone)]
pub struct Pipelines(Arc<Vec<Definition>>);

impl Pipelines {
    pub fn new(definitions: Vec<Definition>) -> Self {
        Self(Arc::new(definitions))
    }

    /// Every plugin that a step needs is installed.
    ///
    /// # Errors
    /// The first that is not, with the file and the line of its step.
    pub fn check(&self, plugins: &gallery::Plugins) -> Result<(), DefinitionError> {
        let is_missing = |name: &&String| plugins.named(name).is_none();
        for (definition, step) in
            self.iter().flat_map(|pipeline| pipeline.steps.iter().map(move |step| (pipeline, step)))
        {
            let own = if let Use::Plugin(name) = &step.uses { Some(name) } else { None };
            let fallback = if let OnFailure::Fallback(name) = &step.on_failure { Some(name) } else { None };
            let Some(name) = own.filter(is_missing).or(fallback.filter(is_missing)) else { continue };
            if step.optional && own.is_some_and(|own| is_missing(&own)) {
                tracing::info!(step = step.id, plugin = name, "A step is left out: its plugin is not installed");
                continue;
            }
            let (file, line, id) = (definition.file.clone(), step.line, &step.id);
            let what = format!(
                "the step {id:?} needs the plugin {name:?}, which is not installed: install it, or write optional = true"
            );
            return Err(DefinitionError { file, line, what });
        }
        Ok(())
    }

    /// Those that a trigger starts.
    pub fn on(&self, trigger: &str) -> impl Iterator<Item = &Definition> {
        self.0.iter().filter(move |definition| definition.on == trigger)
    }

    pub fn get(&self, name: &str) -> Option<&Definition> {
        self.0.iter().find(|definition| definition.name == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.0.iter()
    }

    /// Every queue that a step names, once, in the order of the steps: a worker looks at what comes first first.
    pub fn queues(&self) -> Vec<types::QueueName> {
        let mut queues: Vec<types::QueueName> = Vec::new();
        for step in self.iter().flat_map(|pipeline| &pipeline.steps) {
            if !queues.contains(&step.queue) {
                queues.push(step.queue.clone());
            }
        }
        queues
    }
}
