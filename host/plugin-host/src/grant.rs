//! What a plugin may do: what it asked for, as far as the operator and its world allow it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::manifest::Manifest;

const MEMORY: u64 = 64 << 20;
const HOST_MEMORY: u64 = 256 << 20;
const MOST_HOST_MEMORY: u64 = 4 << 30;
const DEADLINE: Duration = Duration::from_secs(30);
const LONGEST_DEADLINE: Duration = Duration::from_secs(600);
const CONCURRENCY: usize = 4;

/// The operator's side: `[plugins."<id>"]` and `[storage.backend.<name>]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OperatorGrant {
    /// The one directory that it may write to.
    pub files: Option<PathBuf>,
    /// A model's name for each label that the manifest asks for.
    pub models: BTreeMap<String, String>,
    /// May it see pixels, not only handles to them?
    pub pixels: bool,
    /// Bytes that the host holds behind an instance's handles at most; the manifest may ask for less.
    pub host_memory: Option<u64>,
    /// The plugin's own settings.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// Bytes of linear memory at most; the manifest may ask for less.
    pub memory: Option<u64>,
    /// Milliseconds a call at most; the manifest may ask for less.
    pub deadline_ms: Option<u64>,
    /// Calls at once at most; the manifest may ask for fewer.
    pub concurrency: Option<usize>,
}

/// The effective grant: deny by default.
#[derive(Debug, Clone)]
pub struct Grant {
    pub files: Option<PathBuf>,
    pub pixels: bool,
    /// Bytes behind handles.
    pub host_memory: u64,
    /// JSON, as the guest reads it.
    pub settings: String,
    pub memory: usize,
    pub deadline: Duration,
    pub concurrency: usize,
    /// Bytes that one read copies into the guest at most.
    pub chunk: u32,
}

impl Grant {
    /// Manifest ∩ operator.
    pub fn effective(manifest: &Manifest, operator: &OperatorGrant) -> Self {
        let requests = &manifest.requests;
        let memory = requests.memory.unwrap_or(MEMORY).min(operator.memory.unwrap_or(u64::MAX)).min(4 << 30);
        let asked = requests.deadline.unwrap_or(DEADLINE);
        let ceiling = operator.deadline_ms.map_or(LONGEST_DEADLINE, Duration::from_millis);
        Self {
            files: operator.files.clone().filter(|_| requests.files),
            pixels: requests.pixels && operator.pixels,
            host_memory: requests
                .host_memory
                .unwrap_or(HOST_MEMORY)
                .min(operator.host_memory.unwrap_or(MOST_HOST_MEMORY)),
            settings: serde_json::Value::Object(operator.settings.clone()).to_string(),
            memory: usize::try_from(memory).unwrap_or(usize::MAX),
            deadline: asked.min(ceiling),
            concurrency: requests
                .concurrency
                .unwrap_or(CONCURRENCY)
                .min(operator.concurrency.unwrap_or(usize::MAX))
                .max(1),
            chunk: 1 << 20,
        }
    }
}
