//! Pixels to bytes.

use std::io::Cursor;

use image::ImageEncoder as _;
use libwebp_sys as webp;

use crate::{MediaError, Pixels, jpeg};

/// What pixels can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Jpeg,
    Webp,
    Png,
}

/// `quality` is 1 to 100 and means nothing to PNG.
pub fn encode(pixels: &Pixels, codec: Codec, quality: u8) -> Result<Vec<u8>, MediaError> {
    match codec {
        Codec::Jpeg => jpeg::encode(pixels, quality),
        Codec::Webp => encode_webp(pixels, quality),
        Codec::Png => {
            let mut bytes = Vec::new();
            image::codecs::png::PngEncoder::new(Cursor::new(&mut bytes))
                .write_image(&pixels.rgb, pixels.width, pixels.height, image::ExtendedColorType::Rgb8)
                .map_err(|error| MediaError::Encode { what: "a PNG", why: error.to_string() })?;
            Ok(bytes)
        }
    }
}

fn encode_webp(pixels: &Pixels, quality: u8) -> Result<Vec<u8>, MediaError> {
    let too_large = || MediaError::Encode { what: "a WebP", why: "a side is above 16,383 pixels".into() };
    let width = i32::try_from(pixels.width).map_err(|_| too_large())?;
    let height = i32::try_from(pixels.height).map_err(|_| too_large())?;
    let mut out = std::ptr::null_mut();
    // SAFETY: `rgb` holds `height` rows of `width * 3` bytes (an invariant of Pixels::new); `out` is valid for writing.
    let len = unsafe {
        webp::WebPEncodeRGB(pixels.rgb.as_ptr(), width, height, width * 3, f32::from(quality.clamp(1, 100)), &mut out)
    };
    if len == 0 || out.is_null() {
        return Err(too_large());
    }
    // SAFETY: libwebp returned `len` bytes at `out`, which are ours until WebPFree.
    let bytes = unsafe { std::slice::from_raw_parts(out, len) }.to_vec();
    // SAFETY: `out` came from libwebp and is used no more.
    unsafe { webp::WebPFree(out.cast()) };
    Ok(bytes)
}
