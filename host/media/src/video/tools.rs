//! Where ffmpeg and ffprobe are, and what they are allowed.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{Call, fd_url};
use super::{Acceleration, Cancel, VideoError};

/// The formats that are read. Playlists are not among them: one could name any file of this machine.
const DEMUXERS: &str = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,h264,hevc";

/// What an operator sets.
#[derive(Debug, Clone)]
pub struct VideoConfig {
    /// Names on PATH, or paths.
    pub ffmpeg: PathBuf,
    pub ffprobe: PathBuf,
    /// Bytes of address space of one process.
    pub memory: u64,
    pub nice: i32,
    /// Threads of one encoder; 0: as many as there are cores, at most 16.
    pub threads: u32,
    pub acceleration: Acceleration,
    /// Of the acceleration: `/dev/dri/renderD128`.
    pub device: PathBuf,
    /// How long a probe may take, and one frame.
    pub look_limit: Duration,
    /// How long a transcode may take: so long, and `seconds_per_second` for each second of the video.
    pub transcode_limit: Duration,
    pub seconds_per_second: f64,
    /// Pixels of a frame at most.
    pub max_pixels: u64,
}

/// ffmpeg and ffprobe of this machine.
#[derive(Debug, Clone)]
pub struct VideoTools {
    pub(super) config: VideoConfig,
    pub(super) threads: u32,
}

impl VideoTools {
    /// # Errors
    /// One of the two is not there; the text says which and what to do.
    pub fn find(config: VideoConfig) -> Result<Self, String> {
        let path = |program: &Path, key: &str| {
            found(program).ok_or_else(|| {
                format!(
                    "{} is not there: install ffmpeg 5.1 or newer (apt-get install ffmpeg), or set video.{key}",
                    program.display()
                )
            })
        };
        let (ffmpeg, ffprobe) = (path(&config.ffmpeg, "ffmpeg")?, path(&config.ffprobe, "ffprobe")?);
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(16) as u32;
        let threads = if config.threads == 0 { cores } else { config.threads };
        Ok(Self { config: VideoConfig { ffmpeg, ffprobe, ..config }, threads })
    }

    /// Options that stand before every input: nothing but the file itself is read, and nothing of a size that is not allowed.
    pub(super) fn input(&self, file: &File) -> Vec<OsString> {
        let mut args = words(&["-protocol_whitelist", "file,pipe", "-format_whitelist", DEMUXERS]);
        args.extend(words(&["-i", &fd_url(file)]));
        args
    }

    pub(super) fn probing<'a>(&'a self, args: Vec<OsString>, files: &'a [&'a File], limit: Duration) -> Call<'a> {
        Call { program: &self.config.ffprobe, what: "ffprobe", limit, ..self.call(args, files) }
    }

    /// ffmpeg, in a folder that nothing lies in.
    pub(super) fn call<'a>(&'a self, args: Vec<OsString>, files: &'a [&'a File]) -> Call<'a> {
        Call {
            what: "ffmpeg",
            program: &self.config.ffmpeg,
            args,
            files,
            folder: Path::new("/"),
            memory: self.config.memory,
            file_size: 0,
            nice: self.config.nice,
            limit: self.config.look_limit,
            setting: "video.look-limit",
        }
    }

    /// Collects what a call writes, if that is not more than `most` bytes.
    pub(super) fn collect(call: &Call<'_>, most: usize, cancel: &Cancel) -> Result<Vec<u8>, VideoError> {
        let mut collected = Vec::new();
        let too_much = || VideoError::TooMuch { what: call.what, most };
        call.run(cancel, |bytes| {
            collected.extend_from_slice(bytes);
            if collected.len() > most { Err(too_much()) } else { Ok(()) }
        })?;
        Ok(collected)
    }
}

pub(super) fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

/// A path, or a name on PATH; something that can be run.
fn found(program: &Path) -> Option<PathBuf> {
    let can_run = |path: &PathBuf| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    if program.components().count() > 1 {
        return Some(program.to_path_buf()).filter(can_run);
    }
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(can_run)
}
