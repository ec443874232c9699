//! `image`: pixels behind handles.

use blobs::Blob;
use bytes::Bytes;
use inference::{Tensor, TensorData, f16};
use media::{Codec, Fit, Limits, MediaError, Pixels};
use wasmtime::Result;
use wasmtime::component::Resource;

use super::io_error;
use crate::bindings::lent::latent::plugin::image as wit;
use crate::bindings::lent::latent::plugin::types::{Dtype, Error, Rect, Size};
use crate::held::{HeldBlob, HeldImage, HeldTensor};
use crate::instance::{Answer, HostState};

/// Pixels that a plugin's decoder may make of one file.
const MOST_DECODED: u64 = 64_000_000;

/// Bytes of a pixel, encoded: noise grows a little.
const MOST_ENCODED: u64 = 4;
/// Bytes beside the pixels.
const HEADERS: u64 = 64 << 10;

impl wit::Host for HostState {
    async fn decode(&mut self, src: Resource<HeldBlob>, at_most: Option<Size>) -> Answer<Resource<HeldImage>> {
        let blob = self.held(&src)?.blob.clone();
        let room = self.budget.left() / 3;
        let limits = Limits { max_decoded: MOST_DECODED.min(room), ..Limits::default() };
        let work = move || {
            let bytes = blob.read_blocking().map_err(|error| io_error("a blob", &error))?;
            let short = at_most.map(|size| size.width.min(size.height));
            let pixels = media::decode(&bytes, short, &limits).map_err(media_error)?;
            match at_most {
                Some(most) if pixels.width > most.width || pixels.height > most.height => {
                    media::resize(&pixels, size(most), Fit::Contain, media::Filter::Lanczos3).map_err(media_error)
                }
                _ => Ok(pixels),
            }
        };
        match self.work(u64::MAX, work).await? {
            Ok(pixels) => self.hold_pixels(pixels),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl wit::HostImage for HostState {
    async fn size(&mut self, this: Resource<HeldImage>) -> Result<Size> {
        let pixels = &self.held(&this)?.pixels;
        Ok(Size { width: pixels.width, height: pixels.height })
    }

    async fn resize(
        &mut self,
        this: Resource<HeldImage>,
        to: Size,
        fit: wit::Fit,
        filter: wit::Filter,
    ) -> Answer<Resource<HeldImage>> {
        let pixels = self.pixels_of(&this)?;
        let fit = match fit {
            wit::Fit::Stretch => Fit::Stretch,
            wit::Fit::Contain => Fit::Contain,
            wit::Fit::Cover => Fit::Cover,
        };
        let filter = match filter {
            wit::Filter::Nearest => media::Filter::Nearest,
            wit::Filter::Bilinear => media::Filter::Bilinear,
            wit::Filter::Bicubic => media::Filter::Bicubic,
            wit::Filter::Lanczos3 => media::Filter::Lanczos3,
        };
        let cost = area(&pixels).saturating_add(u64::from(to.width) * u64::from(to.height));
        self.make(cost, to, move || media::resize(&pixels, size(to), fit, filter)).await
    }

    async fn crop(&mut self, this: Resource<HeldImage>, area: Rect) -> Answer<Resource<HeldImage>> {
        let pixels = self.pixels_of(&this)?;
        let whole = Size { width: pixels.width, height: pixels.height };
        let part = types::Rect { x: area.x, y: area.y, width: area.width, height: area.height };
        let share = f64::from(area.width.clamp(0.0, 1.0)) * f64::from(area.height.clamp(0.0, 1.0));
        let cost = (f64::from(whole.width) * f64::from(whole.height) * share) as u64;
        match self.work(cost, move || media::crop(&pixels, part)).await? {
            Ok(pixels) => self.hold_pixels(pixels),
            Err(error) => Ok(Err(media_error(error))),
        }
    }

    async fn warp(
        &mut self,
        this: Resource<HeldImage>,
        matrix: (f32, f32, f32, f32, f32, f32),
        to: Size,
    ) -> Answer<Resource<HeldImage>> {
        let pixels = self.pixels_of(&this)?;
        let matrix = <[f32; 6]>::from(matrix);
        let cost = (u64::from(to.width) * u64::from(to.height)).saturating_mul(4);
        self.make(cost, to, move || media::warp(&pixels, matrix, size(to))).await
    }

    async fn to_tensor(
        &mut self,
        this: Resource<HeldImage>,
        options: wit::TensorOptions,
    ) -> Answer<Resource<HeldTensor>> {
        let pixels = self.pixels_of(&this)?;
        let values = area(&pixels) * 3;
        let width = match options.dtype {
            Dtype::Uint8 => 1,
            Dtype::Float16 => 2,
            Dtype::Float32 => 4,
            Dtype::Int64 => {
                return Ok(Err(Error::Unsupported("an image becomes a tensor of uint8, float16 or float32".into())));
            }
        };
        let charge = match self.charge(values * width) {
            Ok(charge) => charge,
            Err(error) => return Ok(Err(error)),
        };
        // Whatever it becomes in the end, it is f32 first.
        let meanwhile = match self.charge(values * 4) {
            Ok(charge) => charge,
            Err(error) => return Ok(Err(error)),
        };
        let made = self.work(values, move || tensor(&pixels, &options)).await?;
        drop(meanwhile);
        match made {
            Ok(tensor) => self.hold(HeldTensor::new(tensor, true, charge)),
            Err(error) => Ok(Err(media_error(error))),
        }
    }

    async fn encode(
        &mut self,
        this: Resource<HeldImage>,
        codec: wit::Codec,
        quality: u8,
    ) -> Answer<Resource<HeldBlob>> {
        let pixels = self.pixels_of(&this)?;
        let (codec, media_type) = match codec {
            wit::Codec::Jpeg => (Codec::Jpeg, "image/jpeg"),
            wit::Codec::Webp => (Codec::Webp, "image/webp"),
            wit::Codec::Png => (Codec::Png, "image/png"),
            wit::Codec::Avif => return Ok(Err(Error::Unsupported("this server does not write AVIF".into()))),
        };
        let cost = area(&pixels) * 8;
        // As much as it can be and not as much as it is, which would tell something of the picture.
        let charge = match self.charge(area(&pixels) * MOST_ENCODED + HEADERS) {
            Ok(charge) => charge,
            Err(error) => return Ok(Err(error)),
        };
        match self.work(cost, move || media::encode(&pixels, codec, quality)).await? {
            Ok(bytes) => {
                let blob = Blob::from_bytes(Bytes::from(bytes)).with_media_type(media_type).mark_from_image();
                self.hold(HeldBlob::new(blob, Some(charge)))
            }
            Err(error) => Ok(Err(media_error(error))),
        }
    }

    async fn read_rgb(&mut self, this: Resource<HeldImage>, area: Rect) -> Answer<Vec<u8>> {
        if let Err(denied) = self.pixels("reading an image") {
            return Ok(Err(denied));
        }
        let pixels = self.pixels_of(&this)?;
        let part = types::Rect { x: area.x, y: area.y, width: area.width, height: area.height };
        let part = match self.work(self::area(&pixels), move || media::crop(&pixels, part)).await? {
            Ok(part) => part,
            Err(error) => return Ok(Err(media_error(error))),
        };
        if part.rgb.len() > self.common.grant.chunk as usize {
            let (len, most) = (part.rgb.len(), self.common.grant.chunk);
            return Ok(Err(Error::Limit(format!("{len} bytes at once; {most} are read at most: take a smaller area"))));
        }
        self.usage.payload += part.rgb.len() as u64;
        Ok(Ok(part.rgb.to_vec()))
    }

    async fn drop(&mut self, this: Resource<HeldImage>) -> Result<()> {
        self.take(this)?;
        Ok(())
    }
}

impl HostState {
    fn pixels_of(&self, image: &Resource<HeldImage>) -> Result<Pixels> {
        Ok(self.held(image)?.pixels.clone())
    }

    fn hold_pixels(&mut self, pixels: Pixels) -> Answer<Resource<HeldImage>> {
        match self.charge(pixels.rgb.len() as u64) {
            Ok(charge) => self.hold(HeldImage::new(pixels, charge)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// An image of at most `to`, for which there is room before it is made.
    async fn make(
        &mut self,
        cost: u64,
        to: Size,
        work: impl FnOnce() -> std::result::Result<Pixels, MediaError> + Send + 'static,
    ) -> Answer<Resource<HeldImage>> {
        let charge = match self.charge((u64::from(to.width) * u64::from(to.height)).saturating_mul(3)) {
            Ok(charge) => charge,
            Err(error) => return Ok(Err(error)),
        };
        match self.work(cost, work).await? {
            Ok(pixels) => self.hold(HeldImage::new(pixels, charge)),
            Err(error) => Ok(Err(media_error(error))),
        }
    }
}

fn size(size: Size) -> types::Size {
    types::Size { width: size.width, height: size.height }
}

fn area(pixels: &Pixels) -> u64 {
    u64::from(pixels.width) * u64::from(pixels.height)
}

fn media_error(error: MediaError) -> Error {
    match error {
        MediaError::Unsupported(text) => Error::Unsupported(text),
        MediaError::TooLarge { .. } => Error::Limit(error.to_string()),
        MediaError::Encode { .. } => Error::Unsupported(error.to_string()),
        other => Error::Invalid(other.to_string()),
    }
}

/// Four axes, the first of size one: batches are stacked.
fn tensor(pixels: &Pixels, options: &wit::TensorOptions) -> std::result::Result<Tensor, MediaError> {
    let layout = match options.layout {
        wit::Layout::Nchw => media::Layout::Nchw,
        wit::Layout::Nhwc => media::Layout::Nhwc,
    };
    let shape = match layout {
        media::Layout::Nchw => vec![1, 3, pixels.height, pixels.width],
        media::Layout::Nhwc => vec![1, pixels.height, pixels.width, 3],
    };
    let channels = match options.channels {
        wit::Channels::Rgb => media::Channels::Rgb,
        wit::Channels::Bgr => media::Channels::Bgr,
    };
    let options_of = media::TensorOptions { layout, channels, mean: options.mean.into(), scale: options.scale.into() };
    let values = media::tensor(pixels, &options_of)?;
    let data = match options.dtype {
        Dtype::Float16 => TensorData::F16(values.iter().map(|value| f16::from_f32(*value)).collect()),
        // Casting saturates, and what is not a number becomes 0.
        Dtype::Uint8 => TensorData::U8(values.iter().map(|value| value.round() as u8).collect()),
        Dtype::Float32 | Dtype::Int64 => TensorData::F32(values),
    };
    Ok(Tensor { shape, data })
}
