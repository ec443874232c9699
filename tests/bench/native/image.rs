//! `image`: pixels.

pub use media::{Channels, Filter, Fit, Layout, Pixels};

use super::tensor::Tensor;
use super::{Dtype, Error, Rect, Result, Size, other};

/// A picture.
pub struct Image(pub Pixels);

/// How a picture becomes numbers.
pub struct TensorOptions {
    pub layout: Layout,
    pub channels: Channels,
    pub dtype: Dtype,
    pub mean: (f32, f32, f32),
    pub scale: (f32, f32, f32),
}

impl Image {
    pub fn size(&self) -> Size {
        self.0.size()
    }

    pub fn resize(&self, to: Size, fit: Fit, filter: Filter) -> Result<Self> {
        media::resize(&self.0, to, fit, filter).map(Self).map_err(other)
    }

    pub fn crop(&self, area: Rect) -> Result<Self> {
        media::crop(&self.0, area).map(Self).map_err(other)
    }

    pub fn warp(&self, matrix: (f32, f32, f32, f32, f32, f32), to: Size) -> Result<Self> {
        media::warp(&self.0, matrix.into(), to).map(Self).map_err(other)
    }

    pub fn to_tensor(&self, options: TensorOptions) -> Result<Tensor> {
        let TensorOptions { layout, channels, dtype, mean, scale } = options;
        if dtype != Dtype::Float32 {
            return Err(Error::Unsupported(format!("a twin makes tensors of f32, not of {dtype:?}")));
        }
        let options = media::TensorOptions { layout, channels, mean: mean.into(), scale: scale.into() };
        let values = media::tensor(&self.0, &options).map_err(other)?;
        let (width, height) = (self.0.width, self.0.height);
        let shape = match layout {
            Layout::Nchw => vec![1, 3, height, width],
            Layout::Nhwc => vec![1, height, width, 3],
        };
        Tensor::new(shape, values)
    }
}
