//! Single frames, and the one that stands for the whole.

use std::fs::File;

use types::Size;

use super::command::to_sdr;
use super::tools::{VideoTools, words};
use super::{Cancel, ToneMap, VideoError, VideoInfo};
use crate::thumbnails::{of_pixels, shorter_side};
use crate::{MediaError, Pixels, ThumbnailSpec, Thumbnails};

/// Where a telling frame is looked for, as parts of the length: a video often begins in the dark.
const PLACES: [f64; 4] = [0.1, 0.35, 0.65, 0.0];
/// The spread of light (0 to 255) from which on something is to be seen.
const TELLING: f32 = 12.0;

impl VideoTools {
    /// The frame at `ms`, upright, with square pixels, tone-mapped, scaled to `size`.
    ///
    /// # Errors
    /// `Failed` where nothing can be decoded there.
    pub fn frame(
        &self,
        file: &File,
        info: &VideoInfo,
        ms: u64,
        size: Size,
        cancel: &Cancel,
    ) -> Result<Pixels, VideoError> {
        let (stream, _) = info.shown(self.config.max_pixels)?;
        let mut filters: Vec<String> = Vec::new();
        filters.push(format!("scale={}:{}:flags=bicubic", size.width, size.height));
        if stream.is_hdr() {
            filters.push(to_sdr(stream, ToneMap::Hable));
        }
        filters.push("format=rgb24".into());
        let seconds = format!("{:.3}", ms as f64 / 1e3);
        let mut args = words(&["-nostdin", "-hide_banner", "-v", "error", "-threads", "2"]);
        args.extend(words(&["-max_pixels", &self.config.max_pixels.to_string(), "-ss", &seconds]));
        args.extend(self.input(file));
        args.extend(words(&["-map", &format!("0:{}", stream.index), "-frames:v", "1", "-vf", &filters.join(",")]));
        args.extend(words(&["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]));
        let most = size.width as usize * size.height as usize * 3;
        let files = [file];
        let rgb = Self::collect(&self.call(args, &files), most, cancel)?;
        if rgb.len() != most {
            return Err(VideoError::Failed { what: "ffmpeg", why: format!("there is no frame at {seconds} s") });
        }
        Pixels::new(size.width, size.height, rgb)
            .map_err(|error| VideoError::Failed { what: "ffmpeg", why: error.to_string() })
    }

    /// What the gallery shows of a video: of the first frame that shows something, or of the one that shows most.
    ///
    /// # Errors
    /// No frame can be decoded, or those of [`VideoTools::frame`].
    pub fn thumbnails(
        &self,
        file: &File,
        info: &VideoInfo,
        spec: &ThumbnailSpec,
        cancel: &Cancel,
    ) -> Result<Thumbnails, VideoError> {
        let (_, source) = info.shown(self.config.max_pixels)?;
        let size = shorter_side(source, spec.preview);
        let (mut best, mut failed) = (None::<(f32, Pixels)>, None);
        for place in PLACES {
            let ms = (info.duration_ms as f64 * place) as u64;
            match self.frame(file, info, ms, size, cancel) {
                Ok(pixels) => {
                    let spread = spread(&pixels);
                    if best.as_ref().is_none_or(|(most, _)| spread > *most) {
                        best = Some((spread, pixels));
                    }
                    if spread >= TELLING {
                        break;
                    }
                }
                // Elsewhere there may be one.
                Err(error @ VideoError::Failed { .. }) => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        let Some((_, pixels)) = best else {
            let none = || VideoError::Failed { what: "ffmpeg", why: "no frame can be decoded".into() };
            return Err(failed.unwrap_or_else(none));
        };
        let unmade = |error: MediaError| VideoError::Failed { what: "the thumbnail", why: error.to_string() };
        of_pixels(pixels, source, spec).map_err(unmade)
    }
}

/// Standard deviation of the light, of every few pixels.
fn spread(pixels: &Pixels) -> f32 {
    let step = (pixels.rgb.len() / 3 / 10_000).max(1);
    let light = |rgb: &[u8; 3]| 0.3 * f32::from(rgb[0]) + 0.59 * f32::from(rgb[1]) + 0.11 * f32::from(rgb[2]);
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for rgb in pixels.rgb.as_chunks::<3>().0.iter().step_by(step) {
        let light = light(rgb);
        count += 1.0;
        sum += light;
        squares += light * light;
    }
    let mean: f32 = sum / f32::max(count, 1.0);
    (squares / f32::max(count, 1.0) - mean * mean).max(0.0).sqrt()
}
