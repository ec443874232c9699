//! Pixels in memory, and what can be done with them.

use std::cell::RefCell;
use std::sync::Arc;

use fast_image_resize as fir;
use fir::images::{TypedImage, TypedImageRef};
use fir::pixels::U8x3;
use types::{Rect, Size};

use crate::MediaError;

/// An upright image in sRGB: rows from the top, each pixel R, G, B. Cloning copies no pixel.
#[derive(Debug, Clone)]
pub struct Pixels {
    pub width: u32,
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Arc<[u8]>,
}

/// How pixels are blended when their number changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    Nearest,
    Bilinear,
    Bicubic,
    Lanczos3,
}

/// What becomes of another aspect ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Exactly this size.
    Stretch,
    /// As large as fits into it.
    Contain,
    /// Fills it; what sticks out on both sides is cut off.
    Cover,
}

/// Order of a tensor's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Nchw,
    Nhwc,
}

/// Order of a tensor's colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    Rgb,
    Bgr,
}

/// `value = (pixel - mean) * scale` for each channel in the tensor's order, pixel in 0 to 255.
#[derive(Debug, Clone, Copy)]
pub struct TensorOptions {
    pub layout: Layout,
    pub channels: Channels,
    pub mean: [f32; 3],
    pub scale: [f32; 3],
}

impl Pixels {
    /// `rgb` holds `width * height * 3` bytes.
    pub fn new(width: u32, height: u32, rgb: impl Into<Arc<[u8]>>) -> Result<Self, MediaError> {
        let rgb = rgb.into();
        if width == 0 || height == 0 || rgb.len() as u64 != u64::from(width) * u64::from(height) * 3 {
            return Err(MediaError::Invalid(format!("{} bytes are no image of {width} x {height}", rgb.len())));
        }
        Ok(Self { width, height, rgb })
    }

    pub fn size(&self) -> Size {
        Size { width: self.width, height: self.height }
    }
}

thread_local! {
    /// Holds its buffers from one image to the next.
    static RESIZER: RefCell<fir::Resizer> = RefCell::new(fir::Resizer::new());
}

/// Gives back the resizer's buffers of this thread.
pub(crate) fn cool() {
    RESIZER.set(fir::Resizer::new());
}

fn algorithm(filter: Filter) -> fir::ResizeAlg {
    match filter {
        Filter::Nearest => fir::ResizeAlg::Nearest,
        Filter::Bilinear => fir::ResizeAlg::Convolution(fir::FilterType::Bilinear),
        Filter::Bicubic => fir::ResizeAlg::Convolution(fir::FilterType::CatmullRom),
        Filter::Lanczos3 => fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3),
    }
}

/// The size that `fit` gives an image of `from` within `to`.
fn fitted(from: Size, to: Size, fit: Fit) -> Size {
    match fit {
        Fit::Stretch | Fit::Cover => to,
        Fit::Contain => {
            let scale =
                (f64::from(to.width) / f64::from(from.width)).min(f64::from(to.height) / f64::from(from.height));
            Size {
                width: ((f64::from(from.width) * scale).round() as u32).clamp(1, to.width),
                height: ((f64::from(from.height) * scale).round() as u32).clamp(1, to.height),
            }
        }
    }
}

/// Another number of pixels.
///
/// # Errors
/// A side of `to` is 0 or above 65,535.
pub fn resize(pixels: &Pixels, to: Size, fit: Fit, filter: Filter) -> Result<Pixels, MediaError> {
    if to.width == 0 || to.height == 0 || to.width > 65_535 || to.height > 65_535 {
        return Err(MediaError::Invalid(format!("a size of {} x {}", to.width, to.height)));
    }
    let to = fitted(pixels.size(), to, fit);
    if to == pixels.size() {
        return Ok(pixels.clone());
    }
    let mut options = fir::ResizeOptions::new().resize_alg(algorithm(filter)).use_alpha(false);
    if fit == Fit::Cover {
        options = options.fit_into_destination(Some((0.5, 0.5)));
    }
    let rgb = scaled(&pixels.rgb, pixels.size(), to, &options)?;
    Pixels::new(to.width, to.height, rgb)
}

/// Also for pixels that are not an image of ours yet: not upright, not in sRGB.
pub(crate) fn scaled(rgb: &[u8], from: Size, to: Size, options: &fir::ResizeOptions) -> Result<Arc<[u8]>, MediaError> {
    let invalid = |error: &dyn std::fmt::Display| MediaError::Invalid(format!("cannot resize: {error}"));
    let source = TypedImageRef::<U8x3>::from_buffer(from.width, from.height, rgb).map_err(|error| invalid(&error))?;
    let out = Arc::<[u8]>::new_zeroed_slice(to.width as usize * to.height as usize * 3);
    // SAFETY: all bits zero is the number 0.
    let mut out = unsafe { out.assume_init() };
    let pixels = Arc::make_mut(&mut out);
    let mut target = TypedImage::<U8x3>::from_buffer(to.width, to.height, pixels).map_err(|error| invalid(&error))?;
    RESIZER
        .with_borrow_mut(|resizer| resizer.resize_typed(&source, &mut target, options))
        .map_err(|error| invalid(&error))?;
    drop(target);
    Ok(out)
}

/// The part within `area`, in whole pixels, at least one.
pub fn crop(pixels: &Pixels, area: Rect) -> Result<Pixels, MediaError> {
    if ![area.x, area.y, area.width, area.height].iter().all(|value| value.is_finite()) {
        return Err(MediaError::Invalid("an area that is not finite".into()));
    }
    let edge = |at: f32, side: u32| ((at.clamp(0.0, 1.0) * side as f32).round() as u32).min(side);
    let left = edge(area.x, pixels.width).min(pixels.width - 1);
    let top = edge(area.y, pixels.height).min(pixels.height - 1);
    let right = edge(area.x + area.width, pixels.width).max(left + 1);
    let bottom = edge(area.y + area.height, pixels.height).max(top + 1);
    let mut rgb = Vec::with_capacity((right - left) as usize * (bottom - top) as usize * 3);
    for y in top..bottom {
        let row = (y as usize * pixels.width as usize) * 3;
        rgb.extend_from_slice(&pixels.rgb[row + left as usize * 3..row + right as usize * 3]);
    }
    Pixels::new(right - left, bottom - top, rgb)
}

/// Each output pixel (x, y) is the source at (m0 x + m1 y + m2, m3 x + m4 y + m5), bilinear; black outside.
pub fn warp(pixels: &Pixels, matrix: [f32; 6], to: Size) -> Result<Pixels, MediaError> {
    if to.width == 0 || to.height == 0 || to.width > 4096 || to.height > 4096 || !matrix.iter().all(|m| m.is_finite()) {
        return Err(MediaError::Invalid(format!("a warp to {} x {}", to.width, to.height)));
    }
    let mut rgb = Vec::with_capacity(to.width as usize * to.height as usize * 3);
    let [m0, m1, m2, m3, m4, m5] = matrix;
    for y in 0..to.height {
        for x in 0..to.width {
            let (x, y) = (x as f32, y as f32);
            rgb.extend(sample(pixels, m0 * x + m1 * y + m2, m3 * x + m4 * y + m5));
        }
    }
    Pixels::new(to.width, to.height, rgb)
}

fn sample(pixels: &Pixels, x: f32, y: f32) -> [u8; 3] {
    let (left, top) = (x.floor(), y.floor());
    let (right_share, bottom_share) = (x - left, y - top);
    let mut sum = [0.0_f32; 3];
    for (dx, dy, share) in [
        (0.0, 0.0, (1.0 - right_share) * (1.0 - bottom_share)),
        (1.0, 0.0, right_share * (1.0 - bottom_share)),
        (0.0, 1.0, (1.0 - right_share) * bottom_share),
        (1.0, 1.0, right_share * bottom_share),
    ] {
        let (x, y) = (left + dx, top + dy);
        if x >= 0.0 && y >= 0.0 && x < pixels.width as f32 && y < pixels.height as f32 {
            let at = (y as usize * pixels.width as usize + x as usize) * 3;
            for (sum, value) in sum.iter_mut().zip(&pixels.rgb[at..at + 3]) {
                *sum += share * f32::from(*value);
            }
        }
    }
    sum.map(|value| (value + 0.5) as u8)
}

/// The image as numbers, written once into the memory that is shared from then on.
pub fn tensor(pixels: &Pixels, options: &TensorOptions) -> Result<Arc<[f32]>, MediaError> {
    let values = Arc::<[f32]>::new_zeroed_slice(pixels.width as usize * pixels.height as usize * 3);
    // SAFETY: all bits zero is the number 0.0.
    let mut values = unsafe { values.assume_init() };
    fill_tensor(pixels, options, Arc::make_mut(&mut values))?;
    Ok(values)
}

/// Writes one image of a batch. `out` holds `3 * width * height` values.
pub fn fill_tensor(pixels: &Pixels, options: &TensorOptions, out: &mut [f32]) -> Result<(), MediaError> {
    let plane = pixels.width as usize * pixels.height as usize;
    if out.len() != plane * 3 {
        return Err(MediaError::Invalid(format!("{} values for an image of {plane} pixels", out.len())));
    }
    for channel in 0..3 {
        let from = if options.channels == Channels::Bgr { 2 - channel } else { channel };
        let (mean, scale) = (options.mean[channel], options.scale[channel]);
        let values = pixels.rgb.as_chunks::<3>().0.iter().map(|pixel| (f32::from(pixel[from]) - mean) * scale);
        match options.layout {
            Layout::Nchw => {
                out[channel * plane..][..plane].iter_mut().zip(values).for_each(|(out, value)| *out = value)
            }
            Layout::Nhwc => {
                out[channel..].iter_mut().step_by(3).zip(values).for_each(|(out, value)| *out = value);
            }
        }
    }
    Ok(())
}
