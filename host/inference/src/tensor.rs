//! Numbers with a shape, shared rather than copied.

use std::sync::Arc;

use half::f16;

use crate::InferenceError;

/// What a tensor's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    U8,
    F16,
    F32,
    I64,
}

impl Dtype {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::F32 => 4,
            Self::I64 => 8,
        }
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::U8 => "u8",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::I64 => "i64",
        })
    }
}

/// The numbers, row by row (the last dimension is contiguous). A clone shares them.
#[derive(Debug, Clone)]
pub enum TensorData {
    F32(Arc<[f32]>),
    F16(Arc<[f16]>),
    I64(Arc<[i64]>),
    U8(Arc<[u8]>),
}

impl TensorData {
    /// Numbers in it.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(data) => data.len(),
            Self::F16(data) => data.len(),
            Self::I64(data) => data.len(),
            Self::U8(data) => data.len(),
        }
    }

    /// No number at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the numbers are.
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F16(_) => Dtype::F16,
            Self::I64(_) => Dtype::I64,
            Self::U8(_) => Dtype::U8,
        }
    }
}

/// Numbers with a shape. A clone shares the numbers.
///
/// Whoever fills the fields directly vouches for the product of `shape` being `data.len()`; the constructors check it, and
/// [`crate::Model::run`] checks it again.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub shape: Vec<u32>,
    pub data: TensorData,
}

impl Tensor {
    /// Fails when the product of `shape` is not the number of values.
    pub fn new(shape: Vec<u32>, data: TensorData) -> Result<Self, InferenceError> {
        let tensor = Self { shape, data };
        match tensor.fits() {
            true => Ok(tensor),
            false => Err(InferenceError::Shape { shape: tensor.shape, len: tensor.data.len() }),
        }
    }

    /// A tensor of [`Dtype::F32`]. Fails as [`Tensor::new`] does.
    pub fn f32(shape: impl Into<Vec<u32>>, data: impl Into<Arc<[f32]>>) -> Result<Self, InferenceError> {
        Self::new(shape.into(), TensorData::F32(data.into()))
    }

    /// A tensor of [`Dtype::F16`]. Fails as [`Tensor::new`] does.
    pub fn f16(shape: impl Into<Vec<u32>>, data: impl Into<Arc<[f16]>>) -> Result<Self, InferenceError> {
        Self::new(shape.into(), TensorData::F16(data.into()))
    }

    /// A tensor of [`Dtype::I64`]. Fails as [`Tensor::new`] does.
    pub fn i64(shape: impl Into<Vec<u32>>, data: impl Into<Arc<[i64]>>) -> Result<Self, InferenceError> {
        Self::new(shape.into(), TensorData::I64(data.into()))
    }

    /// A tensor of [`Dtype::U8`]. Fails as [`Tensor::new`] does.
    pub fn u8(shape: impl Into<Vec<u32>>, data: impl Into<Arc<[u8]>>) -> Result<Self, InferenceError> {
        Self::new(shape.into(), TensorData::U8(data.into()))
    }

    /// What the numbers are.
    pub fn dtype(&self) -> Dtype {
        self.data.dtype()
    }

    /// Numbers in it.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// No number at all?
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Bytes that the numbers take.
    pub fn bytes(&self) -> usize {
        self.len() * self.dtype().size()
    }

    /// The numbers, where they are [`Dtype::F32`].
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            TensorData::F32(data) => Some(data),
            _ => None,
        }
    }

    /// The numbers, where they are [`Dtype::I64`].
    pub fn as_i64(&self) -> Option<&[i64]> {
        match &self.data {
            TensorData::I64(data) => Some(data),
            _ => None,
        }
    }

    /// The same numbers in another shape of the same size; nothing is copied.
    pub fn reshape(&self, shape: Vec<u32>) -> Result<Self, InferenceError> {
        Self::new(shape, self.data.clone())
    }

    pub(crate) fn fits(&self) -> bool {
        let product = self.shape.iter().try_fold(1_u64, |product, dim| product.checked_mul(u64::from(*dim)));
        product == Some(self.data.len() as u64)
    }
}

/// A named input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub name: String,
    /// 32-bit integers of a model are shown as [`Dtype::I64`] and converted at its door.
    pub dtype: Dtype,
    /// `None`: any size.
    pub shape: Vec<Option<u32>>,
}
