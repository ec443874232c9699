//! How a step ends, and what its definition makes of a failure.

use gallery::{GalleryError, Plugins};
use plugin_host::PluginError;
use store::assets::Asset;

use crate::definition::{Step, Then};
use crate::run::{Seen, Tools};

/// How a step ended.
pub enum Outcome {
    Done,
    Skipped,
    /// Never, with these bytes.
    Impossible(String),
}

/// A step that did not end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    #[error("{id}: {error}")]
    Plugin { id: String, error: PluginError },
    #[error("the plugin {0:?} is not installed")]
    Missing(String),
    #[error("{0}")]
    Condition(String),
}

impl Failure {
    /// May the same succeed later?
    fn is_transient(&self) -> bool {
        match self {
            Self::Gallery(error) => error.is_transient(),
            Self::Plugin { error, .. } => error.is_transient(),
            Self::Missing(_) | Self::Condition(_) => false,
        }
    }

    /// Something that every asset meets is down: however often it was tried, that says nothing of this one. A plugin that
    /// crashes or does not answer may well do so because of the photo.
    fn is_outage(&self) -> bool {
        match self {
            Self::Gallery(error) => error.is_transient(),
            Self::Plugin { error, .. } => {
                matches!(error, PluginError::Unavailable(_) | PluginError::Cancelled | PluginError::Full(_))
            }
            Self::Missing(_) | Self::Condition(_) => false,
        }
    }
}

impl Tools {
    /// The step, with what its definition says about failures applied. An error here means: again later.
    pub async fn settled(
        &self,
        step: &Step,
        asset: &Asset,
        seen: &mut Seen,
        plugins: &Plugins,
        attempt: u32,
    ) -> Result<Outcome, Failure> {
        let failure = match self.step(step, asset, seen, plugins).await {
            Err(failure) => failure,
            ended => return ended,
        };
        let is_ours = matches!(failure, Failure::Gallery(_));
        if failure.is_transient() && (is_ours || attempt < step.retry.attempts) {
            return Err(failure);
        }
        let (mut failure, mut why) = (failure, None::<String>);
        // A condition that cannot be evaluated says nothing of who does the work.
        let fallbacks = if matches!(failure, Failure::Condition(_)) { &[][..] } else { &step.on_failure.fallbacks };
        for other in fallbacks {
            tracing::warn!(asset.id = %asset.id, step = step.id, error = %failure, other, "A step falls back");
            match self.plugin(other, asset, seen, plugins).await {
                Ok(outcome) => return Ok(outcome),
                Err(second) => {
                    why = Some(format!("{}; then {second}", why.unwrap_or_else(|| failure.to_string())));
                    failure = second;
                }
            }
        }
        let why = why.unwrap_or_else(|| failure.to_string());
        match step.on_failure.then {
            Then::Retry if failure.is_outage() => Err(failure),
            Then::Retry | Then::Error => Ok(Outcome::Impossible(why)),
            Then::Skip => {
                tracing::warn!(asset.id = %asset.id, step = step.id, error = why, "A step failed and is skipped");
                Ok(Outcome::Skipped)
            }
        }
    }
}
