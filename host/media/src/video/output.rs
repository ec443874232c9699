//! What is to be made of a video, as a plugin describes it: names of a list and numbers in a range, or it is refused by name. No
//! text of a plugin ever becomes a part of a command line.

use types::Size;

use super::{Stream, StreamKind, VideoInfo};

/// Letters of an output's name.
const LONGEST_NAME: usize = 32;
const SIDES: std::ops::RangeInclusive<u32> = 16..=16_384;
const BIT_RATES: std::ops::RangeInclusive<u64> = 8_000..=1_000_000_000;

/// What holds the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// With its index in front, so that it plays while it loads.
    Mp4,
    Mov,
    Webm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoCodec {
    H264,
    Hevc,
    Vp9,
    Av1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioCodec {
    Aac,
    Opus,
    Mp3,
}

/// Speed against size, as x264 names it; other encoders get what comes next to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preset {
    Ultrafast,
    Superfast,
    Veryfast,
    Faster,
    Fast,
    Medium,
    Slow,
    Slower,
    Veryslow,
}

/// How more light than a screen has is brought into what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToneMap {
    Hable,
    Mobius,
    Reinhard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoRate {
    /// Constant quality: 0 is without loss.
    Crf(u8),
    /// Bits a second.
    BitRate(u64),
}

/// May, must not or must an encoder in hardware do it?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    Auto,
    Never,
    Required,
}

#[derive(Debug, Clone, PartialEq)]
pub struct VideoEncoding {
    pub codec: VideoCodec,
    /// Upright; never larger than it was.
    pub at_most: Option<Size>,
    pub rate: VideoRate,
    pub max_bit_rate: Option<u64>,
    pub two_pass: bool,
    pub preset: Preset,
    /// 8 or 10.
    pub bit_depth: u8,
    /// Frames from one key frame to the next at most.
    pub gop: Option<u32>,
    pub b_frames: Option<u8>,
    /// Of a video with more light than a screen has; without it that light stays.
    pub tone_map: Option<ToneMap>,
    /// The host's own setting, where it is less, holds.
    pub threads: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AudioEncoding {
    pub codec: AudioCodec,
    pub bit_rate: Option<u64>,
    pub channels: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Rendering {
    Copy,
    Encode(VideoEncoding),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Sound {
    Drop,
    Copy,
    Encode(AudioEncoding),
}

/// One file that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    pub name: String,
    pub container: Container,
    pub video_stream: u32,
    pub video: Rendering,
    pub audio_stream: Option<u32>,
    pub audio: Sound,
    pub acceleration: Demand,
}

/// Finds a name in a list, or says what the list is.
fn named<T: Copy>(what: &str, name: &str, list: &[(&str, T)]) -> Result<T, String> {
    list.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = list.iter().map(|(known, _)| *known).collect();
        let name: String = name.chars().take(60).collect();
        format!("there is no {what} {name:?} here; there are {}", known.join(", "))
    })
}

const CONTAINERS: &[(&str, Container)] = &[("mp4", Container::Mp4), ("mov", Container::Mov), ("webm", Container::Webm)];

impl Container {
    pub fn parse(name: &str) -> Result<Self, String> {
        named("container", name, CONTAINERS)
    }

    /// Also the file's extension, and ffmpeg's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mov => "mov",
            Self::Webm => "webm",
        }
    }

    /// Codecs, by ffmpeg's names, that may be put into it as they are.
    fn takes(self) -> &'static [&'static str] {
        match self {
            Self::Mp4 => &["h264", "hevc", "vp9", "av1", "mpeg4", "aac", "mp3", "opus", "ac3", "eac3"],
            Self::Mov => &["h264", "hevc", "mpeg4", "prores", "aac", "mp3", "ac3", "eac3", "pcm_s16le", "pcm_s24le"],
            Self::Webm => &["vp8", "vp9", "av1", "opus", "vorbis"],
        }
    }
}

impl VideoCodec {
    pub fn parse(name: &str) -> Result<Self, String> {
        named(
            "video codec",
            name,
            &[("h264", Self::H264), ("hevc", Self::Hevc), ("vp9", Self::Vp9), ("av1", Self::Av1)],
        )
    }

    /// ffmpeg's.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Vp9 => "vp9",
            Self::Av1 => "av1",
        }
    }

    fn worst(self) -> u8 {
        if matches!(self, Self::H264 | Self::Hevc) { 51 } else { 63 }
    }
}

impl AudioCodec {
    pub fn parse(name: &str) -> Result<Self, String> {
        named("audio codec", name, &[("aac", Self::Aac), ("opus", Self::Opus), ("mp3", Self::Mp3)])
    }

    /// ffmpeg's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aac => "aac",
            Self::Opus => "opus",
            Self::Mp3 => "mp3",
        }
    }
}

pub(super) const PRESETS: &[(&str, Preset)] = &[
    ("ultrafast", Preset::Ultrafast),
    ("superfast", Preset::Superfast),
    ("veryfast", Preset::Veryfast),
    ("faster", Preset::Faster),
    ("fast", Preset::Fast),
    ("medium", Preset::Medium),
    ("slow", Preset::Slow),
    ("slower", Preset::Slower),
    ("veryslow", Preset::Veryslow),
];

impl Preset {
    pub fn parse(name: &str) -> Result<Self, String> {
        named("preset", name, PRESETS)
    }
}

impl ToneMap {
    pub fn parse(name: &str) -> Result<Self, String> {
        named("tone map", name, &[("hable", Self::Hable), ("mobius", Self::Mobius), ("reinhard", Self::Reinhard)])
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hable => "hable",
            Self::Mobius => "mobius",
            Self::Reinhard => "reinhard",
        }
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    what: &str,
    value: T,
    range: &std::ops::RangeInclusive<T>,
) -> Result<(), String> {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(format!("{what} is {value}, which is not {} to {}", range.start(), range.end())),
    }
}

impl Output {
    /// Can it be made of this video? Every number is in its range, every stream is there, and the container takes what is put in.
    ///
    /// # Errors
    /// What cannot be, in words.
    pub fn check(&self, info: &VideoInfo) -> Result<(), String> {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > LONGEST_NAME || !self.name.chars().all(is_word) {
            let shown: String = self.name.chars().take(60).collect();
            return Err(format!("the name {shown:?} is not 1 to {LONGEST_NAME} of a to z, 0 to 9 and -"));
        }
        let stream = |index: u32, kind: StreamKind, what: &str| {
            let found = info.streams.iter().find(|stream| stream.index == index && stream.kind == kind);
            found.ok_or_else(|| format!("stream {index} is no {what} of this video"))
        };
        let video = stream(self.video_stream, StreamKind::Video, "picture")?;
        match &self.video {
            Rendering::Copy => self.copied(video)?,
            Rendering::Encode(encoding) => {
                encoding.check(info)?;
                self.encoded(encoding.codec.name())?;
            }
        }
        let audio = self.audio_stream.map(|index| stream(index, StreamKind::Audio, "sound")).transpose()?;
        match (&self.audio, audio) {
            (Sound::Drop, _) => Ok(()),
            (_, None) => Err("it is to have sound, and no stream for it is named".into()),
            (Sound::Copy, Some(audio)) => self.copied(audio),
            (Sound::Encode(encoding), Some(_)) => {
                if let Some(rate) = encoding.bit_rate {
                    within("the bit rate of the sound", rate, &(6_000..=512_000))?;
                }
                if let Some(channels) = encoding.channels {
                    let most = if encoding.codec == AudioCodec::Mp3 { 2 } else { 8 };
                    within("the number of channels", channels, &(1..=most))?;
                }
                self.encoded(encoding.codec.name())
            }
        }
    }

    fn copied(&self, stream: &Stream) -> Result<(), String> {
        self.fits(&stream.codec, "copied")
    }

    fn encoded(&self, codec: &str) -> Result<(), String> {
        self.fits(codec, "put")
    }

    fn fits(&self, codec: &str, done: &str) -> Result<(), String> {
        match self.container.takes().contains(&codec) {
            true => Ok(()),
            false => Err(format!("{codec:?} cannot be {done} into {}", self.container.name())),
        }
    }
}

impl VideoEncoding {
    fn check(&self, info: &VideoInfo) -> Result<(), String> {
        if let Some(Size { width, height }) = self.at_most {
            within("the greatest width", width, &SIDES)?;
            within("the greatest height", height, &SIDES)?;
        }
        match self.rate {
            VideoRate::Crf(crf) => within("the crf", crf, &(0..=self.codec.worst()))?,
            VideoRate::BitRate(rate) => within("the bit rate", rate, &BIT_RATES)?,
        }
        if let Some(rate) = self.max_bit_rate {
            within("the greatest bit rate", rate, &BIT_RATES)?;
        }
        if self.two_pass && (self.codec == VideoCodec::Av1 || !matches!(self.rate, VideoRate::BitRate(_))) {
            return Err("two passes need a bit rate, and a codec other than av1".into());
        }
        if !matches!(self.bit_depth, 8 | 10) {
            return Err(format!("the bit depth is {}, which is neither 8 nor 10", self.bit_depth));
        }
        if let Some(gop) = self.gop {
            within("the distance of key frames", gop, &(1..=1_000))?;
        }
        if let Some(frames) = self.b_frames {
            within("the number of b-frames", frames, &(0..=16))?;
        }
        if let Some(threads) = self.threads {
            within("the number of threads", threads, &(1..=64))?;
        }
        match info.duration_ms {
            0 => Err("the video has no length".into()),
            _ => Ok(()),
        }
    }
}
