//! Why a video was not read, or not made.

use std::io;
use std::time::Duration;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    #[error("this is not a video that can be read: {0}")]
    Unreadable(String),
    /// There are streams, but none of them can be shown.
    #[error("there is no picture in this video: {0}")]
    NoPicture(String),
    #[error("the video has {width} x {height} pixels, more than the {limit} million that media.max-megapixels allows")]
    TooLarge { width: u32, height: u32, limit: u64 },
    #[error("{what} did not end within {} s and was stopped: the file is damaged, or {setting} is too low for it", limit.as_secs())]
    TooSlow { what: &'static str, limit: Duration, setting: &'static str },
    #[error("{what} said more than {most} bytes and was stopped: the file is damaged or made to do harm")]
    TooMuch { what: &'static str, most: usize },
    #[error("{what} failed: {why}")]
    Failed { what: &'static str, why: String },
    /// Nobody wants the result any more.
    #[error("cancelled")]
    Cancelled,
    /// About the machine, not about the video.
    #[error("cannot run {what}: {source}")]
    Machine { what: &'static str, source: io::Error },
}

impl VideoError {
    /// May the same succeed later?
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Machine { .. })
    }
}
