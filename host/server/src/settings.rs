//! Settings as types. Their text, with the meaning of each, is config/default.toml.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use plugin_host::http::Origin;
use plugin_host::{ByteSize, HttpOrigin, SecretText, Time};
use serde::{Deserialize, Serialize};

/// Everything that an operator may set.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    pub data_dir: PathBuf,
    pub kit: PathBuf,
    pub pipelines: PathBuf,
    pub server: Server,
    pub database: Database,
    pub redis: Redis,
    pub storage: Storage,
    pub media: Media,
    pub video: Video,
    pub workers: Workers,
    /// By the queue's name.
    pub queue: BTreeMap<String, Queue>,
    pub uploads: Uploads,
    pub inference: Inference,
    pub plugin_host: PluginHost,
    /// By the plugin's id.
    pub plugins: BTreeMap<String, Plugin>,
    pub log: Log,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub secure_cookies: bool,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Database {
    pub url: String,
    pub ca: PathBuf,
    pub pool_size: usize,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Redis {
    pub url: String,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Storage {
    pub originals: String,
    pub derivatives: String,
    pub backend: BTreeMap<String, Backend>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Backend {
    /// The name of a file in kit/plugins, without `.wasm`.
    pub plugin: String,
    /// Of a plugin that keeps files.
    #[serde(default)]
    pub files: PathBuf,
    /// Where it may send requests.
    #[serde(default)]
    pub http: Vec<HttpOrigin>,
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
    /// Bytes of small state at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv: Option<ByteSize>,
    /// Linear memory of an instance at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Bytes that the host holds for an instance at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_memory: Option<ByteSize>,
    /// Longest call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Calls at once at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroUsize>,
    /// The plugin's own.
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// A secret of a plugin: from the environment, from a file, or as it stands here. Printed without its value.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Secret {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<SecretText>,
    /// The only one that it goes to.
    pub origin: Origin,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Media {
    pub max_megapixels: u64,
    pub preview: u32,
    pub preview_quality: u8,
    pub thumbnail: u32,
    pub thumbnail_quality: u8,
}

/// ffmpeg and its bounds.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Video {
    pub ffmpeg: PathBuf,
    pub ffprobe: PathBuf,
    /// Transcodes at once.
    pub at_once: usize,
    pub threads: u32,
    pub nice: i32,
    pub memory: ByteSize,
    pub acceleration: Acceleration,
    pub device: PathBuf,
    pub look_limit: Time,
    pub transcode_limit: Time,
    pub seconds_per_second: f64,
    pub scratch: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acceleration {
    None,
    Nvenc,
    Qsv,
    Vaapi,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Workers {
    pub concurrency: usize,
    pub decoding: usize,
    /// Seconds.
    pub takeover: u64,
    /// Seconds.
    pub grace: u64,
}

/// When a queue works, and how many of its jobs at once.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Queue {
    /// Empty: always.
    pub active: String,
    /// Empty: that of this machine.
    pub time_zone: String,
    /// 0: as many as the worker has.
    pub concurrency: usize,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Uploads {
    pub max_size: u64,
    /// Seconds.
    pub lease: u64,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PluginHost {
    pub threads: usize,
    pub cache: PathBuf,
}

/// A plugin that looks at photos. With a file: pinned, and what it is granted. Without: a ceiling for one that is installed by
/// `latent plugin` or in the page.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plugin {
    /// The name of a file in kit/plugins, without `.wasm`, or a path. Empty: not pinned.
    #[serde(default)]
    pub file: PathBuf,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// May it see pixels?
    #[serde(default)]
    pub pixels: bool,
    /// A model for each label that the plugin asks for.
    #[serde(default)]
    pub models: BTreeMap<String, String>,
    /// Where it may send requests.
    #[serde(default)]
    pub http: Vec<HttpOrigin>,
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
    /// Bytes of small state at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv: Option<ByteSize>,
    /// Linear memory of an instance at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Bytes that the host holds for an instance at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_memory: Option<ByteSize>,
    /// Longest call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Calls at once at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroUsize>,
    /// The plugin's own.
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// For one that is not pinned: what may not be approved.
    #[serde(default)]
    pub ceiling: Ceiling,
}

/// What nobody can approve for a plugin, whatever it asks for.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ceiling {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels: Option<bool>,
    /// The only origins that can be approved; those at private addresses have to stand here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Vec<HttpOrigin>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_memory: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroUsize>,
}

impl Plugin {
    /// Does it stand in the settings alone?
    pub fn is_pinned(&self) -> bool {
        !self.file.as_os_str().is_empty()
    }
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Inference {
    pub provider: String,
    pub threads: usize,
    pub parallel: usize,
    /// Seconds.
    pub idle_unload: u64,
    pub manifests: PathBuf,
    pub models: PathBuf,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Log {
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    Text,
    Json,
}
