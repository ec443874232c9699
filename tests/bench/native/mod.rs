//! What `latent_plugin` is to a guest, without a guest: the same names, and behind them the host's own functions called
//! directly. The source of the face plugin is compiled against this too, so that its native twin is the same work.

pub mod image;
pub mod inference;
pub mod log;
pub mod tensor;

pub use types::{Rect, Size};

/// The guests' error, as far as the face plugin knows it.
#[derive(Debug)]
pub enum Error {
    Invalid(String),
    Unsupported(String),
    Other(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Invalid(text) | Self::Unsupported(text) | Self::Other(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for Error {}

/// The guests' result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    pub fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}
