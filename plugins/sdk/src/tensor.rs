//! Numbers that the host holds, and its kernels for what would be a plugin's hot loops.

use crate::bindings::latent::plugin::tensor;
pub use crate::bindings::latent::plugin::tensor::Tensor;
use crate::{Rect, Result};

impl Tensor {
    /// Every value, row by row. For results, not for pixels: this is the one way by which bytes enter the plugin.
    ///
    /// # Errors
    /// Denied for a tensor that was made from an image and has been through no model.
    pub fn values(&self) -> Result<Vec<f32>> {
        let len = self.shape().iter().product();
        if len == 0 { Ok(Vec::new()) } else { self.read_f32(0, len) }
    }

    /// The values at these flat indices, in their order.
    pub fn pick(&self, flat: &[u32]) -> Result<Vec<f32>> {
        if flat.is_empty() {
            return Ok(Vec::new());
        }
        let len = self.shape().iter().product();
        self.reshape(&[len])?.gather(0, flat)?.values()
    }

    /// No rows of so many columns.
    pub fn no_rows(columns: u32) -> Result<Tensor> {
        Tensor::from_f32(&[0, columns], &[])
    }
}

/// Tensors of one item each as one batch; `shape` is that of an item, without its leading 1.
///
/// # Errors
/// Invalid where the shapes differ.
pub fn batch(items: &[Tensor], shape: &[u32]) -> Result<Tensor> {
    let batch = [&[items.len() as u32], shape].concat();
    match items {
        // Shares the numbers, where a stack would copy them.
        [item] => item.reshape(&batch),
        _ => tensor::stack(&items.iter().collect::<Vec<_>>())?.reshape(&batch),
    }
}

/// Indices of the boxes to keep, best first: of those that overlap by more than `iou`, only the best.
pub fn nms(boxes: &[Rect], scores: &[f32], iou: f32) -> Vec<usize> {
    tensor::nms(boxes, scores, iou).into_iter().map(|index| index as usize).collect()
}
