//! Reads pipeline TOML and runs its steps on one asset.

mod definition;
mod feeder;
mod recipe;
mod run;
mod worker;

pub use definition::{Definition, DefinitionError, Retry, Step, Use};
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
