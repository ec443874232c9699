//! Pixels that the host holds: upright, sRGB. None of them enters the plugin.

pub use crate::bindings::latent::plugin::image::{Channels, Filter, Fit, Image, Layout, TensorOptions};
use crate::{Dtype, Rect, Result, Size};

impl TensorOptions {
    /// `value = (pixel - mean) * scale` per channel, RGB planes (NCHW), f32.
    pub fn rgb_planes(mean: [f32; 3], scale: [f32; 3]) -> Self {
        Self {
            layout: Layout::Nchw,
            channels: Channels::Rgb,
            dtype: Dtype::Float32,
            mean: mean.into(),
            scale: scale.into(),
        }
    }
}

impl Image {
    /// To exactly this size, whatever becomes of the proportions.
    pub fn stretch(&self, to: Size, filter: Filter) -> Result<Image> {
        self.resize(to, Fit::Stretch, filter)
    }

    /// The area in pixels that is asked for, as near as whole pixels allow.
    pub fn crop_pixels(&self, left: f32, top: f32, width: f32, height: f32) -> Result<Image> {
        let size = self.size();
        let (across, down) = (size.width as f32, size.height as f32);
        self.crop(Rect { x: left / across, y: top / down, width: width / across, height: height / down })
    }
}
