//! Makes what was planned: one run of ffmpeg or two, watched.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::command::{Acceleration, Pass};
use super::process::Call;
use super::tools::VideoTools;
use super::{Cancel, Demand, Output, Rendering, VideoError, VideoInfo};

/// A result may be shorter than its source by so much: seconds, and parts of it.
const SLACK: (f64, f64) = (1.0, 0.1);

/// What is transcoded into what.
pub struct Transcode<'a> {
    pub input: &'a File,
    pub info: &'a VideoInfo,
    pub output: &'a Output,
    /// Empty, and open for reading and writing.
    pub into: &'a File,
    /// A folder of its own, for what an encoder notes between two passes.
    pub folder: &'a Path,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// Bytes.
    pub len: u64,
    pub info: VideoInfo,
    /// With what: an encoder in hardware may have failed.
    pub acceleration: Acceleration,
    /// Why hardware did not do it.
    pub fallback: Option<String>,
}

impl VideoTools {
    /// Transcodes on this thread, which may take hours. `progress` is told the part that is done, 0 to 1.
    ///
    /// # Errors
    /// Those of [`VideoError`]; a result that cannot be read, or that is shorter than its source, is `Failed`.
    pub fn transcode(
        &self,
        work: &Transcode<'_>,
        cancel: &Cancel,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Made, VideoError> {
        let wanted = match (&work.output.video, work.output.acceleration) {
            (Rendering::Copy, _) | (_, Demand::Never) => Acceleration::None,
            _ => self.config.acceleration,
        };
        if work.output.acceleration == Demand::Required && wanted == Acceleration::None {
            let why = "the plan asks for an encoder in hardware, and video.acceleration is none".into();
            return Err(VideoError::Failed { what: "the transcode", why });
        }
        let (acceleration, fallback) = match self.runs(work, wanted, cancel, progress) {
            Ok(()) => (wanted, None),
            Err(VideoError::Failed { why, .. })
                if wanted != Acceleration::None && work.output.acceleration == Demand::Auto =>
            {
                self.runs(work, Acceleration::None, cancel, progress)?;
                (Acceleration::None, Some(why))
            }
            Err(error) => return Err(error),
        };
        let info = self.probe(work.into, cancel).map_err(|error| match error {
            VideoError::Cancelled | VideoError::Machine { .. } => error,
            other => VideoError::Failed { what: "the transcode", why: format!("its result cannot be read: {other}") },
        })?;
        let (from, to) = (work.info.duration_ms as f64 / 1e3, info.duration_ms as f64 / 1e3);
        if to + SLACK.0 + from * SLACK.1 < from {
            let why =
                format!("its result ends after {to:.1} of {from:.1} s: the video cannot be decoded from there on");
            return Err(VideoError::Failed { what: "the transcode", why });
        }
        Ok(Made { len: info.len, info, acceleration, fallback })
    }

    fn runs(
        &self,
        work: &Transcode<'_>,
        acceleration: Acceleration,
        cancel: &Cancel,
        progress: &mut dyn FnMut(f64),
    ) -> Result<(), VideoError> {
        let two = acceleration == Acceleration::None
            && matches!(&work.output.video, Rendering::Encode(encoding) if encoding.two_pass);
        if !two {
            return self.once(work, acceleration, Pass::Only, cancel, progress);
        }
        self.once(work, acceleration, Pass::First, cancel, &mut |part| progress(part / 2.0))?;
        self.once(work, acceleration, Pass::Second, cancel, &mut |part| progress(0.5 + part / 2.0))
    }

    fn once(
        &self,
        work: &Transcode<'_>,
        acceleration: Acceleration,
        pass: Pass,
        cancel: &Cancel,
        progress: &mut dyn FnMut(f64),
    ) -> Result<(), VideoError> {
        let args = self.command((work.input, work.into), work.info, work.output, acceleration, pass);
        let files = [work.input, work.into];
        let seconds = work.info.duration_ms as f64 / 1e3;
        let call = Call {
            folder: work.folder,
            // Nothing that plays is that much larger than its source.
            file_size: work.info.len.saturating_mul(8).saturating_add(8 << 30),
            limit: self.config.transcode_limit
                + Duration::from_secs_f64((seconds * self.config.seconds_per_second).clamp(0.0, 1e8)),
            setting: "video.seconds-per-second",
            // Drivers map what their cards have: their address space says nothing.
            memory: if acceleration == Acceleration::None { self.config.memory } else { u64::MAX },
            ..self.call(args, &files)
        };
        let mut lines = Vec::new();
        call.run(cancel, |bytes| {
            lines.extend_from_slice(bytes);
            while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = lines.drain(..=end).collect();
                if let Some(done) = done(&line).filter(|_| seconds > 0.0) {
                    progress((done / seconds).clamp(0.0, 1.0));
                }
            }
            // No line of a progress is that long.
            lines.truncate(4_096);
            Ok(())
        })
    }
}

/// Seconds of `out_time_us=1234567`.
fn done(line: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(line).ok()?.trim();
    let micros: f64 = text.strip_prefix("out_time_us=")?.parse().ok()?;
    Some(micros / 1e6)
}
