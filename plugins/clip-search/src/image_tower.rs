//! Pictures to vectors.

use latent_plugin::image::{self, Filter, Image, TensorOptions};
use latent_plugin::inference::Model;
use latent_plugin::tensor::{Tensor, batch};
use latent_plugin::{Dtype, Error, Rect, Result, Size};

use crate::settings::{self, Crop, ImageModel, Layout, Order};

/// The open picture model.
pub struct ImageTower {
    model: Model,
    settings: ImageModel,
    input: String,
    output: String,
    /// Length of a vector.
    pub dimensions: u32,
}

impl ImageTower {
    /// The model behind the label `image`.
    pub fn open() -> Result<Self> {
        let model = Model::open("image")?;
        let settings: ImageModel = model.settings()?;
        let output = model.output_name(settings.output.as_deref(), 0)?;
        Ok(Self {
            input: model.input_name(settings.input.as_deref(), 0)?,
            dimensions: dimensions(&model, &output, settings.dimensions)?,
            output,
            settings,
            model,
        })
    }

    /// Changes when the weights change.
    pub fn revision(&self) -> String {
        self.model.revision()
    }

    /// One unit vector a row.
    pub fn embed(&self, images: &[Image]) -> Result<Tensor> {
        if images.is_empty() {
            return Tensor::no_rows(self.dimensions);
        }
        let tensors = images.iter().map(|image| self.tensor(image)).collect::<Result<Vec<_>>>()?;
        let size = self.settings.size;
        let shape = if self.settings.layout == Layout::Nchw { [3, size, size] } else { [size, size, 3] };
        let input = batch(&tensors, &shape)?;
        let vectors = self.model.run(&[(&self.input, &input)])?.take(&self.output)?;
        vectors.reshape(&[images.len() as u32, self.dimensions])?.l2_normalize(1)
    }

    /// The middle is cut out before the picture is made smaller, which gives the same with less work.
    fn tensor(&self, image: &Image) -> Result<Tensor> {
        let settings = &self.settings;
        let to = Size { width: settings.size, height: settings.size };
        let share = settings.size as f32 / settings.short_side.unwrap_or(settings.size).max(settings.size) as f32;
        let small = match settings.crop {
            Crop::Centre => image.crop(middle(image.size(), share))?.stretch(to, filter(settings.filter))?,
            Crop::None => image.stretch(to, filter(settings.filter))?,
        };
        small.to_tensor(TensorOptions {
            layout: if settings.layout == Layout::Nchw { image::Layout::Nchw } else { image::Layout::Nhwc },
            channels: match settings.channels {
                Order::Rgb => image::Channels::Rgb,
                Order::Bgr => image::Channels::Bgr,
            },
            dtype: Dtype::Float32,
            mean: settings.mean.each(),
            scale: settings.scale.each(),
        })
    }
}

/// Length of a vector: what the output says, else what the manifest says.
pub fn dimensions(model: &Model, output: &str, declared: Option<u32>) -> Result<u32> {
    let port = model.outputs().into_iter().find(|port| port.name == output);
    let own = port.and_then(|port| port.shape.last().copied().flatten());
    own.or(declared)
        .ok_or_else(|| Error::invalid(format!("neither the model nor its manifest says how long {output:?} is")))
}

/// The square in the middle whose side is that share of the picture's shorter side, in fractions of the picture.
fn middle(size: Size, share: f32) -> Rect {
    let side = size.width.min(size.height) as f32 * share;
    let (width, height) = (side / size.width.max(1) as f32, side / size.height.max(1) as f32);
    Rect { x: (1.0 - width) / 2.0, y: (1.0 - height) / 2.0, width, height }
}

fn filter(filter: settings::Filter) -> Filter {
    match filter {
        settings::Filter::Nearest => Filter::Nearest,
        settings::Filter::Bilinear => Filter::Bilinear,
        settings::Filter::Bicubic => Filter::Bicubic,
        settings::Filter::Lanczos3 => Filter::Lanczos3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_a_square_of_the_shorter_side() {
        let area = middle(Size { width: 400, height: 200 }, 0.5);
        assert_eq!((area.x, area.y, area.width, area.height), (0.375, 0.25, 0.25, 0.5));
        let area = middle(Size { width: 30, height: 30 }, 1.0);
        assert_eq!((area.x, area.y, area.width, area.height), (0.0, 0.0, 1.0, 1.0));
    }
}
