//! The decision: as it is, another container, other sound, or all of it anew.

use latent_plugin::Size;
use latent_plugin::transcoding::{
    Acceleration, Audio, MediaInfo, Output, Picture, Rate, Sound, StreamInfo, StreamKind, Video,
};

use crate::settings::{Accel, Policy, Settings};

/// The share of the greatest bit rate that two passes aim at on average.
const AIM: f64 = 0.69;
/// Bits a second of sound that is encoded anew.
const SOUND: u64 = 128_000;

/// What is to be made; `None`: the original serves.
pub fn plan(settings: &Settings, info: &MediaInfo) -> Option<Output> {
    if settings.transcode == Policy::Disabled {
        return None;
    }
    let chosen = |kind| info.streams.iter().find(|stream| stream.kind == kind && stream.chosen);
    let (video, audio) = (chosen(StreamKind::Video)?, chosen(StreamKind::Audio));
    let encodes_video = needs_video(settings, info, video);
    let encodes_audio = audio.is_some_and(|audio| {
        settings.transcode == Policy::All || !settings.accepted_audio_codecs.contains(&audio.codec)
    });
    if !encodes_video && !encodes_audio && is_accepted_container(settings, info, video, audio) {
        return None;
    }
    Some(Output {
        name: "playback".into(),
        container: "mp4".into(),
        video_stream: video.index,
        picture: if encodes_video { Picture::Encode(encoding(settings, video)) } else { Picture::Copy },
        audio_stream: audio.map(|audio| audio.index),
        sound: match audio {
            None => Sound::Drop,
            Some(audio) if encodes_audio => Sound::Encode(Audio {
                codec: settings.target_audio_codec.clone(),
                bit_rate: Some(SOUND),
                channels: audio.audio_channels.filter(|channels| *channels > 2).map(|_| 2),
            }),
            Some(_) => Sound::Copy,
        },
        acceleration: match settings.accel {
            Accel::Auto => Acceleration::Auto,
            Accel::Disabled => Acceleration::Never,
            Accel::Required => Acceleration::Required,
        },
    })
}

fn needs_video(settings: &Settings, info: &MediaInfo, video: &StreamInfo) -> bool {
    let is_playable = settings.accepted_video_codecs.contains(&video.codec)
        && is_playable_format(video)
        && !(is_hdr(video) && settings.tonemap != "disabled");
    if !is_playable {
        return true;
    }
    match settings.transcode {
        Policy::All => true,
        Policy::Optimal => settings.resolution().zip(video.size).is_some_and(|(most, size)| short(size) > most),
        Policy::Bitrate => {
            let rate = video.bit_rate.or(info.bit_rate).unwrap_or(0);
            settings.max_bits() > 0 && rate > settings.max_bits()
        }
        Policy::Required | Policy::Disabled => false,
    }
}

/// Browsers decode 4:2:0; of H.264 with 8 bits only.
fn is_playable_format(video: &StreamInfo) -> bool {
    let is_420 = video.pixel_format.as_deref().is_none_or(|format| {
        format.starts_with("yuv420p") || format.starts_with("yuvj420p") || matches!(format, "nv12" | "p010le")
    });
    let most = if video.codec == "h264" { 8 } else { 10 };
    is_420 && video.bit_depth.unwrap_or(8) <= most
}

fn is_hdr(video: &StreamInfo) -> bool {
    matches!(video.color_transfer.as_deref(), Some("smpte2084" | "arib-std-b67"))
}

/// MP4 always; MOV, Ogg and WebM where they are accepted. What is in a Matroska file plays nowhere, whatever it is called.
fn is_accepted_container(
    settings: &Settings,
    info: &MediaInfo,
    video: &StreamInfo,
    audio: Option<&StreamInfo>,
) -> bool {
    let accepts = |name: &str| settings.accepted_containers.iter().any(|known| known == name);
    let names: Vec<&str> = info.container.split(',').collect();
    if names.contains(&"mp4") {
        let is_mov = matches!(&*info.extension, "mov" | "qt");
        return !is_mov || accepts("mov");
    }
    if names.contains(&"webm") {
        let fits = matches!(&*video.codec, "vp8" | "vp9" | "av1")
            && audio.is_none_or(|audio| matches!(&*audio.codec, "opus" | "vorbis"));
        return info.extension == "webm" && fits && accepts("webm");
    }
    names.contains(&"ogg") && accepts("ogg")
}

fn encoding(settings: &Settings, video: &StreamInfo) -> Video {
    let hdr_stays = is_hdr(video) && settings.tonemap == "disabled";
    let max = Some(settings.max_bits()).filter(|bits| *bits > 0);
    let is_av1 = settings.target_video_codec == "av1";
    let two_pass = settings.two_pass && max.is_some() && !is_av1;
    Video {
        codec: settings.target_video_codec.clone(),
        at_most: settings.resolution().zip(video.size).and_then(|(most, size)| smaller(size, most)),
        rate: match max.filter(|_| two_pass) {
            Some(max) => Rate::Bitrate((max as f64 * AIM) as u64),
            None => Rate::Crf(settings.crf),
        },
        max_bit_rate: max,
        two_pass,
        preset: settings.preset.clone(),
        bit_depth: if hdr_stays && settings.target_video_codec != "h264" { 10 } else { 8 },
        gop: Some(settings.gop_size).filter(|frames| *frames > 0),
        b_frames: u8::try_from(settings.bframes).ok(),
        tone_map: (is_hdr(video) && settings.tonemap != "disabled").then(|| settings.tonemap.clone()),
        threads: Some(settings.threads).filter(|threads| *threads > 0),
    }
}

fn short(size: Size) -> u32 {
    size.width.min(size.height)
}

/// The size with `most` pixels at the shorter side; `None`: it is not larger.
fn smaller(size: Size, most: u32) -> Option<Size> {
    let short = short(size);
    let scaled = |side: u32| (f64::from(side) * f64::from(most) / f64::from(short)).round() as u32;
    // The longer side of a strip may be longer than any encoder takes.
    (short > most).then(|| Size { width: scaled(size.width).min(16_384), height: scaled(size.height).min(16_384) })
}

#[cfg(test)]
mod tests;
