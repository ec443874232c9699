//! What can go wrong, in words for the one who must act.

use std::path::PathBuf;

/// An error of this room.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// Nobody described such a model.
    #[error("no model is called \"{name}\"; known are: {known}")]
    UnknownModel { name: String, known: String },

    /// A file of the model is in none of the folders, and was not or could not be fetched.
    #[error("model \"{model}\" is not here: {file} is in none of {folders}. {advice}")]
    Missing { model: String, file: String, folders: String, advice: String },

    /// A file is not what the manifest says it is.
    #[error(
        "model \"{model}\": {} has SHA-256 {found}, its manifest says {expected}: not used. Delete it, then `latent model pull {model}`",
        path.display()
    )]
    Corrupt { model: String, path: PathBuf, expected: String, found: String },

    /// The download did not succeed from any source.
    #[error("model \"{model}\": cannot fetch {file}: {reasons}")]
    Fetch { model: String, file: String, reasons: String },

    /// A manifest cannot be read.
    #[error("model manifest {origin}: {reason}")]
    Manifest { origin: String, reason: String },

    /// The graph is not what the manifest describes, or uses what this room does not know.
    #[error("model \"{model}\" does not match its manifest: {reason}")]
    Mismatch { model: String, reason: String },

    /// The caller gave a model something that it does not take.
    #[error("model \"{model}\": {reason}")]
    Input { model: String, reason: String },

    /// A tensor whose numbers do not fill its shape.
    #[error("a tensor of shape {shape:?} cannot hold {len} values")]
    Shape { shape: Vec<u32>, len: usize },

    /// ONNX Runtime itself could not be loaded.
    #[error(
        "cannot load ONNX Runtime from {}: {reason}. `cargo xtask build` fetches it; inference.library points to another",
        path.display()
    )]
    Library { path: PathBuf, reason: String },

    /// ONNX Runtime refused the model or failed while it ran.
    #[error("model \"{model}\" failed to {action}: {reason}")]
    Onnx { model: String, action: &'static str, reason: String },

    /// A file could not be read or written.
    #[error("model \"{model}\": cannot {action} {}: {source}", path.display())]
    Io { model: String, action: &'static str, path: PathBuf, source: std::io::Error },

    /// The model has no such file.
    #[error("model \"{model}\" has no asset \"{name}\"; it has: {known}")]
    UnknownAsset { model: String, name: String, known: String },

    /// The work was cut off because the process is stopping.
    #[error("model \"{model}\": the server is stopping")]
    Stopping { model: String },
}
