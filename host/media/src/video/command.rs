//! The command line of a transcode. Everything in it is ours: names of a list, and numbers.

use std::ffi::OsString;
use std::fs::File;

use types::Size;

use super::output::PRESETS;
use super::process::fd_url;
use super::tools::{VideoTools, words};
use super::{
    AudioCodec, Container, Output, Preset, Rendering, Sound, Stream, ToneMap, VideoCodec, VideoEncoding, VideoInfo,
    VideoRate,
};

/// What this machine encodes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acceleration {
    #[default]
    None,
    Nvenc,
    Qsv,
    Vaapi,
}

/// Which of how many runs over a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    Only,
    First,
    Second,
}

/// Names in the folder that a child works in.
const PASS_LOG: &str = "pass";
const X265_LOG: &str = "x265.log";

/// A command line in the making.
struct Line(Vec<OsString>);

impl Line {
    fn add(&mut self, args: &[&str]) -> &mut Self {
        self.0.extend(words(args));
        self
    }

    fn pair(&mut self, name: &str, value: impl ToString) -> &mut Self {
        let value = value.to_string();
        self.add(&[name, &value])
    }
}

impl VideoTools {
    /// ffmpeg's arguments for one run over `input`; `output` is written by the last one.
    pub(super) fn command(
        &self,
        (input, output): (&File, &File),
        info: &VideoInfo,
        wanted: &Output,
        acceleration: Acceleration,
        pass: Pass,
    ) -> Vec<OsString> {
        let mut line = Line(Vec::new());
        line.add(&["-nostdin", "-hide_banner", "-v", "error", "-nostats", "-progress", "pipe:1", "-y"]);
        if let Rendering::Encode(_) = wanted.video {
            line.pair("-threads", self.threads).pair("-max_pixels", self.config.max_pixels);
            let device = self.config.device.display();
            match acceleration {
                Acceleration::None | Acceleration::Nvenc => {}
                Acceleration::Vaapi => drop(line.pair("-vaapi_device", device)),
                Acceleration::Qsv => {
                    line.pair("-init_hw_device", format!("qsv=hw,child_device={device}"));
                    line.add(&["-filter_hw_device", "hw"]);
                }
            }
        }
        line.0.extend(self.input(input));
        line.pair("-map", format!("0:{}", wanted.video_stream));
        self.video(&mut line, info, wanted, acceleration, pass);
        if pass == Pass::First {
            line.add(&["-an", "-sn", "-dn", "-f", "null", "-"]);
            return line.0;
        }
        sound(&mut line, wanted);
        line.add(&["-sn", "-dn", "-map_metadata", "0", "-map_chapters", "-1", "-max_muxing_queue_size", "4096"]);
        if matches!(wanted.container, Container::Mp4 | Container::Mov) {
            line.add(&["-movflags", "+faststart"]);
        }
        line.add(&["-f", wanted.container.name(), &fd_url(output)]);
        line.0
    }

    fn video(&self, line: &mut Line, info: &VideoInfo, wanted: &Output, acceleration: Acceleration, pass: Pass) {
        let stream = info.streams.iter().find(|stream| stream.index == wanted.video_stream);
        let encoding = match &wanted.video {
            Rendering::Copy => {
                line.add(&["-c:v", "copy"]);
                if stream.is_some_and(|stream| stream.codec == "hevc") {
                    line.add(&["-tag:v", "hvc1"]);
                }
                return;
            }
            Rendering::Encode(encoding) => encoding,
        };
        let is_variable = stream.is_some_and(|stream| stream.is_variable);
        line.add(&["-vf", &filters(stream, encoding, acceleration), "-fps_mode", "vfr"]);
        // The time of each frame as it was, not of the nearest of a regular row.
        if is_variable && encoding.codec == VideoCodec::H264 && acceleration == Acceleration::None {
            line.add(&["-enc_time_base", "-1"]);
        }
        encoder(line, encoding, acceleration, self.threads, pass);
        if let Some(gop) = encoding.gop {
            line.pair("-g", gop);
        }
        // Others decide for themselves.
        if let Some(frames) =
            encoding.b_frames.filter(|_| matches!(encoding.codec, VideoCodec::H264 | VideoCodec::Hevc))
        {
            line.pair("-bf", frames);
        }
        if encoding.tone_map.is_some() && stream.is_some_and(Stream::is_hdr) {
            line.add(&["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709"]);
        }
    }
}

fn sound(line: &mut Line, wanted: &Output) {
    let Some(stream) = wanted.audio_stream.filter(|_| wanted.audio != Sound::Drop) else {
        line.add(&["-an"]);
        return;
    };
    line.pair("-map", format!("0:{stream}"));
    match &wanted.audio {
        Sound::Drop => {}
        Sound::Copy => drop(line.add(&["-c:a", "copy"])),
        Sound::Encode(encoding) => {
            line.pair(
                "-c:a",
                match encoding.codec {
                    AudioCodec::Aac => "aac",
                    AudioCodec::Opus => "libopus",
                    AudioCodec::Mp3 => "libmp3lame",
                },
            );
            if let Some(rate) = encoding.bit_rate {
                line.pair("-b:a", rate);
            }
            if let Some(channels) = encoding.channels {
                line.pair("-ac", channels);
            }
        }
    }
}

/// ffmpeg has stood the frames upright before the first of these.
fn filters(stream: Option<&Stream>, encoding: &VideoEncoding, acceleration: Acceleration) -> String {
    let mut filters = Vec::new();
    let upright = stream.and_then(Stream::upright);
    if let Some(upright) = upright {
        let to = fitted(upright, encoding.at_most);
        let is_square = stream.is_some_and(|stream| stream.pixel_aspect == 1.0);
        if to != upright || !is_square {
            filters.push(format!("scale={}:{}:flags=bicubic,setsar=1", to.width, to.height));
        }
    }
    if let Some((stream, tone_map)) = stream.filter(|stream| stream.is_hdr()).zip(encoding.tone_map) {
        filters.push(to_sdr(stream, tone_map));
    }
    let deep = encoding.bit_depth == 10;
    match acceleration {
        Acceleration::None => filters.push(format!("format={}", if deep { "yuv420p10le" } else { "yuv420p" })),
        Acceleration::Nvenc => filters.push(format!("format={}", if deep { "p010le" } else { "nv12" })),
        Acceleration::Vaapi => filters.push(format!("format={},hwupload", if deep { "p010le" } else { "nv12" })),
        Acceleration::Qsv => {
            filters.push(format!("format={},hwupload=extra_hw_frames=64", if deep { "p010le" } else { "nv12" }));
        }
    }
    filters.join(",")
}

/// As large as it may be, never larger than it was, and of even sides: half of a colour cannot be stored.
fn fitted(upright: Size, at_most: Option<Size>) -> Size {
    let scale = at_most.map_or(1.0, |most| {
        let scale = |most: u32, is: u32| f64::from(most) / f64::from(is);
        scale(most.width, upright.width).min(scale(most.height, upright.height)).min(1.0)
    });
    let even = |side: u32| (((f64::from(side) * scale / 2.0).round() as u32) * 2).max(2);
    Size { width: even(upright.width), height: even(upright.height) }
}

/// From PQ or HLG to what every screen shows. What the stream does not say of its colours is what such streams have.
pub(super) fn to_sdr(stream: &Stream, tone_map: ToneMap) -> String {
    let transfer = if stream.transfer.as_deref() == Some("arib-std-b67") { "arib-std-b67" } else { "smpte2084" };
    let range = if stream.is_full_range { "full" } else { "limited" };
    format!(
        "zscale=t=linear:npl=100:tin={transfer}:pin=bt2020:min=bt2020nc:rin={range},format=gbrpf32le,zscale=p=bt709,\
         tonemap=tonemap={}:desat=0,zscale=t=bt709:m=bt709:r=limited",
        tone_map.name()
    )
}

fn encoder(line: &mut Line, encoding: &VideoEncoding, acceleration: Acceleration, own_threads: u32, pass: Pass) {
    let threads = encoding.threads.unwrap_or(own_threads).min(own_threads);
    line.pair("-c:v", encoder_name(encoding.codec, acceleration));
    match acceleration {
        Acceleration::None => software(line, encoding, threads, pass),
        Acceleration::Nvenc => drop(line.pair("-preset", format!("p{}", 1 + step(encoding.preset) * 6 / 8))),
        Acceleration::Qsv => {
            let name = if encoding.preset <= Preset::Superfast { "veryfast" } else { preset_name(encoding.preset) };
            line.pair("-preset", name);
        }
        Acceleration::Vaapi => {}
    }
    match (encoding.rate, acceleration) {
        (VideoRate::BitRate(rate), _) => drop(line.pair("-b:v", rate)),
        (VideoRate::Crf(crf), Acceleration::None) => drop(line.pair("-crf", crf)),
        (VideoRate::Crf(crf), Acceleration::Nvenc) => drop(line.add(&["-rc", "vbr"]).pair("-cq", crf)),
        (VideoRate::Crf(crf), Acceleration::Qsv) => drop(line.pair("-global_quality", crf)),
        (VideoRate::Crf(crf), Acceleration::Vaapi) => drop(line.pair("-qp", crf)),
    }
    match encoding.max_bit_rate {
        // VP9's constant quality takes its ceiling as the bit rate.
        Some(most) if encoding.codec == VideoCodec::Vp9 && matches!(encoding.rate, VideoRate::Crf(_)) => {
            line.pair("-b:v", most);
        }
        // SVT-AV1's constant quality knows no ceiling in this version of ffmpeg.
        Some(_) if encoding.codec == VideoCodec::Av1 && acceleration == Acceleration::None => {}
        Some(most) => drop(line.pair("-maxrate", most).pair("-bufsize", most.saturating_mul(2))),
        None if encoding.codec == VideoCodec::Vp9 && matches!(encoding.rate, VideoRate::Crf(_)) => {
            line.pair("-b:v", 0);
        }
        None => {}
    }
}

fn software(line: &mut Line, encoding: &VideoEncoding, threads: u32, pass: Pass) {
    let number = match pass {
        Pass::Only => None,
        Pass::First => Some(1),
        Pass::Second => Some(2),
    };
    match encoding.codec {
        VideoCodec::H264 => drop(line.pair("-preset", preset_name(encoding.preset)).pair("-threads", threads)),
        VideoCodec::Hevc => {
            let passes = number.map_or(String::new(), |number| format!(":pass={number}:stats={X265_LOG}"));
            line.pair("-preset", preset_name(encoding.preset)).add(&["-tag:v", "hvc1"]);
            line.pair("-x265-params", format!("log-level=error:pools={threads}{passes}"));
            return;
        }
        VideoCodec::Vp9 => {
            let slow = 8 - step(encoding.preset).min(8);
            // What is done in real time has one pass.
            let (deadline, speed) = match (slow > 5, number) {
                (true, None) => ("realtime", slow),
                _ => ("good", slow.min(5)),
            };
            line.add(&["-row-mt", "1", "-deadline", deadline]).pair("-cpu-used", speed).pair("-threads", threads);
        }
        VideoCodec::Av1 => drop(line.pair("-preset", 12 - step(encoding.preset)).pair("-threads", threads)),
    }
    if let Some(number) = number {
        line.pair("-pass", number).pair("-passlogfile", PASS_LOG);
    }
}

fn encoder_name(codec: VideoCodec, acceleration: Acceleration) -> String {
    let suffix = match acceleration {
        Acceleration::None => {
            return match codec {
                VideoCodec::H264 => "libx264",
                VideoCodec::Hevc => "libx265",
                VideoCodec::Vp9 => "libvpx-vp9",
                VideoCodec::Av1 => "libsvtav1",
            }
            .into();
        }
        Acceleration::Nvenc => "nvenc",
        Acceleration::Qsv => "qsv",
        Acceleration::Vaapi => "vaapi",
    };
    format!("{}_{suffix}", codec.name())
}

/// 0 for the fastest, 8 for the slowest.
fn step(preset: Preset) -> usize {
    PRESETS.iter().position(|(_, known)| *known == preset).unwrap_or(0)
}

fn preset_name(preset: Preset) -> &'static str {
    PRESETS.iter().find(|(_, known)| *known == preset).map_or("medium", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_become_even_and_never_larger() {
        let fit = |width, height, most: Option<(u32, u32)>| {
            let most = most.map(|(width, height)| Size { width, height });
            let Size { width, height } = fitted(Size { width, height }, most);
            (width, height)
        };
        assert_eq!(fit(129, 97, None), (130, 98));
        assert_eq!(fit(1920, 1080, Some((1280, 720))), (1280, 720));
        assert_eq!(fit(1080, 1920, Some((720, 1280))), (720, 1280));
        assert_eq!(fit(320, 240, Some((1280, 720))), (320, 240));
        assert_eq!(fit(1, 4000, Some((16, 16))), (2, 16));
    }
}
