//! What the gallery shows instead of an original, made in one go from one decode.

use types::Size;

use crate::decode::{Limits, finish, raw};
use crate::{Codec, Filter, Fit, MediaError, Pixels, encode, resize};

/// Sizes and qualities.
#[derive(Debug, Clone)]
pub struct ThumbnailSpec {
    /// Pixels of the preview's shorter side; a smaller image stays as it is.
    pub preview: u32,
    pub preview_quality: u8,
    /// Pixels of the thumbnail's shorter side.
    pub thumbnail: u32,
    pub thumbnail_quality: u8,
}

impl Default for ThumbnailSpec {
    /// Immich's.
    fn default() -> Self {
        Self { preview: 1440, preview_quality: 80, thumbnail: 250, thumbnail_quality: 80 }
    }
}

/// Everything that one decode gives.
#[derive(Debug, Clone)]
pub struct Thumbnails {
    pub preview_jpeg: Vec<u8>,
    pub thumbnail_webp: Vec<u8>,
    /// A blurred picture in about 25 bytes (thumbhash.js).
    pub thumbhash: Vec<u8>,
    /// Of the original, upright.
    pub source: Size,
    /// The preview's pixels, for the plugins that look at the photo next.
    pub pixels: Pixels,
}

/// Decodes once; scales, turns colours to sRGB and stands the image upright on the small version.
///
/// # Errors
/// Those of [`crate::decode`].
pub fn thumbnails(bytes: &[u8], spec: &ThumbnailSpec, limits: &Limits) -> Result<Thumbnails, MediaError> {
    let raw = raw(bytes, Some(spec.preview), limits)?;
    let source = if raw.orientation >= 5 { Size { width: raw.full.height, height: raw.full.width } } else { raw.full };
    let to = shorter_side(raw.size, spec.preview);
    of_pixels(finish(raw, to)?, source, spec)
}

/// The same of pixels that have the preview's size already.
pub(crate) fn of_pixels(pixels: Pixels, source: Size, spec: &ThumbnailSpec) -> Result<Thumbnails, MediaError> {
    let small = resize(&pixels, shorter_side(pixels.size(), spec.thumbnail), Fit::Stretch, Filter::Lanczos3)?;
    Ok(Thumbnails {
        preview_jpeg: encode(&pixels, Codec::Jpeg, spec.preview_quality)?,
        thumbnail_webp: encode(&small, Codec::Webp, spec.thumbnail_quality)?,
        thumbhash: thumbhash(&small)?,
        source,
        pixels,
    })
}

/// `size` scaled so that its shorter side is `short`, never up, no side below 1 or above 16,383 (WebP's limit).
pub(crate) fn shorter_side(size: Size, short: u32) -> Size {
    let shorter = f64::from(size.width.min(size.height));
    let longer = f64::from(size.width.max(size.height));
    let scale = (f64::from(short) / shorter).min(1.0).min(16_383.0 / longer);
    let side = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    Size { width: side(size.width), height: side(size.height) }
}

fn thumbhash(pixels: &Pixels) -> Result<Vec<u8>, MediaError> {
    let small = resize(pixels, Size { width: 100, height: 100 }, Fit::Contain, Filter::Bilinear)?;
    let rgba: Vec<u8> = small.rgb.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
    Ok(thumbhash::rgba_to_thumb_hash(small.width as usize, small.height as usize, &rgba))
}
