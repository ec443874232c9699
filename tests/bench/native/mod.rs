//! What the host is to a guest, without a guest: the interfaces of wit/, and behind them the host's own functions called
//! directly. The plugins' own source, and that of their SDK, is compiled against this too, so that a native twin is the same
//! work. Every list that would cross into or out of a guest's memory is counted on the way.

pub mod image;
pub mod inference;
pub mod log;
pub mod tally;
pub mod tensor;

pub use types::{Rect, Size};

/// `types.error`.
#[derive(Debug)]
pub enum Error {
    Denied(String),
    NotFound(String),
    Invalid(String),
    Unsupported(String),
    Other(String),
}

/// `types.dtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    Uint8,
    Float16,
    Float32,
    Int64,
}

/// The guests' result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Denied(text)
        | Self::NotFound(text)
        | Self::Invalid(text)
        | Self::Unsupported(text)
        | Self::Other(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for Error {}

impl Error {
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

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
            Self::Invalid(text) => Self::Invalid(add(text)),
            Self::Unsupported(text) => Self::Unsupported(add(text)),
            Self::Other(text) => Self::Other(add(text)),
        }
    }
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}
