//! Why bytes did not become pixels, or pixels bytes.

/// What went wrong. Trying the same bytes again never helps.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MediaError {
    #[error("the file is empty")]
    Empty,
    #[error("this is not an image that can be read: {0}")]
    Unsupported(String),
    #[error("the image is damaged: {0}")]
    Damaged(String),
    #[error("the image has {width} x {height} pixels, more than the {limit} million that media.max-megapixels allows")]
    TooLarge { width: u32, height: u32, limit: u64 },
    #[error("the image's file has {0} bytes, more than can be decoded at once")]
    TooLong(u64),
    #[error("decoding the image would take {bytes} bytes, more than the {limit} that it may")]
    TooMuchMemory { bytes: u64, limit: u64 },
    #[error("cannot encode {what}: {why}")]
    Encode { what: &'static str, why: String },
    #[error("not possible: {0}")]
    Invalid(String),
}
