//! What stands behind a guest's handles. A clone shares the bytes and their charge.

use std::sync::Arc;

use blobs::Blob;
use inference::{Model, Tensor};
use media::Pixels;

use crate::budget::Charge;

/// Bytes. Not charged where the host holds them for itself.
#[derive(Debug, Clone)]
pub struct HeldBlob {
    pub blob: Blob,
    pub charge: Option<Arc<Charge>>,
}

/// Pixels.
#[derive(Debug, Clone)]
pub struct HeldImage {
    pub pixels: Pixels,
    #[expect(dead_code, reason = "held until the last clone goes: dropping it gives the budget back")]
    pub charge: Option<Arc<Charge>>,
}

/// Numbers.
#[derive(Debug, Clone)]
pub struct HeldTensor {
    pub tensor: Tensor,
    /// Made from an image, and no model has run since: a guest reads it only with the grant `pixels`.
    pub opaque: bool,
    #[expect(dead_code, reason = "held until the last clone goes: dropping it gives the budget back")]
    pub charge: Option<Arc<Charge>>,
}

/// A model that the operator bound to a label.
#[derive(Clone)]
pub struct HeldModel(pub Arc<Model>);

impl From<Blob> for HeldBlob {
    fn from(blob: Blob) -> Self {
        Self { blob, charge: None }
    }
}

impl From<Pixels> for HeldImage {
    fn from(pixels: Pixels) -> Self {
        Self { pixels, charge: None }
    }
}
