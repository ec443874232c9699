//! What the operator and the models' manifests say of the work.

use serde::Deserialize;

/// The operator's settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What a search text is put into, `{}` for the text.
    pub prompt: Option<String>,
    /// BCP 47 tags.
    pub languages: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { prompt: None, languages: vec!["en".into()] }
    }
}

/// The picture model's manifest. Unknown keys belong to somebody else.
#[derive(Deserialize)]
#[serde(default)]
pub struct ImageModel {
    /// Both sides of what the model sees, in pixels.
    pub size: u32,
    /// The shorter side is scaled to this before the middle is cut out; `size` where absent.
    #[serde(alias = "short-side")]
    pub short_side: Option<u32>,
    pub filter: Filter,
    pub mean: Channels,
    pub scale: Channels,
    pub channels: Order,
    pub layout: Layout,
    pub crop: Crop,
    pub input: Option<String>,
    pub output: Option<String>,
    /// Length of a vector, where the model's output does not say.
    pub dimensions: Option<u32>,
}

impl Default for ImageModel {
    fn default() -> Self {
        // CLIP's own.
        Self {
            size: 224,
            short_side: None,
            filter: Filter::Bicubic,
            mean: Channels::Each([122.770_94, 116.746_01, 104.093_74]),
            scale: Channels::Each([0.014_598_426, 0.015_007_768, 0.014_220_065]),
            channels: Order::Rgb,
            layout: Layout::Nchw,
            crop: Crop::Centre,
            input: None,
            output: None,
            dimensions: None,
        }
    }
}

/// The text model's manifest.
#[derive(Deserialize)]
#[serde(default)]
pub struct TextModel {
    /// The asset that holds the vocabulary.
    pub vocabulary: String,
    /// Tokens at most, start and end included.
    pub context: Option<u32>,
    /// Whether shorter texts are filled up to `context`; CLIP's are, where this is absent.
    #[serde(alias = "pad-to-context")]
    pub pad_to_context: Option<bool>,
    /// The token that shorter texts are filled up with.
    pub pad: Option<u32>,
    pub input: Option<String>,
    pub mask: Option<String>,
    /// The names of both inputs in a table of their own.
    pub inputs: Inputs,
    pub output: Option<String>,
    pub dimensions: Option<u32>,
    /// What a search text is put into, `{}` for the text.
    pub prompt: Option<String>,
}

impl Default for TextModel {
    fn default() -> Self {
        Self {
            vocabulary: "tokenizer.json".into(),
            context: None,
            pad_to_context: None,
            pad: None,
            input: None,
            mask: None,
            inputs: Inputs::default(),
            output: None,
            dimensions: None,
            prompt: None,
        }
    }
}

/// Names of a text model's inputs.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Inputs {
    pub ids: Option<String>,
    pub mask: Option<String>,
}

/// How pictures are made smaller.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    Nearest,
    Bilinear,
    Bicubic,
    Lanczos3,
}

/// In which order the planes lie.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    Rgb,
    Bgr,
}

/// Planes, or pixels.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    Nchw,
    Nhwc,
}

/// What is done with a picture that is not square.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crop {
    /// The middle is taken.
    #[serde(alias = "center")]
    Centre,
    /// The whole is squeezed.
    None,
}

/// One number for all channels, or one for each.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
pub enum Channels {
    All(f32),
    Each([f32; 3]),
}

impl Channels {
    /// One for each.
    pub fn each(self) -> (f32, f32, f32) {
        match self {
            Self::All(value) => (value, value, value),
            Self::Each([red, green, blue]) => (red, green, blue),
        }
    }
}
