//! ffmpeg as the settings name it, with its scratch folder.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use blobs::Scratch;
use gallery::videos::VideoWork;
use media::video::{Acceleration, VideoConfig, VideoTools};

use crate::{Settings, settings};

/// # Errors
/// ffmpeg or ffprobe is not there; the text says what to do.
pub fn tools(settings: &Settings) -> Result<VideoTools, String> {
    let own = &settings.video;
    VideoTools::find(VideoConfig {
        ffmpeg: own.ffmpeg.clone(),
        ffprobe: own.ffprobe.clone(),
        memory: own.memory.0,
        nice: own.nice,
        threads: own.threads,
        acceleration: match own.acceleration {
            settings::Acceleration::None => Acceleration::None,
            settings::Acceleration::Nvenc => Acceleration::Nvenc,
            settings::Acceleration::Qsv => Acceleration::Qsv,
            settings::Acceleration::Vaapi => Acceleration::Vaapi,
        },
        device: own.device.clone(),
        look_limit: own.look_limit.0,
        transcode_limit: own.transcode_limit.0,
        seconds_per_second: own.seconds_per_second,
        max_pixels: settings.media.max_megapixels * 1_000_000,
    })
}

/// `None`: this machine has no ffmpeg. Videos are kept and played as they are.
pub fn open(settings: &Settings) -> Result<Option<Arc<VideoWork>>> {
    let tools = match tools(settings) {
        Ok(tools) => tools,
        Err(why) => {
            tracing::warn!(why, "Videos get no thumbnails and are played as they are");
            return Ok(None);
        }
    };
    let folder = &settings.video.scratch;
    let scratch = Scratch::open(folder.clone()).with_context(|| format!("the scratch folder {}", folder.display()))?;
    Ok(Some(Arc::new(VideoWork::new(tools, scratch, settings.video.at_once))))
}
