//! The worlds that are known: what a plugin of each may import, must export and can be called for.

use std::collections::BTreeSet;
use std::time::Duration;

use wasmtime::component::{Component, InstancePre};
use wasmtime::{Engine, Store};

use crate::bindings::embedder::{Embedder, EmbedderPre};
use crate::bindings::face_detector::{FaceDetector, FaceDetectorPre};
use crate::bindings::lent::latent::plugin::types::Error;
use crate::bindings::local_storage::{LocalStorage, LocalStoragePre};
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
    Bounds { memory: 1 << 30, host_memory: 4 << 30, deadline: Duration::from_secs(600), concurrency: 64 };

/// Images are large, and a model may take a second a batch.
const IMAGES: Bounds =
    Bounds { memory: 64 << 20, host_memory: 256 << 20, deadline: Duration::from_secs(60), concurrency: 4 };

/// A large file takes minutes to a slow disk; an upload more at once does not hurt.
const STORAGE: Bounds =
    Bounds { memory: 32 << 20, host_memory: 64 << 20, deadline: Duration::from_secs(300), concurrency: 16 };

/// A plan is a few decisions.
const PLANS: Bounds =
    Bounds { memory: 16 << 20, host_memory: 1 << 20, deadline: Duration::from_secs(5), concurrency: 4 };

const WORLDS: &[World] = &[
    World {
        name: "local-storage",
        kind: Kind::Storage,
        imports: &["types", "log", "config", "blob", "files"],
        exports: &["lifecycle", "storage"],
        calls: &[
            "init",
            "storage.put",
            "storage.find",
            "storage.get",
            "storage.head",
            "storage.delete",
            "storage.relocate",
            "storage.check",
            "storage.usage",
        ],
        usual: STORAGE,
        most: MOST,
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
    Storage(LocalStoragePre<HostState>),
    Faces(FaceDetectorPre<HostState>),
    Embedder(EmbedderPre<HostState>),
    Transcoder(TranscoderPre<HostState>),
}

/// The exports of an instance.
pub enum Exports {
    Storage(LocalStorage),
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
            if interface == "files" && grant.files.is_none() {
                let how = if manifest.requests.files {
                    "give it a folder: `files` of its storage backend"
                } else {
                    "its manifest does not ask for it: [requests] files = true"
                };
                return Err(HostError::NotGranted { id: id(), what: import.to_owned(), how: how.into() });
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

    /// Links what the world lends.
    pub fn link(&self, engine: &Engine, component: &Component) -> wasmtime::Result<Ready> {
        let pre: InstancePre<HostState> = capabilities::linker(engine, self.imports)?.instantiate_pre(component)?;
        Ok(match self.kind {
            Kind::Storage => Ready::Storage(LocalStoragePre::new(pre)?),
            Kind::Faces => Ready::Faces(FaceDetectorPre::new(pre)?),
            Kind::Embedder => Ready::Embedder(EmbedderPre::new(pre)?),
            Kind::Transcoder => Ready::Transcoder(TranscoderPre::new(pre)?),
        })
    }
}

impl Ready {
    pub async fn instantiate(&self, store: &mut Store<HostState>) -> wasmtime::Result<Exports> {
        Ok(match self {
            Self::Storage(pre) => Exports::Storage(pre.instantiate_async(store).await?),
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

    pub fn storage(
        &self,
    ) -> wasmtime::Result<&crate::bindings::local_storage::exports::latent::plugin::storage::Guest> {
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
