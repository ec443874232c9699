//! The manifest: TOML in one custom section of the component, so that one file installs and one digest names it.

use serde::{Deserialize, Serialize};
use wasmparser::{Parser, Payload};

use crate::http::OriginPattern;
use crate::text::is_name;
use crate::units::{ByteSize, Time};
use crate::{HostError, schema};

/// The name of the custom section.
pub const MANIFEST_SECTION: &str = "latent:manifest";

/// Calls at once that a manifest may ask for.
const MOST_CALLS: usize = 64;

/// What an author says of a plugin, and what it asks for.
#[derive(Debug, Clone, Deserialize, Serialize)]
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
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Requests {
    /// Labels of models.
    pub models: Vec<String>,
    /// To see pixels, not only handles to them.
    pub pixels: bool,
    /// Origins: `https://api.example.org`, `https://*.example.org`, `https://*`, or `*` for any that the operator names.
    pub http: Vec<OriginPattern>,
    /// Names of secrets that it uses in requests and signatures.
    pub secrets: Vec<String>,
    /// Bytes of small state that it keeps: `1MiB`.
    pub kv: Option<ByteSize>,
    /// One directory to write to.
    pub files: bool,
    /// Linear memory: `64MiB`.
    pub memory: Option<ByteSize>,
    /// Bytes that the host holds behind handles: `256MiB`.
    pub host_memory: Option<ByteSize>,
    /// Longest call: `10s`.
    pub deadline: Option<Time>,
    /// Calls at once, 1 to 64.
    pub concurrency: Option<usize>,
}

/// The plugin's own settings.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
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

    /// Compares the operator's settings with the author's schema: a mistyped key is found at the start, by name.
    pub fn check_settings(&self, settings: &serde_json::Map<String, serde_json::Value>) -> Result<(), HostError> {
        let schema = serde_json::to_value(&self.settings.schema)
            .map_err(|error| HostError::Manifest(format!("[settings.schema]: {error}")))?;
        schema::known(&schema, "")
            .map_err(|why| HostError::Manifest(format!("[settings.schema] cannot be used: {why}")))?;
        schema::check(&schema, &settings.clone().into(), "")
            .map_err(|why| HostError::Settings { id: self.id.clone(), why })
    }

    fn parse(text: &str) -> Result<Self, HostError> {
        let manifest: Self = toml::from_str(text).map_err(|error| HostError::Manifest(error.to_string()))?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
        if manifest.id.is_empty() || manifest.id.len() > 128 || !manifest.id.chars().all(fits) {
            let why = format!("the id {:?} is not lower-case letters, digits, dots and hyphens", manifest.id);
            return Err(HostError::Manifest(why));
        }
        manifest.requests.check().map_err(HostError::Manifest)?;
        Ok(manifest)
    }
}

impl Requests {
    fn check(&self) -> Result<(), String> {
        if let Some(calls) = self.concurrency.filter(|calls| !(1..=MOST_CALLS).contains(calls)) {
            return Err(format!("[requests] concurrency = {calls}; it is 1 to {MOST_CALLS}"));
        }
        if let Some(label) = self.models.iter().find(|label| !is_name(label)) {
            return Err(format!("[requests] models: {label:?} is no label"));
        }
        match self.secrets.iter().find(|name| !is_name(name)) {
            Some(name) => Err(format!("[requests] secrets: {name:?} is no name")),
            None => Ok(()),
        }
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
