//! What an owner does to a picture: cut, turned, mirrored. The original stays as it is.

use types::Size;

use crate::decode::{Limits, decode, upright};
use crate::thumbnails::{of_pixels, shorter_side};
use crate::{Codec, Filter, Fit, MediaError, Pixels, ThumbnailSpec, Thumbnails, encode, resize};

/// One thing that is done to the upright picture, after those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// What is kept, in pixels from the left and from the top.
    Crop { x: u32, y: u32, width: u32, height: u32 },
    /// Clockwise, by so many quarters.
    Rotate { quarters: u8 },
    /// Left and right change places.
    MirrorHorizontally,
    /// Top and bottom do.
    MirrorVertically,
}

/// A picture after its edits.
#[derive(Debug, Clone)]
pub struct Edited {
    pub fullsize_jpeg: Vec<u8>,
    /// Of what it is now.
    pub thumbnails: Thumbnails,
}

/// The quality of what stands for an original.
const FULLSIZE_QUALITY: u8 = 92;

/// Decodes at full size, edits, and makes all that is shown.
///
/// # Errors
/// Those of [`decode`]; `Invalid` for an edit that the picture has no room for.
pub fn edited(bytes: &[u8], edits: &[Edit], spec: &ThumbnailSpec, limits: &Limits) -> Result<Edited, MediaError> {
    let pixels = edit(decode(bytes, None, limits)?, edits)?;
    let fullsize_jpeg = encode(&pixels, Codec::Jpeg, FULLSIZE_QUALITY)?;
    let source = pixels.size();
    let preview = resize(&pixels, shorter_side(source, spec.preview), Fit::Stretch, Filter::Lanczos3)?;
    drop(pixels);
    Ok(Edited { fullsize_jpeg, thumbnails: of_pixels(preview, source, spec)? })
}

/// The edits, one after another.
///
/// # Errors
/// A part to keep that is not wholly in the picture.
pub fn edit(mut pixels: Pixels, edits: &[Edit]) -> Result<Pixels, MediaError> {
    for edit in edits {
        pixels = match *edit {
            Edit::Crop { x, y, width, height } => cut(&pixels, (x, y), Size { width, height })?,
            // EXIF's numbers for how a picture lies, and thus for how it is set right.
            Edit::Rotate { quarters } => laid(&pixels, [1, 6, 3, 8][usize::from(quarters % 4)])?,
            Edit::MirrorHorizontally => laid(&pixels, 2)?,
            Edit::MirrorVertically => laid(&pixels, 4)?,
        };
    }
    Ok(pixels)
}

fn laid(pixels: &Pixels, orientation: u8) -> Result<Pixels, MediaError> {
    let (size, rgb) = upright(pixels.rgb.clone(), pixels.size(), orientation);
    Pixels::new(size.width, size.height, rgb)
}

fn cut(pixels: &Pixels, (x, y): (u32, u32), part: Size) -> Result<Pixels, MediaError> {
    let fits = |at: u32, len: u32, side: u32| len > 0 && at.checked_add(len).is_some_and(|end| end <= side);
    if !fits(x, part.width, pixels.width) || !fits(y, part.height, pixels.height) {
        return Err(MediaError::Invalid(format!(
            "a crop of {} x {} at {x}, {y} is not within the {} x {} pixels of the picture",
            part.width, part.height, pixels.width, pixels.height
        )));
    }
    let (left, bytes) = (x as usize * 3, part.width as usize * 3);
    let rows = pixels.rgb.chunks_exact(pixels.width as usize * 3).skip(y as usize).take(part.height as usize);
    let mut rgb = Vec::with_capacity(bytes * part.height as usize);
    rows.for_each(|row| rgb.extend_from_slice(&row[left..left + bytes]));
    Pixels::new(part.width, part.height, rgb)
}
