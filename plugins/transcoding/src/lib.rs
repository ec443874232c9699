//! Says which videos play as they are, and what is to be made of the others. It sees what was probed and no byte of a video.

mod decide;
mod settings;

use latent_plugin::Result;
use latent_plugin::transcoding::{MediaInfo, Output, Transcoder};

use crate::settings::Settings;

/// The plugin of one instance.
pub struct Transcoding {
    settings: Settings,
}

impl Transcoder for Transcoding {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self> {
        settings.check()?;
        Ok(Self { settings })
    }

    fn plan(&self, info: MediaInfo) -> Result<Vec<Output>> {
        Ok(decide::plan(&self.settings, &info).into_iter().collect())
    }
}

#[cfg(target_family = "wasm")]
latent_plugin::export_transcoder!(Transcoding);
