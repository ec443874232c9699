//! What the operator and the models' manifests say of the work.

use serde::Deserialize;

/// The operator's settings; what is absent is left to the model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Settings {
    /// Longer side of the picture that the detector sees, in pixels.
    pub long_side: Option<u32>,
    /// How sure the detector has to be, 0 to 1.
    pub score: Option<f32>,
    /// Smallest face: its longer side as a fraction of the picture's.
    pub min_size: f32,
    /// Faces of one picture at most.
    pub max_faces: u32,
    /// Cosine similarity from which two faces are one person's.
    pub same_person: Option<f32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { long_side: None, score: None, min_size: 0.01, max_faces: 200, same_person: None }
    }
}

/// A detector's manifest. Unknown keys belong to somebody else.
#[derive(Deserialize)]
#[serde(default)]
pub struct Detector {
    /// How its tensors are read.
    pub kind: String,
    /// Subtracted from each channel of 0 to 255.
    pub mean: Channels,
    /// Multiplied after that.
    pub scale: Channels,
    #[serde(alias = "long-side")]
    pub long_side: u32,
    /// Both sides are multiples of this.
    pub multiple: u32,
    /// Pixels of the input for one cell of the maps.
    pub stride: u32,
    pub threshold: f32,
    /// Boxes that overlap by more than this are one face.
    pub nms: f32,
    pub heatmap: Option<String>,
    pub size: Option<String>,
    pub offset: Option<String>,
    pub landmarks: Option<String>,
    /// The same four names in a table of their own.
    pub outputs: Names,
}

/// Names of a detector's outputs.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Names {
    pub heatmap: Option<String>,
    pub size: Option<String>,
    pub offset: Option<String>,
    pub landmarks: Option<String>,
}

impl Default for Detector {
    fn default() -> Self {
        Self {
            kind: "centerface".into(),
            mean: Channels::All(0.0),
            scale: Channels::All(1.0),
            long_side: 1024,
            multiple: 32,
            stride: 4,
            threshold: 0.5,
            nms: 0.3,
            heatmap: None,
            size: None,
            offset: None,
            landmarks: None,
            outputs: Names::default(),
        }
    }
}

/// An embedder's manifest.
#[derive(Deserialize)]
#[serde(default)]
pub struct Embedder {
    /// Side of the aligned face, in pixels.
    pub size: u32,
    pub mean: Channels,
    pub scale: Channels,
    /// Where the five landmarks go in the aligned face, in pixels; ArcFace's where it does not say.
    #[serde(alias = "landmarks")]
    pub template: Option<[[f32; 2]; 5]>,
    /// Length of a vector, where the model's output does not say.
    pub dimensions: Option<u32>,
    pub output: Option<String>,
    #[serde(alias = "same-person", alias = "same_person")]
    pub same: f32,
    /// Vectors are compared by this.
    pub distance: String,
}

impl Default for Embedder {
    fn default() -> Self {
        Self {
            size: 112,
            mean: Channels::All(127.0),
            scale: Channels::All(1.0 / 128.0),
            template: None,
            dimensions: None,
            output: None,
            same: 0.38,
            distance: "cosine".into(),
        }
    }
}

/// One number for all channels, or one for each of red, green and blue.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
pub enum Channels {
    All(f32),
    Each([f32; 3]),
}

impl Channels {
    /// Red, green, blue.
    pub fn each(self) -> [f32; 3] {
        match self {
            Self::All(value) => [value; 3],
            Self::Each(values) => values,
        }
    }
}
