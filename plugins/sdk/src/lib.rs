//! What a plugin of Latent is written with: implement a trait, export it with a macro, read settings as a type.
//!
//! ```ignore
//! struct Faces { detector: Model }
//! impl latent_plugin::faces::FaceDetector for Faces { /* new, describe, detect */ }
//! latent_plugin::export_face_detector!(Faces);
//! ```
//!
//! Bytes stay outside: [`image::Image`], [`tensor::Tensor`] and [`storage::Blob`] are handles to what the host holds.

#[doc(hidden)]
#[rustfmt::skip]
pub mod bindings;
pub mod blob;
pub mod config;
pub mod embedding;
pub mod faces;
pub mod http;
pub mod image;
pub mod inference;
pub mod kv;
pub mod log;
pub mod names;
pub mod secrets;
pub mod storage;
pub mod tensor;
pub mod transcoding;

#[doc(hidden)]
pub mod instance;

/// What the host and plugins answer when something went wrong; each case says to the caller what to do about it.
pub use bindings::latent::plugin::types::Error;
pub use bindings::latent::plugin::types::{Dtype, Point, Rect, Size};

#[doc(hidden)]
pub use wit_bindgen;

/// The result of nearly everything.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The request makes no sense as it is: [`Error::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// A fault of the plugin or of what it was given: [`Error::Other`].
    pub fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }

    /// The same case, with what was being done in front of its text.
    #[must_use]
    pub fn context(self, doing: &str) -> Self {
        let add = |text: String| format!("{doing}: {text}");
        match self {
            Self::Denied(text) => Self::Denied(add(text)),
            Self::NotFound(text) => Self::NotFound(add(text)),
            Self::Exists(text) => Self::Exists(add(text)),
            Self::Invalid(text) => Self::Invalid(add(text)),
            Self::Unsupported(text) => Self::Unsupported(add(text)),
            Self::Limit(text) => Self::Limit(add(text)),
            Self::Full(text) => Self::Full(add(text)),
            Self::Unavailable(text) => Self::Unavailable(add(text)),
            Self::Other(text) => Self::Other(add(text)),
            Self::Timeout | Self::Cancelled => self,
        }
    }
}
