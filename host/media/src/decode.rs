//! Bytes to upright sRGB pixels, under limits.

use std::io::Cursor;
use std::sync::Arc;

use fast_image_resize as fir;
use image::{DynamicImage, ImageDecoder as _, ImageReader};
use moxcms::{ColorProfile, Layout, TransformOptions};
use types::Size;

use crate::pixels::scaled;
use crate::{Format, MediaError, Pixels, jpeg, scratch, sniff};

/// What a decoder of untrusted bytes may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Pixels that a header may claim.
    pub max_pixels: u64,
    /// Pixels in memory: a JPEG is scaled while it is decoded and needs fewer than its header says.
    pub max_decoded: u64,
}

impl Default for Limits {
    /// The largest phone photos have 200 megapixels.
    fn default() -> Self {
        Self { max_pixels: 256_000_000, max_decoded: 128_000_000 }
    }
}

impl Limits {
    pub(crate) fn check_header(&self, width: u32, height: u32) -> Result<(), MediaError> {
        check(width, height, self.max_pixels)
    }

    /// Bytes that a decoder's own picture may take: what the same pixels take as RGB. Sixteen bits a channel or an alpha count.
    fn max_bytes(&self) -> u64 {
        self.max_decoded * 3
    }

    pub(crate) fn check_decoded(&self, width: u32, height: u32) -> Result<(), MediaError> {
        check(width, height, self.max_decoded)
    }
}

/// Of a file that is to be decoded: all of it is in memory then.
pub const MAX_IMAGE_BYTES: u64 = 1 << 30;

/// May a file of so many bytes be read to be decoded? For callers, before they read it.
pub fn check_len(len: u64) -> Result<(), MediaError> {
    if len > MAX_IMAGE_BYTES { Err(MediaError::TooLong(len)) } else { Ok(()) }
}

fn check(width: u32, height: u32, limit: u64) -> Result<(), MediaError> {
    if u64::from(width) * u64::from(height) > limit {
        return Err(MediaError::TooLarge { width, height, limit: limit / 1_000_000 });
    }
    if width == 0 || height == 0 {
        return Err(MediaError::Damaged(format!("it says that it has {width} x {height} pixels")));
    }
    Ok(())
}

/// As a decoder leaves it: perhaps scaled down, lying on its side, in colours of its own.
pub(crate) struct Raw {
    pub size: Size,
    pub rgb: Vec<u8>,
    pub icc: Option<Vec<u8>>,
    /// EXIF's, 1 to 8.
    pub orientation: u8,
    /// Before any scaling, not upright yet.
    pub full: Size,
}

/// Decodes an image of any known format.
///
/// `short_side`: the result may be smaller than the file, with at least this many pixels on its shorter side; `None`: as large
/// as the file.
///
/// # Errors
/// Not an image, damaged, or above the limits (before anything is allocated for its pixels).
pub fn decode(bytes: &[u8], short_side: Option<u32>, limits: &Limits) -> Result<Pixels, MediaError> {
    let raw = raw(bytes, short_side, limits)?;
    let size = raw.size;
    finish(raw, size)
}

pub(crate) fn raw(bytes: &[u8], short_side: Option<u32>, limits: &Limits) -> Result<Raw, MediaError> {
    if bytes.is_empty() {
        return Err(MediaError::Empty);
    }
    check_len(bytes.len() as u64)?;
    match sniff(bytes) {
        Some(Format::Jpeg) => match jpeg::decode(bytes, short_side, limits)? {
            Some(raw) => Ok(raw),
            None => by_image(bytes, limits),
        },
        Some(Format::Heic | Format::Avif) => heif(bytes, limits),
        Some(Format::Jxl) => jxl(bytes, limits),
        Some(Format::Png | Format::Webp | Format::Gif | Format::Tiff | Format::Bmp) => by_image(bytes, limits),
        Some(format) => Err(MediaError::Unsupported(format!("{} is decoded by no step yet", format.media_type()))),
        None => Err(MediaError::Unsupported("its first bytes are those of no known format".into())),
    }
}

/// Scales to `to` (as it lies), then turns colours and orientation right on what is left.
pub(crate) fn finish(raw: Raw, to: Size) -> Result<Pixels, MediaError> {
    let mut rgb: Arc<[u8]> = if to == raw.size {
        Arc::from(&raw.rgb[..])
    } else {
        let filter = fir::ResizeAlg::Convolution(filter(raw.size, to));
        scaled(&raw.rgb, raw.size, to, &fir::ResizeOptions::new().resize_alg(filter).use_alpha(false))?
    };
    scratch::keep(raw.rgb);
    if let Some(icc) = &raw.icc {
        to_srgb(Arc::make_mut(&mut rgb), icc);
    }
    let (size, rgb) = upright(rgb, to, raw.orientation);
    Pixels::new(size.width, size.height, rgb)
}

/// What the decoder has scaled already is scaled a little more: four taps show what six would, in two thirds of the time.
fn filter(from: Size, to: Size) -> fir::FilterType {
    let is_little = u64::from(to.width) * 3 >= u64::from(from.width) * 2;
    if is_little { fir::FilterType::CatmullRom } else { fir::FilterType::Lanczos3 }
}

/// A profile that cannot be read or is not for RGB leaves the colours as they are: better a dull photo than none.
fn to_srgb(rgb: &mut [u8], icc: &[u8]) {
    let Ok(profile) = ColorProfile::new_from_slice(icc) else { return };
    let srgb = ColorProfile::new_srgb();
    let Ok(transform) = profile.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, TransformOptions::default())
    else {
        return;
    };
    // Whole rows are not needed: any multiple of a pixel will do, and a small piece stays in the cache.
    let mut out = vec![0; 3 * 4096];
    for piece in rgb.chunks_mut(3 * 4096) {
        let out = &mut out[..piece.len()];
        if transform.transform(piece, out).is_ok() {
            piece.copy_from_slice(out);
        }
    }
}

/// Applies EXIF's orientation.
pub(crate) fn upright(rgb: Arc<[u8]>, size: Size, orientation: u8) -> (Size, Arc<[u8]>) {
    if orientation <= 1 {
        return (size, rgb);
    }
    let (width, height) = (size.width as usize, size.height as usize);
    let swapped = orientation >= 5;
    let (out_width, out_height) = if swapped { (height, width) } else { (width, height) };
    let mut out = Vec::with_capacity(rgb.len());
    for y in 0..out_height {
        for x in 0..out_width {
            let (from_x, from_y) = match orientation {
                2 => (width - 1 - x, y),
                3 => (width - 1 - x, height - 1 - y),
                4 => (x, height - 1 - y),
                5 => (y, x),
                6 => (y, height - 1 - x),
                7 => (width - 1 - y, height - 1 - x),
                _ => (width - 1 - y, x),
            };
            let at = (from_y * width + from_x) * 3;
            out.extend_from_slice(&rgb[at..at + 3]);
        }
    }
    (Size { width: out_width as u32, height: out_height as u32 }, out.into())
}

/// PNG, WebP, GIF, TIFF, BMP, and JPEGs that turbojpeg does not take.
fn by_image(bytes_of_file: &[u8], limits: &Limits) -> Result<Raw, MediaError> {
    let damaged = |error: image::ImageError| MediaError::Damaged(error.to_string());
    let mut reader = ImageReader::new(Cursor::new(bytes_of_file))
        .with_guessed_format()
        .map_err(|error| MediaError::Damaged(error.to_string()))?;
    // Also for what a decoder takes beside the pixels: PNG's compressed profiles and texts, TIFF's tables.
    let mut own = image::Limits::no_limits();
    own.max_alloc = Some(limits.max_bytes());
    reader.limits(own);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    limits.check_header(width, height)?;
    limits.check_decoded(width, height)?;
    let bytes = decoder.total_bytes();
    if bytes > limits.max_bytes() {
        return Err(MediaError::TooMuchMemory { bytes, limit: limits.max_bytes() });
    }
    let orientation = decoder.orientation().map_or(1, |orientation| orientation.to_exif());
    // A broken profile spoils no picture.
    let icc = decoder.icc_profile().ok().flatten().or_else(|| tiff_profile(bytes_of_file));
    let rgb = flat(DynamicImage::from_decoder(decoder).map_err(damaged)?);
    let size = Size { width, height };
    Ok(Raw { size, rgb, icc, orientation, full: size })
}

/// The `image` crate finds no profile in a TIFF once it has limits (0.25.10).
fn tiff_profile(bytes: &[u8]) -> Option<Vec<u8>> {
    const ICC_PROFILE: exif::Tag = exif::Tag(exif::Context::Tiff, 34_675);
    if sniff(bytes) != Some(Format::Tiff) {
        return None;
    }
    let tags = exif::Reader::new().read_from_container(&mut Cursor::new(bytes)).ok()?;
    match &tags.get_field(ICC_PROFILE, exif::In::PRIMARY)?.value {
        exif::Value::Undefined(profile, _) | exif::Value::Byte(profile) => Some(profile.clone()),
        _ => None,
    }
}

/// Without transparency: on white, as a page would show it.
fn flat(image: DynamicImage) -> Vec<u8> {
    if !image.color().has_alpha() {
        return image.into_rgb8().into_raw();
    }
    let rgba = image.into_rgba8();
    rgba.pixels()
        .flat_map(|pixel| {
            let [r, g, b, alpha] = pixel.0.map(u32::from);
            [r, g, b].map(|value| ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
        })
        .collect()
}

/// HEIC and AVIF. libheif applies the file's own rotation.
fn heif(bytes: &[u8], limits: &Limits) -> Result<Raw, MediaError> {
    use libheif_rs::{ColorSpace, HeifContext, LibHeif, RgbChroma};
    let damaged = |error: libheif_rs::HeifError| MediaError::Damaged(error.to_string());
    let context = HeifContext::read_from_bytes(bytes).map_err(damaged)?;
    let handle = context.primary_image_handle().map_err(damaged)?;
    limits.check_header(handle.width(), handle.height())?;
    limits.check_decoded(handle.width(), handle.height())?;
    let icc = handle.color_profile_raw().map(|profile| profile.data).or_else(|| named_profile(&handle));
    let image = LibHeif::new().decode(&handle, ColorSpace::Rgb(RgbChroma::Rgb), None).map_err(damaged)?;
    let plane = image.planes().interleaved.ok_or_else(|| MediaError::Damaged("it has no colours".into()))?;
    let size = Size { width: plane.width, height: plane.height };
    let row = plane.width as usize * 3;
    let rgb =
        plane.data.chunks(plane.stride).take(plane.height as usize).flat_map(|line| &line[..row]).copied().collect();
    Ok(Raw { size, rgb, icc, orientation: 1, full: size })
}

/// The profile that a HEIC or AVIF names by numbers (ITU-T H.273) instead of bringing one. sRGB needs none.
fn named_profile(handle: &libheif_rs::ImageHandle) -> Option<Vec<u8>> {
    use libheif_rs::{ColorPrimaries, TransferCharacteristics};
    let named = handle.color_profile_nclx()?;
    let profile = match (named.color_primaries(), named.transfer_characteristics()) {
        (ColorPrimaries::SMPTE_EG_432_1, TransferCharacteristics::ITU_R_BT_2100_0_PQ) => {
            ColorProfile::new_display_p3_pq()
        }
        (ColorPrimaries::SMPTE_EG_432_1, _) => ColorProfile::new_display_p3(),
        (ColorPrimaries::ITU_R_BT_2020_2_and_2100_0, TransferCharacteristics::ITU_R_BT_2100_0_PQ) => {
            ColorProfile::new_bt2020_pq()
        }
        (ColorPrimaries::ITU_R_BT_2020_2_and_2100_0, TransferCharacteristics::ITU_R_BT_2100_0_HLG) => {
            ColorProfile::new_bt2020_hlg()
        }
        (ColorPrimaries::ITU_R_BT_2020_2_and_2100_0, _) => ColorProfile::new_bt2020(),
        _ => return None,
    };
    profile.encode().ok()
}

/// JPEG XL. jxl-oxide applies the orientation and gives sRGB.
fn jxl(bytes: &[u8], limits: &Limits) -> Result<Raw, MediaError> {
    use jxl_oxide::{EnumColourEncoding, JxlImage, RenderingIntent};
    let damaged = |error: Box<dyn std::error::Error + Send + Sync>| MediaError::Damaged(error.to_string());
    let mut image = JxlImage::builder().read(Cursor::new(bytes)).map_err(damaged)?;
    limits.check_header(image.width(), image.height())?;
    limits.check_decoded(image.width(), image.height())?;
    image.request_color_encoding(EnumColourEncoding::srgb(RenderingIntent::Relative));
    let frame = image.render_frame(0).map_err(damaged)?;
    let mut stream = frame.stream();
    let (size, channels) = (Size { width: stream.width(), height: stream.height() }, stream.channels() as usize);
    let mut values = vec![0_u8; size.width as usize * size.height as usize * channels];
    stream.write_to_buffer(&mut values);
    let rgb = match channels {
        3 => values,
        0 => return Err(MediaError::Damaged("it has no colours".into())),
        _ => values
            .chunks_exact(channels)
            .flat_map(|pixel| [0, 1, 2].map(|at| pixel[if channels < 3 { 0 } else { at }]))
            .collect(),
    };
    Ok(Raw { size, rgb, icc: None, orientation: 1, full: size })
}
