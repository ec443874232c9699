//! Numbers, and the host's kernels on them.

use std::sync::Arc;

use plugin_host::kernels::{self, Axis};

use super::{Error, Rect, Result, other};

/// Numbers of f32 in a shape.
pub struct Tensor(pub(super) inference::Tensor);

impl Tensor {
    pub(super) fn new(shape: Vec<u32>, values: Arc<[f32]>) -> Result<Self> {
        inference::Tensor::f32(shape, values).map(Self).map_err(other)
    }

    pub fn shape(&self) -> Vec<u32> {
        self.0.shape.clone()
    }

    pub fn reshape(&self, shape: &[u32]) -> Result<Self> {
        self.0.reshape(shape.to_vec()).map(Self).map_err(other)
    }

    pub fn l2_normalize(&self, axis: u32) -> Result<Self> {
        let along = Axis::of(&self.0.shape, axis).ok_or_else(|| Error::invalid("no such axis"))?;
        let mut values: Arc<[f32]> = self.floats()?.into();
        kernels::l2_normalize(Arc::make_mut(&mut values), along);
        Self::new(self.shape(), values)
    }

    pub fn above(&self, min: f32, max: u32) -> Result<Vec<(u32, f32)>> {
        Ok(kernels::above(self.floats()?, min, max as usize))
    }

    pub fn values(&self) -> Result<Vec<f32>> {
        Ok(self.floats()?.to_vec())
    }

    pub fn pick(&self, flat: &[u32]) -> Result<Vec<f32>> {
        let values = self.floats()?;
        let axis = Axis { outer: 1, len: values.len(), inner: 1 };
        match flat.iter().find(|index| **index as usize >= values.len()) {
            Some(index) => Err(Error::Invalid(format!("index {index} of {}", values.len()))),
            None => Ok(kernels::gather(values, axis, flat)),
        }
    }

    fn floats(&self) -> Result<&[f32]> {
        self.0.as_f32().ok_or_else(|| Error::invalid("no f32"))
    }
}

pub fn batch(items: &[Tensor], shape: &[u32]) -> Result<Tensor> {
    let whole = [&[items.len() as u32], shape].concat();
    match items {
        [item] => item.reshape(&whole),
        _ => {
            let parts: Vec<&[f32]> = items.iter().map(Tensor::floats).collect::<Result<_>>()?;
            Tensor::new(whole, parts.concat().into())
        }
    }
}

pub fn nms(boxes: &[Rect], scores: &[f32], iou: f32) -> Vec<usize> {
    let boxes: Vec<kernels::Box> = boxes.iter().map(|rect| [rect.x, rect.y, rect.width, rect.height]).collect();
    kernels::nms(&boxes, scores, iou).into_iter().map(|index| index as usize).collect()
}
