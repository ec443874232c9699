//! Reads pipeline TOML and runs its steps on one asset.

mod condition;
mod darkroom;
mod definition;
mod deleted;
mod explain;
mod feeder;
mod hours;
mod overview;
mod plan;
mod reader;
mod recipe;
mod run;
mod runs;
mod schedules;
mod settle;
mod source;
mod suggest;
mod trigger;
mod video;
mod worker;

pub use condition::Condition;
pub use definition::{Definition, DefinitionError, OnFailure, Retry, Settable, Step, Then, Use};
pub use feeder::{Feeder, Reconciled};
pub use hours::{Hours, QueueRule, QueueRules, zone};
pub use overview::{problem_json, run_json};
pub use runs::{Progress, RunRequest};
pub use source::{Pipelines, Source};
pub use suggest::hint;
pub use trigger::{Schedule, TRIGGERS, Trigger};
pub use worker::{Worker, WorkerConfig};
