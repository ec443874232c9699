//! Video, by ffmpeg and ffprobe as bounded child processes. A video is given as an open file: it may be larger than memory, and a
//! child that gets the file itself needs no path that anybody could bend.

mod command;
mod error;
mod frame;
mod output;
mod probe;
mod process;
mod tags;
mod tools;
mod transcode;

pub use command::Acceleration;
pub use error::VideoError;
pub use output::{
    AudioCodec, AudioEncoding, Container, Demand, Output, Preset, Rendering, Sound, ToneMap, VideoCodec, VideoEncoding,
    VideoRate,
};
pub use probe::{Stream, StreamKind, VideoInfo};
pub use process::Cancel;
pub use tools::{VideoConfig, VideoTools};
pub use transcode::{Made, Transcode};
