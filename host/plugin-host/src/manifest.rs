//! The manifest: TOML in one custom section of the component, so that one file installs and one digest names it.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use wasmparser::{Parser, Payload};

use crate::HostError;

/// The name of the custom section.
pub const MANIFEST_SECTION: &str = "latent:manifest";

/// What an author says of a plugin, and what it asks for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// `org.example.ocr`: lower case, dots, hyphens.
    pub id: String,
    pub version: String,
    /// `latent:plugin/enricher@0.1.0`.
    pub world: String,
    pub title: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub licence: String,
    /// Changes when the same input gives another result: results of an older revision are stale.
    #[serde(default)]
    pub revision: u32,
    #[serde(default)]
    pub requests: Requests,
    #[serde(default)]
    pub settings: Settings,
}

/// What a plugin asks for. What is not named is not asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Requests {
    /// Labels of models.
    pub models: Vec<String>,
    /// To see pixels, not only handles to them.
    pub pixels: bool,
    /// Origins.
    pub http: Vec<String>,
    /// One directory to write to.
    pub files: bool,
    /// Linear memory: `64MiB`.
    #[serde(deserialize_with = "bytes")]
    pub memory: Option<u64>,
    /// Bytes that the host holds behind handles: `256MiB`.
    #[serde(deserialize_with = "bytes")]
    pub host_memory: Option<u64>,
    /// Longest call: `10s`.
    #[serde(deserialize_with = "duration")]
    pub deadline: Option<Duration>,
    /// Calls at once.
    pub concurrency: Option<usize>,
}

/// The plugin's own settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// JSON Schema.
    pub schema: toml::Table,
}

impl Manifest {
    /// `face-detector` of `latent:plugin/face-detector@0.1.0`.
    pub fn world_name(&self) -> Option<&str> {
        self.world.strip_prefix("latent:plugin/")?.strip_suffix("@0.1.0")
    }

    fn parse(text: &str) -> Result<Self, HostError> {
        let manifest: Self = toml::from_str(text).map_err(|error| HostError::Manifest(error.to_string()))?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
        if manifest.id.is_empty() || manifest.id.len() > 128 || !manifest.id.chars().all(fits) {
            let why = format!("the id {:?} is not lower-case letters, digits, dots and hyphens", manifest.id);
            return Err(HostError::Manifest(why));
        }
        Ok(manifest)
    }
}

/// Reads the manifest of a component: its one section, at the outermost level.
pub fn read_manifest(wasm: &[u8]) -> Result<Manifest, HostError> {
    if !Parser::is_component(wasm) {
        let what = if Parser::is_core_wasm(wasm) { "it is a core module" } else { "it has no WebAssembly header" };
        return Err(HostError::NotAComponent(what.into()));
    }
    let mut found: Option<&[u8]> = None;
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(|error| HostError::NotAComponent(error.to_string()))? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section)
                if depth == 0 && section.name() == MANIFEST_SECTION && found.replace(section.data()).is_some() =>
            {
                return Err(HostError::Manifest(format!("there are two sections {MANIFEST_SECTION}")));
            }
            _ => {}
        }
    }
    let bytes = found.ok_or_else(|| HostError::Manifest(format!("there is no section {MANIFEST_SECTION}")))?;
    let text = std::str::from_utf8(bytes).map_err(|_| HostError::Manifest("it is not UTF-8".into()))?;
    Manifest::parse(text)
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let (number, unit) = split(&text);
    let unit = match unit {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(serde::de::Error::custom(format!("{text:?} is no size: write 64MiB"))),
    };
    let number: u64 =
        number.parse().map_err(|_| serde::de::Error::custom(format!("{text:?} is no size: write 64MiB")))?;
    Ok(number.checked_mul(1 << unit))
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let (number, unit) = split(&text);
    let wrong = || serde::de::Error::custom(format!("{text:?} is no duration: write 500ms, 10s or 5m"));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match unit {
        "ms" => Ok(Some(Duration::from_millis(number))),
        "s" => Ok(Some(Duration::from_secs(number))),
        "m" => Ok(Some(Duration::from_secs(number.saturating_mul(60)))),
        _ => Err(wrong()),
    }
}

fn split(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(at)
}
