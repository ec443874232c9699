//! Recipes: what makes a result the same or another one. A changed recipe is done again, an unchanged one never.

use gallery::ingest::{METADATA, THUMBNAILS};
use gallery::videos::TRANSCODING;
use gallery::{Looker, Plugins};

use crate::definition::{Step, Use};

/// Counted up when the same photo gives another result.
const METADATA_REVISION: u32 = 1;
const THUMBNAILS_REVISION: u32 = 1;
const TRANSCODING_REVISION: u32 = 1;

/// The recipe of a step, as it stands in `step_result`. `None`: its plugin is not installed.
pub fn recipe(step: &Step, spec: &media::ThumbnailSpec, plugins: &Plugins) -> Option<String> {
    Some(match &step.uses {
        Use::Metadata => format!("{METADATA}{METADATA_REVISION}"),
        Use::Thumbnails => format!(
            "{THUMBNAILS}{THUMBNAILS_REVISION}/{}q{}/{}q{}",
            spec.preview, spec.preview_quality, spec.thumbnail, spec.thumbnail_quality
        ),
        Use::Plugin(name) => match plugins.named(name)? {
            Looker::Transcoder(plan) => format!("{TRANSCODING}{TRANSCODING_REVISION}/{}", plan.plugin().recipe()),
            // What it sees is the preview: another size may be another result.
            other => format!("{}/{}", other.plugin().recipe(), spec.preview),
        },
    })
}
