//! What a plugin may do: what it asks for, as far as the operator allows it and its world can need it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::HostError;
use crate::http::Origin;
use crate::manifest::Manifest;
use crate::secrets::{BoundSecret, Secrets};
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
    /// Where it may send requests.
    pub http: Vec<HttpOrigin>,
    /// By the names that the manifest asks for.
    pub secrets: BTreeMap<String, BoundSecret>,
    /// Where one plugin is used more than once (a storage backend's name): what it keeps is kept apart.
    pub scope: String,
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
    /// Bytes of small state.
    pub kv: Option<ByteSize>,
}

/// An origin that requests may go to. In TOML `"https://s3.example.net"`, or with more to say
/// `{ origin = "http://minio.lan:9000", private = true, ca = "/etc/minio.pem" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOrigin {
    pub origin: Origin,
    /// May it be at an address of this machine or this network?
    pub private: bool,
    /// A PEM file: the certificates that may vouch for it, in place of those that this machine trusts.
    pub ca: Option<PathBuf>,
}

/// Numbers of one kind: what a world gives unasked, or what it can be given at most.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub memory: u64,
    pub host_memory: u64,
    pub deadline: Duration,
    pub concurrency: usize,
    pub kv: u64,
}

/// The effective grant: deny by default.
#[derive(Debug, Clone)]
pub struct Grant {
    pub files: Option<PathBuf>,
    pub pixels: bool,
    pub http: Vec<HttpOrigin>,
    pub secrets: Arc<Secrets>,
    /// Bytes of small state; 0: it keeps none.
    pub kv: u64,
    pub scope: String,
    /// May it send on what it may not look into? Storing is nothing else.
    pub carries: bool,
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
        let secrets = requests_to(manifest, operator, world)?;
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
        // Nothing is kept unasked.
        let kv = asked.kv.map(|_| bytes(asked.kv, ceiling.kv, usual.kv, most.kv));
        Ok(Self {
            http: operator.http.clone(),
            secrets: Arc::new(secrets),
            kv: kv.map_or(0, |kv| lesser(id, "kv", kv, |bytes| ByteSize(bytes).to_string())),
            scope: operator.scope.clone(),
            carries: world.stores(),
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

/// Origins and secrets, compared with what the manifest asks for: a mistake is found at the start, by name.
fn requests_to(manifest: &Manifest, operator: &OperatorGrant, world: &World) -> Result<Secrets, HostError> {
    let (asked, section) = (&manifest.requests, world.section(&manifest.id));
    let wrong = |why: String| HostError::Grant { id: manifest.id.clone(), why };
    for HttpOrigin { origin, .. } in &operator.http {
        if !asked.http.iter().any(|pattern| pattern.fits(origin)) {
            let all: Vec<String> = asked.http.iter().map(ToString::to_string).collect();
            let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            return Err(wrong(format!(
                "{origin} is not among the origins that it asks for: {all}. Take it out of {section} http"
            )));
        }
    }
    for (name, secret) in &operator.secrets {
        if !asked.secrets.contains(name) {
            let all = if asked.secrets.is_empty() { "none".to_owned() } else { asked.secrets.join(", ") };
            return Err(wrong(format!(
                "it has no use for a secret {name:?}; it asks for {all}. Take out {section} secrets.{name}"
            )));
        }
        secret.value.check().map_err(|why| wrong(format!("the secret {name:?}: {why}")))?;
        let origin = &secret.origin;
        if !operator.http.iter().any(|granted| granted.origin == *origin) {
            return Err(wrong(format!(
                "the secret {name:?} is bound to {origin}, which is not granted. Write into {section} http = [\"{origin}\"]"
            )));
        }
    }
    Ok(Secrets::new(operator.secrets.clone()))
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

impl From<Origin> for HttpOrigin {
    fn from(origin: Origin) -> Self {
        Self { origin, private: false, ca: None }
    }
}

impl Serialize for HttpOrigin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.private && self.ca.is_none() {
            return self.origin.serialize(serializer);
        }
        let table = HttpOriginTable { origin: self.origin.clone(), private: self.private, ca: self.ca.clone() };
        table.serialize(serializer)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HttpOriginTable {
    origin: Origin,
    #[serde(default)]
    private: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
}

impl<'de> Deserialize<'de> for HttpOrigin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrTable;
        impl<'de> Visitor<'de> for TextOrTable {
            type Value = HttpOrigin;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an origin, or a table with `origin`, `private` and `ca`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HttpOrigin, E> {
                text.parse::<Origin>().map(HttpOrigin::from).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HttpOrigin, A::Error> {
                let HttpOriginTable { origin, private, ca } =
                    HttpOriginTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(HttpOrigin { origin, private, ca })
            }
        }
        deserializer.deserialize_any(TextOrTable)
    }
}
