//! The worlds that are known: what a plugin of each may import, must export and can be called for.

use std::collections::BTreeSet;
use std::time::Duration;

use wasmtime::component::{Component, InstancePre};
use wasmtime::{Engine, Store};

use crate::bindings::embedder::{Embedder, EmbedderPre};
use crate::bindings::face_detector::{FaceDetector, FaceDetectorPre};
use crate::bindings::lent::latent::plugin::types::Error;
use crate::bindings::storage::{Storage, StoragePre};
use crate::bindings::transcoder::{Transcoder, TranscoderPre};
use crate::grant::{Bounds, Grant};
use crate::instance::HostState;
use crate::manifest::Manifest;
use crate::{HostError, capabilities};

/// A world.
pub struct World {
    name: &'static str,
    kind: Kind,
    /// Interfaces that it may import; none but these are linked.
    imports: &'static [&'static str],
    exports: &'static [&'static str],
    /// Functions that are called, each with numbers and a circuit breaker of its own.
    pub calls: &'static [&'static str],
    /// What a plugin gets that asks for nothing, and gets at most where the operator says nothing.
    pub usual: Bounds,
    /// What an operator can give at most.
    pub most: Bounds,
}

#[derive(Clone, Copy)]
enum Kind {
    Storage,
    Faces,
    Embedder,
    Transcoder,
}

const ON_IMAGES: &[&str] = &["types", "log", "config", "blob", "image", "tensor", "inference"];

const MOST: Bounds =
    Bounds { memory: 1 << 30, host_memory: 4 << 30, deadline: Duration::from_secs(600), concurrency: 64, kv: 64 << 20 };

/// Images are large, and a model may take a second a batch.
const IMAGES: Bounds =
    Bounds { memory: 64 << 20, host_memory: 256 << 20, deadline: Duration::from_secs(60), concurrency: 4, kv: KV };

/// A large file takes minutes to a slow disk; an upload more at once does not hurt.
const STORAGE: Bounds =
    Bounds { memory: 32 << 20, host_memory: 64 << 20, deadline: Duration::from_secs(300), concurrency: 16, kv: KV };

/// A film takes an hour from a home to a service. A transfer that stands still ends much earlier.
const ELSEWHERE: Bounds = Bounds { deadline: Duration::from_secs(3_600), host_memory: 128 << 20, ..STORAGE };

const KV: u64 = 1 << 20;

const STORAGE_CALLS: &[&str] = &[
    "init",
    "storage.put",
    "storage.find",
    "storage.get",
    "storage.head",
    "storage.delete",
    "storage.relocate",
    "storage.list",
    "storage.presign",
    "storage.marker",
    "storage.mark",
    "storage.check",
    "storage.usage",
];

/// A plan is a few decisions.
const PLANS: Bounds =
    Bounds { memory: 16 << 20, host_memory: 1 << 20, deadline: Duration::from_secs(5), concurrency: 4, kv: 0 };

const WORLDS: &[World] = &[
    World {
        name: "local-storage",
        kind: Kind::Storage,
        imports: &["types", "log", "config", "blob", "files"],
        exports: &["lifecycle", "storage"],
        calls: STORAGE_CALLS,
        usual: STORAGE,
        most: MOST,
    },
    World {
        name: "remote-storage",
        kind: Kind::Storage,
        imports: &["types", "log", "config", "blob", "blob-write", "kv", "http", "secrets"],
        exports: &["lifecycle", "storage"],
        calls: STORAGE_CALLS,
        usual: ELSEWHERE,
        most: Bounds { deadline: Duration::from_secs(24 * 3_600), ..MOST },
    },
    World {
        name: "face-detector",
        kind: Kind::Faces,
        imports: ON_IMAGES,
        exports: &["lifecycle", "face-detection"],
        calls: &["init", "face-detection.describe", "face-detection.detect"],
        usual: IMAGES,
        most: MOST,
    },
    World {
        name: "embedder",
        kind: Kind::Embedder,
        imports: ON_IMAGES,
        exports: &["lifecycle", "embedding"],
        calls: &["init", "embedding.describe", "embedding.embed-images", "embedding.embed-texts"],
        usual: IMAGES,
        most: MOST,
    },
    World {
        name: "transcoder",
        kind: Kind::Transcoder,
        imports: &["types", "log", "config", "media"],
        exports: &["lifecycle", "transcoding"],
        calls: &["init", "transcoding.plan"],
        usual: PLANS,
        most: MOST,
    },
];

/// A component that is ready to be instantiated.
pub enum Ready {
    Storage(StoragePre<HostState>),
    Faces(FaceDetectorPre<HostState>),
    Embedder(EmbedderPre<HostState>),
    Transcoder(TranscoderPre<HostState>),
}

/// The exports of an instance.
pub enum Exports {
    Storage(Box<Storage>),
    Faces(FaceDetector),
    Embedder(Embedder),
    Transcoder(Transcoder),
}

impl World {
    /// The world that a manifest names.
    pub fn of(manifest: &Manifest) -> Result<&'static Self, HostError> {
        let named = manifest.world_name().and_then(|name| WORLDS.iter().find(|world| world.name == name));
        named.ok_or_else(|| {
            let known: Vec<String> = WORLDS.iter().map(|world| format!("latent:plugin/{}@0.1.0", world.name)).collect();
            HostError::Manifest(format!("the world {:?} is unknown; known are {}", manifest.world, known.join(", ")))
        })
    }

    /// May a plugin of this world import the interface?
    pub fn imports(&self, interface: &str) -> bool {
        self.imports.contains(&interface)
    }

    /// Are bytes all that it deals with?
    pub fn stores(&self) -> bool {
        matches!(self.kind, Kind::Storage)
    }

    /// Where the settings of such a plugin stand.
    pub fn section(&self, id: &str) -> String {
        match self.stores() {
            true => "[storage.backend.<name>]".to_owned(),
            false => format!("[plugins.{id:?}]"),
        }
    }

    /// Refuses what the component imports beyond its world or its grant, and what its world promises but it does not export.
    pub fn check(
        &self,
        engine: &Engine,
        component: &Component,
        manifest: &Manifest,
        grant: &Grant,
    ) -> Result<(), HostError> {
        let id = || manifest.id.clone();
        let kind = component.component_type();
        for (import, _) in kind.imports(engine) {
            let ours = import.strip_prefix("latent:plugin/").and_then(|rest| rest.strip_suffix("@0.1.0"));
            let Some(interface) = ours else {
                return Err(HostError::ForeignImport { id: id(), import: import.to_owned() });
            };
            if !self.imports(interface) {
                let world = manifest.world.clone();
                return Err(HostError::OutsideWorld { id: id(), import: import.to_owned(), world });
            }
            if let Some(how) = self.missing(interface, manifest, grant) {
                return Err(HostError::NotGranted { id: id(), what: import.to_owned(), how });
            }
        }
        let exports: BTreeSet<String> = kind.exports(engine).map(|(name, _)| name.to_owned()).collect();
        for interface in self.exports {
            let name = format!("latent:plugin/{interface}@0.1.0");
            if !exports.contains(&name) {
                let why = format!("it does not export {name}");
                return Err(HostError::Lies { id: id(), world: manifest.world.clone(), why });
            }
        }
        Ok(())
    }

    /// What an author or an operator has to write so that the interface is granted; `None`: it is.
    fn missing(&self, interface: &str, manifest: &Manifest, grant: &Grant) -> Option<String> {
        let (asked, section) = (&manifest.requests, self.section(&manifest.id));
        let unasked = |line: &str| Some(format!("its manifest does not ask for it: [requests] {line}"));
        match interface {
            "files" if grant.files.is_some() => None,
            "files" if asked.files => Some("give it a folder: `files` of its storage backend".into()),
            "files" => unasked("files = true"),
            "http" if !grant.http.is_empty() => None,
            "http" if asked.http.is_empty() => unasked("http = [\"https://api.example.org\"]"),
            "http" => {
                let all: Vec<String> = asked.http.iter().map(|pattern| format!("{:?}", pattern.to_string())).collect();
                Some(format!(
                    "it asks for {}. Write into the settings: {section} http = [\"https://...\"]",
                    all.join(", ")
                ))
            }
            "secrets" if !grant.secrets.is_empty() => None,
            "secrets" if asked.secrets.is_empty() => unasked("secrets = [\"key\"]"),
            "secrets" => {
                let name = &asked.secrets[0];
                Some(format!(
                    "it asks for {}. Write into the settings: {section} secrets.{name} = {{ env = \"...\", origin = \"https://...\" }}",
                    asked.secrets.join(", ")
                ))
            }
            "kv" if grant.kv == 0 => unasked("kv = \"1MiB\""),
            _ => None,
        }
    }

    /// Links what the world lends and the plugin was granted.
    pub fn link(
        &self,
        engine: &Engine,
        component: &Component,
        manifest: &Manifest,
        grant: &Grant,
    ) -> wasmtime::Result<Ready> {
        let granted: Vec<&str> =
            self.imports.iter().copied().filter(|name| self.missing(name, manifest, grant).is_none()).collect();
        let pre: InstancePre<HostState> = capabilities::linker(engine, &granted)?.instantiate_pre(component)?;
        Ok(match self.kind {
            Kind::Storage => Ready::Storage(StoragePre::new(pre)?),
            Kind::Faces => Ready::Faces(FaceDetectorPre::new(pre)?),
            Kind::Embedder => Ready::Embedder(EmbedderPre::new(pre)?),
            Kind::Transcoder => Ready::Transcoder(TranscoderPre::new(pre)?),
        })
    }
}

impl Ready {
    pub async fn instantiate(&self, store: &mut Store<HostState>) -> wasmtime::Result<Exports> {
        Ok(match self {
            Self::Storage(pre) => Exports::Storage(Box::new(pre.instantiate_async(store).await?)),
            Self::Faces(pre) => Exports::Faces(pre.instantiate_async(store).await?),
            Self::Embedder(pre) => Exports::Embedder(pre.instantiate_async(store).await?),
            Self::Transcoder(pre) => Exports::Transcoder(pre.instantiate_async(store).await?),
        })
    }
}

impl Exports {
    pub async fn init(&self, store: &mut Store<HostState>) -> wasmtime::Result<Result<(), Error>> {
        match self {
            Self::Storage(exports) => exports.latent_plugin_lifecycle().call_init(store).await,
            Self::Faces(exports) => exports.latent_plugin_lifecycle().call_init(store).await,
            Self::Embedder(exports) => exports.latent_plugin_lifecycle().call_init(store).await,
            Self::Transcoder(exports) => exports.latent_plugin_lifecycle().call_init(store).await,
        }
    }

    pub fn storage(&self) -> wasmtime::Result<&crate::bindings::storage::exports::latent::plugin::storage::Guest> {
        match self {
            Self::Storage(exports) => Ok(exports.latent_plugin_storage()),
            _ => wasmtime::bail!("this plugin stores nothing"),
        }
    }

    pub fn faces(
        &self,
    ) -> wasmtime::Result<&crate::bindings::face_detector::exports::latent::plugin::face_detection::Guest> {
        match self {
            Self::Faces(exports) => Ok(exports.latent_plugin_face_detection()),
            _ => wasmtime::bail!("this plugin finds no faces"),
        }
    }

    pub fn embedding(&self) -> wasmtime::Result<&crate::bindings::embedder::exports::latent::plugin::embedding::Guest> {
        match self {
            Self::Embedder(exports) => Ok(exports.latent_plugin_embedding()),
            _ => wasmtime::bail!("this plugin embeds nothing"),
        }
    }
    pub fn transcoding(
        &self,
    ) -> wasmtime::Result<&crate::bindings::transcoder::exports::latent::plugin::transcoding::Guest> {
        match self {
            Self::Transcoder(exports) => Ok(exports.latent_plugin_transcoding()),
            _ => wasmtime::bail!("this plugin plans nothing"),
        }
    }
}
