//! Reads pipeline TOML and runs its steps on one asset.

mod definition;
mod feeder;
mod plan;
mod recipe;
mod run;
mod worker;

pub use definition::{Definition, DefinitionError, OnFailure, Retry, Step, Use};
pub use feeder::Feeder;
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
        for definition in self.iter() {
            for step in &definition.steps {
                let fallback = if let OnFailure::Fallback(name) = &step.on_failure { Some(name) } else { None };
                let uses = if let Use::Plugin(name) = &step.uses { Some(name) } else { None };
                let missing = uses
                    .filter(|_| !step.optional)
                    .into_iter()
                    .chain(fallback)
                    .find(|name| plugins.named(name).is_none());
                if let Some(name) = missing {
                    let (file, line, id) = (definition.file.clone(), step.line, &step.id);
                    let what = format!(
                        "the step {id:?} needs the plugin {name:?}, which is not installed; install it, or write optional = true"
                    );
                    return Err(DefinitionError { file, line, what });
                }
            }
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

    /// Every queue that a step names, once.
    pub fn queues(&self) -> Vec<types::QueueName> {
        let mut queues: Vec<_> =
            self.iter().flat_map(|pipeline| &pipeline.steps).map(|step| step.queue.clone()).collect();
        queues.sort();
        queues.dedup();
        queues
    }
}
