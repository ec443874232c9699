//! Pixels.

use media::{Channels, Fit, Layout};
pub use media::{Filter, Pixels};

use super::tensor::Tensor;
use super::{Rect, Result, Size, other};

/// A picture.
pub struct Image(pub Pixels);

/// How a picture becomes numbers.
pub struct TensorOptions(media::TensorOptions);

impl TensorOptions {
    pub fn rgb_planes(mean: [f32; 3], scale: [f32; 3]) -> Self {
        Self(media::TensorOptions { layout: Layout::Nchw, channels: Channels::Rgb, mean, scale })
    }
}

impl Image {
    pub fn size(&self) -> Size {
        self.0.size()
    }

    pub fn stretch(&self, to: Size, filter: Filter) -> Result<Self> {
        media::resize(&self.0, to, Fit::Stretch, filter).map(Self).map_err(other)
    }

    pub fn crop(&self, area: Rect) -> Result<Self> {
        media::crop(&self.0, area).map(Self).map_err(other)
    }

    pub fn warp(&self, matrix: (f32, f32, f32, f32, f32, f32), to: Size) -> Result<Self> {
        media::warp(&self.0, matrix.into(), to).map(Self).map_err(other)
    }

    pub fn to_tensor(&self, options: TensorOptions) -> Result<Tensor> {
        let values = media::tensor(&self.0, &options.0).map_err(other)?;
        Tensor::new(vec![1, 3, self.0.height, self.0.width], values)
    }
}
