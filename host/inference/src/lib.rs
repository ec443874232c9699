//! ONNX Runtime: tensors in, tensors out. Knows models, not photos.
//!
//! A [`Manifest`] says where a model's files come from and what they must be; [`Inference`] finds, checks and opens them;
//! a [`Model`] is a handle that runs them, and opens them again when they were unloaded while idle.

mod error;
mod fetch;
mod inference;
mod library;
mod manifest;
mod model;
mod session;
mod tensor;
mod weights;

pub use error::InferenceError;
pub use half::f16;
pub use inference::{Inference, InferenceConfig};
pub use manifest::{Limits, Manifest, ModelFile, Source, Tensors};
pub use model::{Model, Turn};
pub use tensor::{Dtype, Port, Tensor, TensorData};
