//! What stands behind a guest's handles. A clone shares the bytes and their charge.

use std::any::Any;
use std::sync::Arc;

use blobs::Blob;
use bytes::{Bytes, BytesMut};
use inference::{Model, Tensor, TensorData};
use media::Pixels;

use crate::budget::Charge;

/// Bytes. Not charged where the host holds them for itself.
#[derive(Debug, Clone)]
pub struct HeldBlob {
    pub blob: Blob,
    #[expect(dead_code, reason = "held until the last clone goes: dropping it gives the budget back")]
    charge: Option<Arc<Charge>>,
    /// One of the files that it may keep open.
    #[expect(dead_code, reason = "held until the last clone goes: dropping it lets another file be opened")]
    file: Option<Arc<Charge>>,
    /// The body of an answer: what a guest reads of it is a message of a protocol and not somebody's photo.
    pub is_answer: bool,
    gone: bool,
}

/// Bytes that a guest puts together.
pub struct HeldWriter {
    pub bytes: BytesMut,
    pub media_type: Option<String>,
    /// Made of an image, in part at least.
    pub from_image: bool,
    pub charge: Option<Arc<Charge>>,
    gone: bool,
}

/// Pixels.
#[derive(Debug, Clone)]
pub struct HeldImage {
    pub pixels: Pixels,
    #[expect(dead_code, reason = "held until the last clone goes: dropping it gives the budget back")]
    charge: Option<Arc<Charge>>,
    gone: bool,
}

/// Numbers.
#[derive(Debug, Clone)]
pub struct HeldTensor {
    pub tensor: Tensor,
    /// Made from an image, and no model has run since: a guest reads it only with the grant `pixels`.
    pub opaque: bool,
    #[expect(dead_code, reason = "held until the last clone goes: dropping it gives the budget back")]
    charge: Option<Arc<Charge>>,
    gone: bool,
}

/// A model that the operator bound to a label.
#[derive(Clone)]
pub struct HeldModel(pub Arc<Model>);

/// What is taken back when a call ends.
pub trait Held: Send + 'static {
    /// Taken back already?
    fn is_gone(&self) -> bool;
}

impl HeldBlob {
    pub fn new(blob: Blob, charge: Option<Arc<Charge>>) -> Self {
        Self { blob, charge, file: None, is_answer: false, gone: false }
    }

    /// The body of an answer, which counts as open for as long as a part of it is held.
    pub fn answer(blob: Blob, open: Arc<Charge>) -> Self {
        Self { blob, charge: None, file: Some(open), is_answer: true, gone: false }
    }

    /// Of a file that counts as open for as long as a part of it is held.
    pub fn file(blob: Blob, file: Arc<Charge>) -> Self {
        Self { blob, charge: None, file: Some(file), is_answer: false, gone: false }
    }

    /// A part, which holds the whole.
    pub fn slice(&self, offset: u64, len: u64) -> Self {
        Self { blob: self.blob.slice(offset, len), ..self.clone() }
    }
}

impl HeldWriter {
    pub fn new(media_type: Option<String>) -> Self {
        Self { bytes: BytesMut::new(), media_type, from_image: false, charge: None, gone: false }
    }
}

impl HeldImage {
    pub fn new(pixels: Pixels, charge: Arc<Charge>) -> Self {
        Self { pixels, charge: Some(charge), gone: false }
    }
}

impl HeldTensor {
    pub fn new(tensor: Tensor, opaque: bool, charge: Arc<Charge>) -> Self {
        Self { tensor, opaque, charge: Some(charge), gone: false }
    }

    /// The same numbers seen otherwise.
    pub fn reshaped(&self, shape: Vec<u32>) -> Self {
        Self { tensor: Tensor { shape, data: self.tensor.data.clone() }, ..self.clone() }
    }
}

impl Held for HeldBlob {
    fn is_gone(&self) -> bool {
        self.gone
    }
}

impl Held for HeldWriter {
    fn is_gone(&self) -> bool {
        self.gone
    }
}

impl Held for HeldImage {
    fn is_gone(&self) -> bool {
        self.gone
    }
}

impl Held for HeldTensor {
    fn is_gone(&self) -> bool {
        self.gone
    }
}

/// Takes back what an entry of the table holds.
pub fn let_go(entry: &mut (dyn Any + Send)) {
    if let Some(held) = entry.downcast_mut::<HeldImage>() {
        let nothing = Pixels { width: 0, height: 0, rgb: Vec::new().into() };
        *held = HeldImage { pixels: nothing, charge: None, gone: true };
    } else if let Some(held) = entry.downcast_mut::<HeldTensor>() {
        let nothing = Tensor { shape: vec![0], data: TensorData::U8(Vec::new().into()) };
        *held = HeldTensor { tensor: nothing, opaque: true, charge: None, gone: true };
    } else if let Some(held) = entry.downcast_mut::<HeldBlob>() {
        let blob = Blob::from_bytes(Bytes::new());
        *held = HeldBlob { blob, charge: None, file: None, is_answer: false, gone: true };
    } else if let Some(held) = entry.downcast_mut::<HeldWriter>() {
        *held = HeldWriter { gone: true, ..HeldWriter::new(None) };
    }
}

impl From<Blob> for HeldBlob {
    fn from(blob: Blob) -> Self {
        Self::new(blob, None)
    }
}

impl From<Pixels> for HeldImage {
    fn from(pixels: Pixels) -> Self {
        Self { pixels, charge: None, gone: false }
    }
}
