//! `tensor`: numbers, and the host's kernels on them.

use std::sync::Arc;

use plugin_host::kernels::{self, Axis};

use super::tally::{Kind, count};
use super::{Error, Rect, Result, other};

/// Numbers of f32 in a shape.
pub struct Tensor(pub(super) ::inference::Tensor);

impl Tensor {
    pub(super) fn new(shape: Vec<u32>, values: Arc<[f32]>) -> Result<Self> {
        ::inference::Tensor::f32(shape, values).map(Self).map_err(other)
    }

    /// What the host reads of a tensor that a guest returned: nothing crosses.
    pub fn host_values(&self) -> Result<&[f32]> {
        self.0.as_f32().ok_or_else(|| Error::invalid("no f32"))
    }

    pub fn shape(&self) -> Vec<u32> {
        count(Kind::Shapes, self.0.shape.len(), 4);
        self.0.shape.clone()
    }

    pub fn reshape(&self, shape: &[u32]) -> Result<Self> {
        count(Kind::Shapes, shape.len(), 4);
        self.0.reshape(shape.to_vec()).map(Self).map_err(other)
    }

    pub fn l2_normalize(&self, axis: u32) -> Result<Self> {
        let along = self.along(axis)?;
        let mut values: Arc<[f32]> = self.host_values()?.into();
        kernels::l2_normalize(Arc::make_mut(&mut values), along);
        Self::new(self.0.shape.clone(), values)
    }

    pub fn above(&self, min: f32, max: u32) -> Result<Vec<(u32, f32)>> {
        let found = kernels::above(self.host_values()?, min, max as usize);
        count(Kind::Above, found.len(), 8);
        Ok(found)
    }

    pub fn gather(&self, axis: u32, indices: &[u32]) -> Result<Self> {
        count(Kind::GatherIndices, indices.len(), 4);
        let along = self.along(axis)?;
        if let Some(index) = indices.iter().find(|index| **index as usize >= along.len) {
            return Err(Error::Invalid(format!("index {index} on an axis of {}", along.len)));
        }
        let mut shape = self.0.shape.clone();
        shape[axis as usize] = indices.len() as u32;
        Self::new(shape, kernels::gather(self.host_values()?, along, indices).into())
    }

    pub fn read_f32(&self, offset: u32, len: u32) -> Result<Vec<f32>> {
        count(Kind::ReadF32, len as usize, 4);
        let values = self.host_values()?.get(offset as usize..(offset + len) as usize);
        values.map(<[f32]>::to_vec).ok_or_else(|| Error::invalid("values beyond the end"))
    }

    pub fn from_f32(shape: &[u32], data: &[f32]) -> Result<Self> {
        count(Kind::Shapes, shape.len(), 4);
        Self::new(shape.to_vec(), data.into())
    }

    fn along(&self, axis: u32) -> Result<Axis> {
        Axis::of(&self.0.shape, axis).ok_or_else(|| Error::invalid("no such axis"))
    }
}

/// One behind the other along the first axis.
pub fn stack(parts: &[&Tensor]) -> Result<Tensor> {
    count(Kind::Handles, parts.len(), 4);
    let mut shape = parts.first().ok_or_else(|| Error::invalid("a stack of nothing"))?.0.shape.clone();
    shape[0] = parts.iter().map(|part| part.0.shape[0]).sum();
    let values = parts.iter().map(|part| part.host_values()).collect::<Result<Vec<_>>>()?;
    Tensor::new(shape, values.concat().into())
}

pub fn nms(boxes: &[Rect], scores: &[f32], iou: f32) -> Vec<u32> {
    count(Kind::NmsBoxes, boxes.len(), 16);
    count(Kind::NmsScores, scores.len(), 4);
    let boxes: Vec<kernels::Box> = boxes.iter().map(|rect| [rect.x, rect.y, rect.width, rect.height]).collect();
    let kept = kernels::nms(&boxes, scores, iou);
    count(Kind::NmsKept, kept.len(), 4);
    kept
}
