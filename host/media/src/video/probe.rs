//! What is in a video, by ffprobe: streams, sizes, colours, how long it really lasts.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::Duration;

use serde_json::Value;
use types::Size;

use super::tools::{VideoTools, words};
use super::{Cancel, VideoError};

/// Bytes of what ffprobe says of a file.
const MOST_SAID: usize = 4 << 20;
/// Streams that are looked at.
const MOST_STREAMS: usize = 64;
/// How long the end of a video is looked for; who needs longer is believed.
const END_LIMIT: Duration = Duration::from_secs(10);
/// How long an upload waits for what its camera wrote.
const TAGS_LIMIT: Duration = Duration::from_secs(5);
/// A video may end so much before it says: seconds, or a part of its length.
const SLACK: (f64, f64) = (0.3, 0.05);

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    Video,
    Audio,
    Subtitle,
    Other,
}

/// One stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    pub index: u32,
    pub kind: StreamKind,
    /// ffmpeg's name: `h264`, `hevc`, `aac`.
    pub codec: String,
    pub profile: Option<String>,
    /// Pixels as they are stored: neither upright nor square.
    pub size: Option<Size>,
    /// Width of a pixel by its height.
    pub pixel_aspect: f64,
    /// Degrees clockwise that make it upright: 0, 90, 180 or 270.
    pub rotation: u16,
    /// Frames a second, on average.
    pub frame_rate: Option<f64>,
    /// The time between frames differs.
    pub is_variable: bool,
    pub bit_rate: Option<u64>,
    /// ffmpeg's name: `yuv420p10le`.
    pub pixel_format: Option<String>,
    pub bit_depth: Option<u8>,
    /// ffmpeg's names: `smpte2084` (PQ), `arib-std-b67` (HLG), `bt709`.
    pub transfer: Option<String>,
    pub primaries: Option<String>,
    pub matrix: Option<String>,
    /// All values are used, not only those of television.
    pub is_full_range: bool,
    pub channels: Option<u32>,
    pub sample_rate: Option<u32>,
    /// How long it is, of picture or sound, as the container says.
    pub seconds: Option<f64>,
    pub language: Option<String>,
    pub is_default: bool,
    /// The cover of an album, not a video.
    pub is_cover: bool,
}

impl Stream {
    /// PQ or HLG: more light than a usual screen has.
    pub fn is_hdr(&self) -> bool {
        matches!(self.transfer.as_deref(), Some("smpte2084" | "arib-std-b67"))
    }

    /// Upright, with square pixels.
    pub fn upright(&self) -> Option<Size> {
        let stored = self.size?;
        let width = ((f64::from(stored.width) * self.pixel_aspect).round() as u32).max(1);
        Some(match self.rotation {
            90 | 270 => Size { width: stored.height, height: width },
            _ => Size { width, height: stored.height },
        })
    }
}

/// What is known of a video.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoInfo {
    /// ffmpeg's names: `mov,mp4,m4a,3gp,3g2,mj2`.
    pub container: String,
    /// Of what is really there.
    pub duration_ms: u64,
    pub bit_rate: Option<u64>,
    /// Bytes.
    pub len: u64,
    pub streams: Vec<Stream>,
    /// Of the file and of its first streams, keys in lower case.
    pub tags: BTreeMap<String, String>,
    /// What the file says and is not so, for its owner to see.
    pub complaint: Option<String>,
    /// Seconds: where its own clock begins.
    start: f64,
}

impl VideoInfo {
    /// The stream that is shown: no cover, the default one before others, the largest of them.
    pub fn video(&self) -> Option<&Stream> {
        let area = |stream: &Stream| stream.size.map_or(0, |size| u64::from(size.width) * u64::from(size.height));
        let shown = self.streams.iter().filter(|s| s.kind == StreamKind::Video && !s.is_cover && area(s) > 0);
        shown.max_by_key(|stream| (stream.is_default, area(stream), u32::MAX - stream.index))
    }

    /// The stream that is heard.
    pub fn audio(&self) -> Option<&Stream> {
        let heard = self.streams.iter().filter(|s| s.kind == StreamKind::Audio && s.channels.unwrap_or(0) > 0);
        heard.max_by_key(|stream| (stream.is_default, u32::MAX - stream.index))
    }

    /// The stream that is shown, or why there is none.
    ///
    /// # Errors
    /// `NoPicture`, `TooLarge`.
    pub fn shown(&self, max_pixels: u64) -> Result<(&Stream, Size), VideoError> {
        let none = || {
            let what = match self.streams.len() {
                0 => "it has no streams".to_owned(),
                _ if self.audio().is_some() => "it has sound only".to_owned(),
                count => format!("none of its {count} streams is a video"),
            };
            VideoError::NoPicture(what)
        };
        let stream = self.video().ok_or_else(none)?;
        let size = stream.upright().ok_or_else(none)?;
        if u64::from(size.width) * u64::from(size.height) > max_pixels {
            let Size { width, height } = size;
            return Err(VideoError::TooLarge { width, height, limit: max_pixels / 1_000_000 });
        }
        Ok((stream, size))
    }
}

impl VideoTools {
    /// Only what the camera wrote, in less time.
    ///
    /// # Errors
    /// Those of [`VideoTools::probe`].
    pub fn tags(&self, file: &File, cancel: &Cancel) -> Result<crate::Metadata, VideoError> {
        Ok(self.streams(file, TAGS_LIMIT.min(self.config.look_limit), cancel)?.metadata())
    }

    /// Looks into a video. Blocks for as long as two or three processes of a few ten milliseconds take.
    ///
    /// # Errors
    /// `Unreadable`, `NoPicture` where it holds no stream at all, `TooSlow`, `Machine`.
    pub fn probe(&self, file: &File, cancel: &Cancel) -> Result<VideoInfo, VideoError> {
        let mut info = self.streams(file, self.config.look_limit, cancel)?;
        self.measure(file, &mut info, cancel)?;
        Ok(info)
    }

    fn streams(&self, file: &File, limit: Duration, cancel: &Cancel) -> Result<VideoInfo, VideoError> {
        let len = file.metadata().map_err(|source| VideoError::Machine { what: "ffprobe", source })?.len();
        let mut args =
            words(&["-v", "error", "-hide_banner", "-print_format", "json", "-show_format", "-show_streams"]);
        args.extend(self.input(file));
        let files = [file];
        let call = self.probing(args, &files, limit);
        let said = Self::collect(&call, MOST_SAID, cancel).map_err(|error| match error {
            VideoError::Failed { why, .. } => VideoError::Unreadable(why),
            other => other,
        })?;
        let said: Value = serde_json::from_slice(&said)
            .map_err(|error| VideoError::Unreadable(format!("ffprobe did not answer in JSON: {error}")))?;
        let info = read(&said, len);
        if info.streams.is_empty() {
            return Err(VideoError::NoPicture("it has no streams".into()));
        }
        Ok(info)
    }

    /// Looks for the last packets: a file that is cut off, or lies, says another length than it has.
    fn measure(&self, file: &File, info: &mut VideoInfo, cancel: &Cancel) -> Result<(), VideoError> {
        let said = info.duration_ms as f64 / 1e3;
        // A container that knows nothing of its streams is taken at its own word.
        let streams = info.streams.iter().filter_map(|stream| stream.seconds).reduce(f64::max).unwrap_or(said);
        let near = (said.min(streams) - 1.0).max(0.0);
        let mut end = self.last_packet(file, info.start + near, cancel)?;
        if end.is_none() && near > 0.0 {
            end = self.last_packet(file, 0.0, cancel)?;
        }
        let Some(end) = end.map(|end| (end - info.start).max(0.0)) else { return Ok(()) };
        let is_beyond = |length: f64| end + f64::max(SLACK.0, length * SLACK.1) < length;
        let longest = f64::max(said, streams);
        if said == 0.0 || is_beyond(longest) {
            info.duration_ms = (end * 1e3).round() as u64;
        }
        if is_beyond(longest) {
            info.complaint = Some(format!(
                "the video says that it lasts {longest:.1} s, but ends after {end:.1} s: it is cut off, or says what is not so. \
                 What is there can be played"
            ));
        }
        Ok(())
    }

    /// Seconds at which the last packet ends that is found from `from` on. `None`: none was found in time.
    fn last_packet(&self, file: &File, from: f64, cancel: &Cancel) -> Result<Option<f64>, VideoError> {
        let mut args = words(&["-v", "error", "-hide_banner"]);
        args.extend(words(&[
            "-show_entries",
            "packet=pts_time,dts_time,duration_time",
            "-print_format",
            "compact=nk=0:p=0",
        ]));
        args.extend(words(&["-read_intervals", &format!("{from:.3}%")]));
        args.extend(self.input(file));
        let files = [file];
        let call = self.probing(args, &files, END_LIMIT.min(self.config.look_limit));
        let (mut line, mut end) = (Vec::new(), None::<f64>);
        let ended = call.run(cancel, |bytes| {
            for byte in bytes {
                match byte {
                    b'\n' => {
                        end = packet_end(&String::from_utf8_lossy(&line)).into_iter().chain(end).reduce(f64::max);
                        line.clear();
                    }
                    byte if line.len() < 500 => line.push(*byte),
                    _ => {}
                }
            }
            Ok(())
        });
        match ended {
            Ok(()) => Ok(end),
            // A packet that cannot be read ends the video.
            Err(VideoError::Failed { .. }) => Ok(end),
            Err(VideoError::TooSlow { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `pts_time=0.92|dts_time=0.92|duration_time=0.04`
fn packet_end(line: &str) -> Option<f64> {
    let field =
        |name: &str| line.split('|').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse::<f64>().ok());
    let start = field("pts_time").or_else(|| field("dts_time"))?;
    Some(start + field("duration_time").unwrap_or(0.0)).filter(|end| end.is_finite())
}

fn read(said: &Value, len: u64) -> VideoInfo {
    let format = &said["format"];
    let streams = said["streams"].as_array().map_or(&[][..], Vec::as_slice);
    let mut tags = BTreeMap::new();
    for source in streams.iter().take(4).map(|stream| &stream["tags"]).chain([&format["tags"]]) {
        for (key, value) in source.as_object().into_iter().flatten() {
            if let Some(value) = value.as_str() {
                tags.insert(key.to_lowercase(), value.to_owned());
            }
        }
    }
    // A container that knows nothing of itself may know its streams.
    let longest = streams.iter().filter_map(|stream| number(&stream["duration"])).fold(0.0, f64::max);
    let seconds = number(&format["duration"]).filter(|seconds| *seconds > 0.0).unwrap_or(longest);
    VideoInfo {
        container: text(&format["format_name"]).unwrap_or_default(),
        duration_ms: (seconds.clamp(0.0, 1e9) * 1e3).round() as u64,
        bit_rate: number(&format["bit_rate"]).map(|rate| rate as u64),
        len,
        streams: streams.iter().take(MOST_STREAMS).filter_map(stream).collect(),
        tags,
        complaint: None,
        start: number(&format["start_time"]).unwrap_or(0.0),
    }
}

fn stream(said: &Value) -> Option<Stream> {
    let whole = |key: &str| said[key].as_u64().and_then(|value| u32::try_from(value).ok());
    let size = whole("width").zip(whole("height")).filter(|(width, height)| *width > 0 && *height > 0);
    let rate = |key: &str| ratio(&text(&said[key])?, '/');
    let (average, base) = (rate("avg_frame_rate"), rate("r_frame_rate"));
    let pixel_format = text(&said["pix_fmt"]);
    Some(Stream {
        index: whole("index")?,
        kind: match said["codec_type"].as_str() {
            Some("video") => StreamKind::Video,
            Some("audio") => StreamKind::Audio,
            Some("subtitle") => StreamKind::Subtitle,
            _ => StreamKind::Other,
        },
        codec: text(&said["codec_name"]).unwrap_or_else(|| "unknown".into()),
        profile: text(&said["profile"]),
        size: size.map(|(width, height)| Size { width, height }),
        pixel_aspect: text(&said["sample_aspect_ratio"])
            .and_then(|aspect| ratio(&aspect, ':'))
            .filter(|aspect| (0.05..=20.0).contains(aspect))
            .unwrap_or(1.0),
        rotation: rotation(said),
        frame_rate: average.or(base).filter(|rate| *rate < 100_000.0),
        is_variable: average.zip(base).is_some_and(|(average, base)| (average - base).abs() > base * 0.01),
        bit_rate: number(&said["bit_rate"]).map(|rate| rate as u64),
        bit_depth: pixel_format.as_deref().map(depth),
        pixel_format,
        transfer: text(&said["color_transfer"]),
        primaries: text(&said["color_primaries"]),
        matrix: text(&said["color_space"]),
        is_full_range: said["color_range"] == "pc",
        channels: whole("channels"),
        sample_rate: number(&said["sample_rate"]).map(|rate| rate as u32),
        seconds: number(&said["duration"])
            .filter(|seconds| *seconds > 0.0 && matches!(said["codec_type"].as_str(), Some("video" | "audio"))),
        language: text(&said["tags"]["language"]).filter(|language| language != "und"),
        is_default: said["disposition"]["default"] == 1,
        is_cover: said["disposition"]["attached_pic"] == 1,
    })
}

/// ffprobe turns against the clock, in whole or broken degrees.
fn rotation(said: &Value) -> u16 {
    let matrices = said["side_data_list"].as_array().into_iter().flatten();
    let degrees = matrices.filter_map(|data| data["rotation"].as_f64()).next().map(|against| -against);
    let degrees = degrees.or_else(|| said["tags"]["rotate"].as_str()?.parse().ok()).unwrap_or(0.0);
    ((degrees / 90.0).round() as i64).rem_euclid(4) as u16 * 90
}

/// Bits a channel, from ffmpeg's name of a pixel format.
fn depth(pixel_format: &str) -> u8 {
    let name = pixel_format.trim_end_matches("le").trim_end_matches("be");
    let deep = [16_u8, 14, 12, 10, 9].into_iter().find(|bits| {
        let ends = name.strip_suffix(&bits.to_string());
        ends.is_some_and(|rest| rest.ends_with(['p', 'y', '0', '1']))
    });
    deep.unwrap_or(8)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty() && !matches!(*text, "unknown" | "N/A")).map(str::to_owned)
}

/// ffprobe writes most numbers as texts.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number| number.is_finite() && *number >= 0.0)
}

/// `30000/1001`; nothing by nothing is nothing.
fn ratio(text: &str, by: char) -> Option<f64> {
    let (above, below) = text.split_once(by)?;
    let ratio = above.parse::<f64>().ok()? / below.parse::<f64>().ok()?;
    (ratio.is_finite() && ratio > 0.0).then_some(ratio)
}
