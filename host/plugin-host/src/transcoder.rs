//! A plugin that says what is to be made of a video. What it says is checked here; what is done, elsewhere.

use std::sync::Arc;

use media::video::{
    AudioCodec, AudioEncoding, Container, Demand, Output, Preset, Rendering, Sound, Stream, StreamKind, ToneMap,
    VideoCodec, VideoEncoding, VideoInfo, VideoRate,
};
use types::Size;

use crate::bindings::lent::latent::plugin::media as lent;
use crate::bindings::lent::latent::plugin::types as lent_types;
use crate::bindings::transcoder::exports::latent::plugin::transcoding as guest;
use crate::storage::plugin_error;
use crate::worlds::Ready;
use crate::{Plugin, PluginError};

/// Outputs of one plan: playback gives one file.
const MOST_OUTPUTS: usize = 1;

/// A plugin of the world `transcoder`. Cheap to clone.
#[derive(Clone)]
pub struct Transcoder {
    plugin: Arc<Plugin>,
}

impl Plugin {
    /// This plugin as a transcoder, if its world is that.
    pub fn transcoder(self: &Arc<Self>) -> Option<Transcoder> {
        matches!(self.ready, Ready::Transcoder(_)).then(|| Transcoder { plugin: self.clone() })
    }
}

impl Transcoder {
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// What is to be made of this video, checked; empty: it serves as it is. `extension`: of its name.
    ///
    /// # Errors
    /// `Other` names what of the plan cannot be.
    pub async fn plan(&self, info: &VideoInfo, extension: &str) -> Result<Vec<Output>, PluginError> {
        let told = told(info, extension);
        let outputs = self.plugin.call("transcoding.plan", move |instance| {
            Box::pin(async move {
                let transcoding = instance.exports.transcoding()?;
                Ok(transcoding.call_plan(&mut instance.store, &told).await?.map_err(plugin_error))
            })
        });
        let outputs = outputs.await?;
        if outputs.len() > MOST_OUTPUTS {
            return Err(PluginError::Other(format!(
                "its plan has {} outputs; {MOST_OUTPUTS} can be kept",
                outputs.len()
            )));
        }
        let checked = outputs.into_iter().map(|output| {
            let output = read(output)?;
            output.check(info).map(|()| output)
        });
        checked.collect::<Result<_, String>>().map_err(|why| PluginError::Other(format!("its plan cannot be: {why}")))
    }
}

fn told(info: &VideoInfo, extension: &str) -> lent::MediaInfo {
    let chosen = [info.video(), info.audio()].map(|stream| stream.map(|stream| stream.index));
    lent::MediaInfo {
        duration_ms: info.duration_ms,
        container: info.container.clone(),
        extension: extension.to_owned(),
        len: info.len,
        bit_rate: info.bit_rate,
        streams: info.streams.iter().map(|stream| stream_told(stream, chosen.contains(&Some(stream.index)))).collect(),
    }
}

fn stream_told(stream: &Stream, chosen: bool) -> lent::StreamInfo {
    lent::StreamInfo {
        index: stream.index,
        kind: match stream.kind {
            StreamKind::Video => lent::StreamKind::Video,
            StreamKind::Audio => lent::StreamKind::Audio,
            StreamKind::Subtitle => lent::StreamKind::Subtitle,
            StreamKind::Other => lent::StreamKind::Other,
        },
        codec: stream.codec.clone(),
        profile: stream.profile.clone(),
        size: stream.upright().map(|size| lent_types::Size { width: size.width, height: size.height }),
        rotation: stream.rotation.into(),
        frame_rate: stream.frame_rate,
        variable_frame_rate: stream.is_variable,
        bit_rate: stream.bit_rate,
        pixel_format: stream.pixel_format.clone(),
        bit_depth: stream.bit_depth,
        color_transfer: stream.transfer.clone(),
        color_primaries: stream.primaries.clone(),
        audio_channels: stream.channels,
        sample_rate: stream.sample_rate,
        language: stream.language.clone(),
        chosen,
    }
}

/// Names of a list, or what is wrong with them.
fn read(output: guest::Output) -> Result<Output, String> {
    Ok(Output {
        name: output.name,
        container: Container::parse(&output.container)?,
        video_stream: output.video_stream,
        video: match output.picture {
            guest::Picture::Copy => Rendering::Copy,
            guest::Picture::Encode(video) => Rendering::Encode(encoding(&video)?),
        },
        audio_stream: output.audio_stream,
        audio: match output.sound {
            guest::Sound::Drop => Sound::Drop,
            guest::Sound::Copy => Sound::Copy,
            guest::Sound::Encode(audio) => Sound::Encode(AudioEncoding {
                codec: AudioCodec::parse(&audio.codec)?,
                bit_rate: audio.bit_rate,
                channels: audio.channels,
            }),
        },
        acceleration: match output.acceleration {
            guest::Acceleration::Auto => Demand::Auto,
            guest::Acceleration::Never => Demand::Never,
            guest::Acceleration::Required => Demand::Required,
        },
    })
}

fn encoding(video: &guest::Video) -> Result<VideoEncoding, String> {
    Ok(VideoEncoding {
        codec: VideoCodec::parse(&video.codec)?,
        at_most: video.at_most.map(|size| Size { width: size.width, height: size.height }),
        rate: match video.rate {
            guest::Rate::Crf(crf) => VideoRate::Crf(crf),
            guest::Rate::Bitrate(rate) => VideoRate::BitRate(rate),
        },
        max_bit_rate: video.max_bit_rate,
        two_pass: video.two_pass,
        preset: Preset::parse(&video.preset)?,
        bit_depth: video.bit_depth,
        gop: video.gop,
        b_frames: video.b_frames,
        tone_map: video.tone_map.as_deref().map(ToneMap::parse).transpose()?,
        threads: video.threads,
    })
}
