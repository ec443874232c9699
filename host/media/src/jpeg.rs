//! JPEG by turbojpeg, which scales while it decodes; and what stands in a JPEG's segments.

use std::cell::RefCell;

use turbojpeg::{Colorspace, Compressor, Decompressor, Image, PixelFormat, ScalingFactor, Subsamp};
use types::Size;

use crate::decode::{Limits, Raw};
use crate::{MediaError, Pixels, cmyk, scratch};

thread_local! {
    static DECOMPRESSOR: RefCell<Option<Decompressor>> = const { RefCell::new(None) };
    static COMPRESSOR: RefCell<Option<Compressor>> = const { RefCell::new(None) };
}

const FACTORS: [(usize, usize); 4] = [(1, 8), (1, 4), (1, 2), (1, 1)];

/// What libjpeg warns of although it decodes the picture (its `jerror.h`). The crate gives warnings as errors and keeps no code
/// that would tell them apart. What says that data is missing is not here: a picture that is half grey is damaged.
const HARMLESS: [&str; 5] = [
    "extraneous bytes before marker",
    "unknown JFIF revision",
    "Adobe color transform",
    "Invalid SOS parameters",
    "instead of RST",
];

fn is_harmless(error: &turbojpeg::Error) -> bool {
    matches!(error, turbojpeg::Error::TurboJpegError(words) if HARMLESS.iter().any(|harmless| words.contains(harmless)))
}

fn damaged(error: turbojpeg::Error) -> MediaError {
    MediaError::Damaged(error.to_string())
}

/// Decodes at the smallest scale whose shorter side has at least `short_side` pixels. `None`: the other decoder may take it.
pub fn decode(bytes: &[u8], short_side: Option<u32>, limits: &Limits) -> Result<Option<Raw>, MediaError> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::new().map_err(damaged)?),
        };
        let header = match decompressor.read_header(bytes) {
            // The other decoder may take it.
            Err(error) if is_harmless(&error) => return Ok(None),
            header => header.map_err(damaged)?,
        };
        limits.check_header(header.width as u32, header.height as u32)?;
        let inks = matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK);
        let short = header.width.min(header.height);
        let factor = FACTORS
            .iter()
            .map(|(num, denom)| ScalingFactor::new(*num, *denom))
            .find(|factor| short_side.is_some_and(|want| factor.scale(short) >= want as usize))
            .unwrap_or(ScalingFactor::ONE);
        let (width, height) = (factor.scale(header.width), factor.scale(header.height));
        limits.check_decoded(width as u32, height as u32)?;
        decompressor.set_scaling_factor(factor).map_err(damaged)?;
        let (channels, format) = if inks { (4, PixelFormat::CMYK) } else { (3, PixelFormat::RGB) };
        let mut pixels = scratch::take(width * height * channels);
        let image = Image { pixels: &mut pixels[..], width, pitch: width * channels, height, format };
        match decompressor.decompress(bytes, image) {
            Err(error) if !is_harmless(&error) => return Err(damaged(error)),
            _ => {}
        }
        let segments = Segments::read(bytes);
        let (rgb, icc) = match segments.icc() {
            icc if inks => (cmyk::to_rgb(pixels, segments.is_adobe(), icc.as_deref()), None),
            icc => (pixels, icc),
        };
        Ok(Some(Raw {
            size: Size { width: width as u32, height: height as u32 },
            rgb,
            icc,
            orientation: segments.exif().and_then(orientation).unwrap_or(1),
            full: Size { width: header.width as u32, height: header.height as u32 },
        }))
    })
}

/// Baseline, 4:2:0.
pub fn encode(pixels: &Pixels, quality: u8) -> Result<Vec<u8>, MediaError> {
    let failed = |error: turbojpeg::Error| MediaError::Encode { what: "a JPEG", why: error.to_string() };
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(Compressor::new().map_err(failed)?),
        };
        compressor.set_quality(i32::from(quality.clamp(1, 100))).map_err(failed)?;
        compressor.set_subsamp(Subsamp::Sub2x2).map_err(failed)?;
        let (width, height) = (pixels.width as usize, pixels.height as usize);
        let image = Image { pixels: &pixels.rgb[..], width, pitch: width * 3, height, format: PixelFormat::RGB };
        compressor.compress_to_vec(image).map_err(failed)
    })
}

/// EXIF's orientation, 1 to 8.
pub fn orientation(exif: &[u8]) -> Option<u8> {
    let exif = exif::Reader::new().read_raw(exif.to_vec()).ok()?;
    let value = exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY)?.value.get_uint(0)?;
    u8::try_from(value).ok().filter(|value| (1..=8).contains(value))
}

/// The application segments before the pixels.
pub struct Segments<'a>(Vec<(u8, &'a [u8])>);

impl<'a> Segments<'a> {
    /// As many as are whole.
    pub fn read(bytes: &'a [u8]) -> Self {
        let mut segments = Vec::new();
        let mut at = 2;
        while let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4) {
            let length = usize::from(u16::from_be_bytes([high, low]));
            // Start of scan: pixels follow.
            if marker == 0xda || length < 2 {
                break;
            }
            let Some(content) = bytes.get(at + 4..at + 2 + length) else { break };
            segments.push((marker, content));
            at += 2 + length;
        }
        Self(segments)
    }

    fn of(&self, marker: u8, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |(found, _)| *found == marker)
            .filter_map(move |(_, content)| content.strip_prefix(name))
    }

    /// The TIFF structure of EXIF.
    pub fn exif(&self) -> Option<&'a [u8]> {
        self.of(0xe1, b"Exif\0\0").next()
    }

    /// Written by a program of Adobe's or one that does as they do: in CMYK, 255 is no ink then.
    fn is_adobe(&self) -> bool {
        self.of(0xee, b"Adobe").next().is_some()
    }

    /// XMP as text.
    pub fn xmp(&self) -> Option<&'a str> {
        self.of(0xe1, b"http://ns.adobe.com/xap/1.0/\0").next().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The colour profile, which may be spread over segments: each has its number and their count before it.
    fn icc(&self) -> Option<Vec<u8>> {
        let mut parts: Vec<(u8, &[u8])> = self
            .of(0xe2, b"ICC_PROFILE\0")
            .filter_map(|content| Some((*content.first()?, content.get(2..)?)))
            .collect();
        parts.sort_by_key(|(number, _)| *number);
        let icc: Vec<u8> = parts.into_iter().flat_map(|(_, part)| part).copied().collect();
        (!icc.is_empty()).then_some(icc)
    }
}
