//! What the host adds to ffmpeg run by hand: the same file and the same encoder, by turns. The host probes before and after,
//! watches, and hashes the result.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use media::video::{
    Acceleration, AudioCodec, AudioEncoding, Cancel, Container, Demand, Output, Preset, Rendering, Sound, Transcode,
    VideoCodec, VideoConfig, VideoEncoding, VideoRate, VideoTools,
};
use sha2::{Digest as _, Sha256};

use crate::Place;
use crate::report::{Report, Wanted};

const NAME: &str = "transcode";
const ROUNDS: usize = 5;
/// Of the encoder, on both sides.
const THREADS: u32 = 2;

/// Seconds of wall clock, and of CPU of the children and of this process.
#[derive(Clone, Copy)]
struct Spent {
    wall: f64,
    cpu: f64,
}

/// The ratio by the clock and by CPU time, of the best round of each side.
pub fn beside_ffmpeg(place: &Place, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("source.mkv");
    let seconds = if place.quick { 10 } else { 30 };
    // Noise on it: a drawing alone is too easy for an encoder.
    let picture = format!("testsrc2=s=1280x720:r=30:d={seconds},noise=alls=12:allf=t");
    let tone = format!("sine=frequency=440:duration={seconds}");
    run(
        folder.path(),
        &[
            "-f",
            "lavfi",
            "-i",
            &picture,
            "-f",
            "lavfi",
            "-i",
            &tone,
            "-c:v",
            "mpeg4",
            "-q:v",
            "4",
            "-c:a",
            "mp2",
            "source.mkv",
        ],
    )?;
    let tools = tools()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(by_hand(folder.path())?);
        ours.push(by_host(&tools, &source, folder.path())?);
    }
    let best = |spent: &[Spent], of: fn(&Spent) -> f64| spent.iter().map(of).fold(f64::INFINITY, f64::min);
    let (by_clock, by_cpu) = (
        best(&ours, |spent| spent.wall) / best(&theirs, |spent| spent.wall),
        best(&ours, |spent| spent.cpu) / best(&theirs, |spent| spent.cpu),
    );
    report.add(NAME, "seconds of video", f64::from(seconds), "s");
    report.add(NAME, "ffmpeg by hand", best(&theirs, |spent| spent.wall), "s");
    report.add(NAME, "through the host", best(&ours, |spent| spent.wall), "s");
    report.hold(NAME, "ratio by the clock", by_clock, "x", Wanted::AtMost(1.03));
    report.hold(NAME, "ratio by CPU time", by_cpu, "x", Wanted::AtMost(1.03));
    Ok(())
}

fn tools() -> Result<VideoTools> {
    let config = VideoConfig {
        ffmpeg: "ffmpeg".into(),
        ffprobe: "ffprobe".into(),
        memory: 6 << 30,
        // As by hand.
        nice: 0,
        threads: THREADS,
        acceleration: Acceleration::None,
        device: "/dev/dri/renderD128".into(),
        look_limit: Duration::from_secs(60),
        transcode_limit: Duration::from_secs(600),
        seconds_per_second: 60.0,
        max_pixels: 256_000_000,
    };
    VideoTools::find(config).map_err(anyhow::Error::msg)
}

fn run(folder: &Path, args: &[&str]) -> Result<()> {
    let status = Command::new("ffmpeg").args(["-v", "error", "-nostdin", "-y"]).args(args).current_dir(folder).status();
    ensure!(status.context("is ffmpeg installed?")?.success(), "ffmpeg failed");
    Ok(())
}

/// As somebody would type it.
fn by_hand(folder: &Path) -> Result<Spent> {
    let threads = THREADS.to_string();
    let begun = Meter::start();
    run(
        folder,
        &[
            "-threads",
            &threads,
            "-i",
            "source.mkv",
            "-vf",
            "format=yuv420p",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-threads",
            &threads,
            "-crf",
            "23",
            "-c:a",
            "aac",
            "-b:a",
            "128k",
            "-movflags",
            "+faststart",
            "hand.mp4",
        ],
    )?;
    Ok(begun.spent())
}

/// As the step does, without the database.
fn by_host(tools: &VideoTools, source: &Path, folder: &Path) -> Result<Spent> {
    let begun = Meter::start();
    let (input, cancel) = (File::open(source)?, Cancel::default());
    let info = tools.probe(&input, &cancel)?;
    let encoding = VideoEncoding {
        codec: VideoCodec::H264,
        at_most: None,
        rate: VideoRate::Crf(23),
        max_bit_rate: None,
        two_pass: false,
        preset: Preset::Ultrafast,
        bit_depth: 8,
        gop: None,
        b_frames: None,
        tone_map: None,
        threads: None,
    };
    let output = Output {
        name: "playback".into(),
        container: Container::Mp4,
        video_stream: 0,
        video: Rendering::Encode(encoding),
        audio_stream: Some(1),
        audio: Sound::Encode(AudioEncoding { codec: AudioCodec::Aac, bit_rate: Some(128_000), channels: None }),
        acceleration: Demand::Auto,
    };
    output.check(&info).map_err(anyhow::Error::msg)?;
    let into = tempfile::tempfile_in(folder)?;
    let work = Transcode { input: &input, info: &info, output: &output, into: &into, folder };
    let made = tools.transcode(&work, &cancel, &mut |_| {})?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut &into, &mut hasher)?;
    hasher.finalize();
    let spent = begun.spent();
    let by_hand = std::fs::metadata(folder.join("hand.mp4"))?.len() as f64;
    ensure!(
        (0.9..1.1).contains(&(made.len as f64 / by_hand)),
        "the two did not make the same: {} and {by_hand} bytes",
        made.len
    );
    Ok(spent)
}

struct Meter {
    begun: Instant,
    cpu: f64,
}

impl Meter {
    fn start() -> Self {
        Self { begun: Instant::now(), cpu: cpu_seconds() }
    }

    fn spent(&self) -> Spent {
        Spent { wall: self.begun.elapsed().as_secs_f64(), cpu: cpu_seconds() - self.cpu }
    }
}

/// Of this process and of its children that have ended.
fn cpu_seconds() -> f64 {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN].into_iter().map(seconds).sum()
}

fn seconds(whose: i32) -> f64 {
    // SAFETY: a zeroed rusage is a valid value to be written into.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is valid for writing.
    unsafe { libc::getrusage(whose, &mut usage) };
    let of = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    of(usage.ru_utime) + of(usage.ru_stime)
}
