//! How a step ends, and what its definition makes of a failure.

use gallery::{GalleryError, Plugins};
use plugin_host::PluginError;
use store::assets::Asset;

use crate::definition::{OnFailure, Step, Use};
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
}

impl Failure {
    /// May the same succeed later?
    fn is_transient(&self) -> bool {
        match self {
            Self::Gallery(error) => error.is_transient(),
            Self::Plugin { error, .. } => error.is_transient(),
            Self::Missing(_) => false,
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
            Self::Missing(_) => false,
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
        match &step.on_failure {
            OnFailure::Retry if failure.is_outage() => Err(failure),
            OnFailure::Retry | OnFailure::Error => Ok(Outcome::Impossible(failure.to_string())),
            OnFailure::Skip => {
                tracing::warn!(asset.id = %asset.id, step = step.id, error = %failure, "A step failed and is skipped");
                Ok(Outcome::Skipped)
            }
            OnFailure::Fallback(_) if !matches!(step.uses, Use::Plugin(_)) => {
                Ok(Outcome::Impossible(failure.to_string()))
            }
            OnFailure::Fallback(other) => {
                tracing::warn!(asset.id = %asset.id, step = step.id, error = %failure, other, "A step falls back");
                match self.plugin(other, asset, seen, plugins).await {
                    Err(second) if !second.is_outage() => Ok(Outcome::Impossible(format!("{failure}; then {second}"))),
                    ended => ended,
                }
            }
        }
    }
}
