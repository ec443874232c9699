//! What a plugin may do: what it asks for, as far as the operator allows it and its world can need it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::HostError;
use crate::manifest::Manifest;
use crate::units::{ByteSize, Time};
use crate::worlds::World;

/// The operator's side: `[plugins."<id>"]` and `[storage.backend.<name>]`.
#[derive(Debug, Clone, Default)]
pub struct OperatorGrant {
    /// The one directory that it may write to.
    pub files: Option<PathBuf>,
    /// A model's name for each label that the manifest asks for.
    pub models: BTreeMap<String, String>,
    /// May it see pixels, not only handles to them?
    pub pixels: bool,
    /// The plugin's own settings.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// What is not set is what its world usually needs.
    pub ceiling: Ceiling,
}

/// What an operator allows at most; a manifest may ask for less.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ceiling {
    /// Linear memory of an instance.
    pub memory: Option<ByteSize>,
    /// Bytes that the host holds behind an instance's handles.
    pub host_memory: Option<ByteSize>,
    /// Longest call.
    pub deadline: Option<Time>,
    /// Calls at once.
    pub concurrency: Option<usize>,
}

/// Numbers of one kind: what a world gives unasked, or what it can be given at most.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub memory: u64,
    pub host_memory: u64,
    pub deadline: Duration,
    pub concurrency: usize,
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
    /// Manifest ∩ operator ∩ world.
    pub fn effective(manifest: &Manifest, operator: &OperatorGrant, world: &World) -> Result<Self, HostError> {
        manifest.check_settings(&operator.settings)?;
        if operator.files.is_some() && !world.imports("files") {
            let id = manifest.id.clone();
            return Err(HostError::StoresNothing { id, world: manifest.world.clone() });
        }
        let (asked, ceiling, id) = (&manifest.requests, &operator.ceiling, &manifest.id);
        let (usual, most) = (&world.usual, &world.most);
        let bytes = |asked: Option<ByteSize>, ceiling: Option<ByteSize>, usual: u64, most: u64| {
            (asked.map_or(usual, |asked| asked.0), ceiling.map_or(usual, |ceiling| ceiling.0).min(most))
        };
        let memory = bytes(asked.memory, ceiling.memory, usual.memory, most.memory);
        let host_memory = bytes(asked.host_memory, ceiling.host_memory, usual.host_memory, most.host_memory);
        let deadline = (
            asked.deadline.map_or(usual.deadline, |asked| asked.0),
            ceiling.deadline.map_or(usual.deadline, |ceiling| ceiling.0).min(most.deadline),
        );
        let concurrency = (
            asked.concurrency.unwrap_or(usual.concurrency),
            ceiling.concurrency.unwrap_or(usual.concurrency).clamp(1, most.concurrency),
        );
        Ok(Self {
            files: operator.files.clone().filter(|_| asked.files),
            pixels: asked.pixels && operator.pixels,
            host_memory: lesser(id, "host-memory", host_memory, |bytes| ByteSize(bytes).to_string()),
            settings: serde_json::Value::Object(operator.settings.clone()).to_string(),
            memory: usize::try_from(lesser(id, "memory", memory, |bytes| ByteSize(bytes).to_string()))
                .unwrap_or(usize::MAX),
            deadline: lesser(id, "deadline", deadline, |time| Time(time).to_string()),
            concurrency: lesser(id, "concurrency", concurrency, |calls| calls.to_string()),
            chunk: 1 << 20,
        })
    }
}

/// What a plugin gets of what it asks for. Says where that is less: a plugin that fails for want of it names no setting.
fn lesser<T: Copy + Ord>(id: &str, what: &str, (asked, allowed): (T, T), text: impl Fn(T) -> String) -> T {
    if asked > allowed {
        let (asked, allowed) = (text(asked), text(allowed));
        tracing::info!(
            plugin = id,
            asked,
            allowed,
            "A plugin gets less {what} than it asks for; [plugins.{id:?}] {what} raises it as far as its world can be given"
        );
    }
    asked.min(allowed)
}
