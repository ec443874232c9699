//! A pipeline as its TOML says it, checked when it is read: a mistake names its file, its line and what was probably meant.

use std::time::Duration;

use types::{QueueName, Visibility};

use crate::condition::Condition;
use crate::reader;
use crate::trigger::Trigger;

/// A pipeline.
#[derive(Debug)]
pub struct Definition {
    /// The file's name without `.toml`.
    pub name: String,
    pub on: Trigger,
    /// In an order in which each comes after those it waits for.
    pub steps: Vec<Step>,
    /// Where it was read.
    pub file: String,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    pub id: String,
    pub uses: Use,
    pub after: Vec<String>,
    pub when: Option<Condition>,
    pub queue: QueueName,
    pub retry: Retry,
    pub on_failure: OnFailure,
    /// Without its plugin the step is not there, rather than a mistake.
    pub optional: bool,
    /// Where it stands.
    pub line: usize,
}

/// Who does a step's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    Metadata,
    Thumbnails,
    /// Decides something about the asset.
    Set(Settable),
    /// Writes a line into the log.
    Log(String),
    /// A plugin's id, or what comes after `latent.` in it. What its world exports decides what the step does.
    Plugin(String),
}

/// What `host:set` decides; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settable {
    pub favorite: Option<bool>,
    pub visibility: Option<Visibility>,
    /// 1 to 5.
    pub rating: Option<i16>,
}

/// What becomes of a step that fails for good, or too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnFailure {
    /// Plugins that do it instead, one after the other.
    pub fallbacks: Vec<String>,
    pub then: Then,
}

/// What becomes of a step that nobody could do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Failed for good: its error stands on the asset. Too often: a dead letter, which the reconciler tries again.
    Retry,
    /// As if its condition did not hold.
    Skip,
    /// Its error stands on the asset, and it is not tried again.
    Error,
}

/// How often a step is tried when something is down.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    pub attempts: u32,
    /// Doubled at each try.
    pub backoff: Duration,
}

/// A mistake in a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct DefinitionError {
    pub file: String,
    pub line: usize,
    pub what: String,
}

impl Definition {
    /// Reads and checks `text`; `file` is named in errors.
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse(file: &str, text: &str) -> Result<Self, DefinitionError> {
        Self::parse_all(file, text).map_err(|mut mistakes| mistakes.swap_remove(0))
    }

    /// The same.
    ///
    /// # Errors
    /// Every mistake, in the order of their lines; at least one.
    pub fn parse_all(file: &str, text: &str) -> Result<Self, Vec<DefinitionError>> {
        reader::read(file, text)
    }

    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }
}

impl Use {
    /// As pipelines write it.
    pub fn name(&self) -> &str {
        match self {
            Self::Metadata => "host:metadata",
            Self::Thumbnails => "host:thumbnails",
            Self::Set(_) => "host:set",
            Self::Log(_) => "host:log",
            Self::Plugin(name) => name,
        }
    }
}

impl std::fmt::Display for OnFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for fallback in &self.fallbacks {
            write!(f, "fallback:{fallback}, then ")?;
        }
        f.write_str(match self.then {
            Then::Retry => "retry",
            Then::Skip => "skip",
            Then::Error => "error",
        })
    }
}
