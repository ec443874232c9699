//! A loaded plugin: its component, its grant, its warm instances.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use inference::Model;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use wasmtime::component::Component;
use wasmtime::{Engine, Store};

use crate::cache::CompileCache;
use crate::directory::Directory;
use crate::embedder::EmbeddingSpace;
use crate::engine::Shared;
use crate::faces::FaceSpace;
use crate::grant::Grant;
use crate::health::Ward;
use crate::http::Http;
use crate::instance::{Common, HostState, Kv};
use crate::kv::KvSpace;
use crate::log_rate::LogRate;
use crate::manifest::{Manifest, read_manifest};
use crate::traffic::Calls;
use crate::worlds::{Exports, Ready, World};
use crate::{HostError, OperatorGrant};

/// Warm instances are dropped after nobody called for one to two times as long.
const IDLE: Duration = Duration::from_secs(60);

/// Operations on small state at once: the database is there for others, too.
const KV_AT_ONCE: usize = 2;

/// Bytes of a component. A Python one has 19 MB.
pub(crate) const LARGEST: usize = 32 << 20;

/// A plugin that can be called. Cheap to share.
pub struct Plugin {
    pub(crate) shared: Arc<Shared>,
    pub(crate) common: Arc<Common>,
    pub(crate) ready: Ready,
    /// Boxed: each call takes one out and puts it back.
    #[expect(clippy::vec_box, reason = "an instance is some hundred bytes")]
    pub(crate) warm: Mutex<Vec<Box<Instance>>>,
    pub(crate) permits: Semaphore,
    pub(crate) calls: Calls,
    pub(crate) ward: Ward,
    /// Told once, when it was loaded.
    pub(crate) faces: OnceLock<FaceSpace>,
    pub(crate) embedding: OnceLock<EmbeddingSpace>,
    digest: String,
}

pub(crate) struct Instance {
    pub store: Store<HostState>,
    pub exports: Exports,
    /// Calls that it may still serve.
    pub left: u32,
}

impl Plugin {
    pub(crate) async fn load(
        shared: Arc<Shared>,
        cache: Arc<CompileCache>,
        wasm: Bytes,
        operator: &OperatorGrant,
    ) -> Result<Arc<Self>, HostError> {
        if wasm.len() > LARGEST {
            return Err(HostError::TooLarge { len: wasm.len(), most: LARGEST });
        }
        let (wasm, manifest) = blocking(move || read_manifest(&wasm).map(|manifest| (wasm, manifest))).await??;
        let world = World::of(&manifest)?;
        let grant = Grant::effective(&manifest, operator, world)?;
        let (digest, component) = compiled(&shared, cache, wasm).await?;
        let engine = shared.engine.clone();
        let (ready, manifest, grant) = blocking(move || {
            let ready = linked(world, &engine, &component, &manifest, &grant);
            ready.map(|ready| (ready, manifest, grant))
        })
        .await??;
        let models = models(&shared, &manifest, operator).await?;
        let calls = Calls::new(&manifest, world.calls, &shared.lent.clock);
        let permits = Semaphore::new(grant.concurrency);
        let directory = grant.files.as_ref().map(|folder| Arc::new(Directory::at(folder)));
        if let Some(directory) = directory.clone() {
            blocking(move || directory.sweep()).await?;
        }
        let http = http(&shared, &manifest, &grant)?;
        let kv = kv(&shared, &manifest, &grant)?;
        let common = Arc::new(Common {
            http,
            secrets: grant.secrets.clone(),
            kv,
            outside: shared.outside(),
            models,
            directory,
            heavy: shared.heavy.clone(),
            io: shared.io.clone(),
            clock: shared.lent.clock.clone(),
            log_rate: LogRate::default(),
            grant,
            manifest,
        });
        let (warm, faces, embedding) = (Mutex::default(), OnceLock::new(), OnceLock::new());
        let ward = Ward::default();
        let plugin = Arc::new(Self { shared, common, ready, warm, permits, calls, ward, faces, embedding, digest });
        plugin.shared.register(&plugin);
        plugin.probe().await.map_err(|error| HostError::FirstCall { id: plugin.manifest().id.clone(), error })?;
        plugin.cool_when_idle();
        Ok(plugin)
    }

    /// What a guest keeps in its memory (a tokenizer) is not worth it while nobody calls.
    fn cool_when_idle(self: &Arc<Self>) {
        let plugin = Arc::downgrade(self);
        self.shared.guests().spawn(async move {
            let mut seen = 0;
            loop {
                tokio::time::sleep(IDLE).await;
                let Some(plugin) = plugin.upgrade() else { return };
                let calls = plugin.traffic().calls;
                if calls == seen {
                    plugin.cool();
                }
                seen = calls;
            }
        });
    }

    /// The cheapest call there is: the guest describes itself. The first is made when a plugin is loaded, because one that cannot
    /// say what it is would fail later, where nobody looks; a bench makes more.
    pub async fn probe(self: &Arc<Self>) -> Result<(), crate::PluginError> {
        match &self.ready {
            Ready::Storage(_) | Ready::Transcoder(_) => self.call("init", |_| Box::pin(async { Ok(Ok(())) })).await,
            Ready::Faces(_) => self.describe_faces().await,
            Ready::Embedder(_) => self.describe_embedding().await,
        }
    }

    pub fn manifest(&self) -> &Manifest {
        &self.common.manifest
    }

    pub(crate) fn stores(&self) -> bool {
        matches!(self.ready, Ready::Storage(_))
    }

    /// SHA-256 of the file, in hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What makes its results the same or others: id, declared revision, the revisions of its models, its settings. A release
    /// that changes none of them makes nothing stale.
    pub fn recipe(&self) -> String {
        let manifest = self.manifest();
        let models: Vec<String> =
            self.common.models.iter().map(|(label, model)| format!("{label}={}", model.revision())).collect();
        let settings = hex::encode(&Sha256::digest(&self.common.grant.settings)[..4]);
        format!("{}/{}/{}/{settings}", manifest.id, manifest.revision, models.join(","))
    }
}

/// With all imports that it has and was granted. Takes milliseconds.
fn linked(
    world: &World,
    engine: &Engine,
    component: &Component,
    manifest: &Manifest,
    grant: &Grant,
) -> Result<Ready, HostError> {
    world.check(engine, component, manifest, grant)?;
    world.link(engine, component, manifest, grant).map_err(|error| HostError::Lies {
        id: manifest.id.clone(),
        world: manifest.world.clone(),
        why: format!("{error:#}"),
    })
}

/// Its SHA-256 and its code. Compiling takes seconds, which an async thread may not.
pub(crate) async fn compiled(
    shared: &Shared,
    cache: Arc<CompileCache>,
    wasm: Bytes,
) -> Result<(String, Component), HostError> {
    let engine = shared.engine.clone();
    blocking(move || {
        let digest = hex::encode(Sha256::digest(&wasm));
        cache.component(&engine, &digest, &wasm).map(|component| (digest, component))
    })
    .await?
}

/// What it makes requests with, where an origin was granted.
fn http(shared: &Shared, manifest: &Manifest, grant: &Grant) -> Result<Option<Arc<Http>>, HostError> {
    if grant.http.is_empty() {
        return Ok(None);
    }
    let http = Http::new(&manifest.id, &grant.http, grant.secrets.clone(), shared.lent.resolver.clone());
    http.map(|http| Some(Arc::new(http))).map_err(|why| HostError::Grant { id: manifest.id.clone(), why })
}

/// Where it keeps small state, if it was granted some.
fn kv(shared: &Shared, manifest: &Manifest, grant: &Grant) -> Result<Option<Kv>, HostError> {
    if grant.kv == 0 {
        return Ok(None);
    }
    let store = shared.lent.kv.clone().ok_or_else(|| HostError::Grant {
        id: manifest.id.clone(),
        why: "it asks for kv, and this process has no database to keep it in".into(),
    })?;
    let space = KvSpace { plugin: manifest.id.clone(), scope: grant.scope.clone(), quota: grant.kv };
    Ok(Some(Kv { store, space, turns: Arc::new(Semaphore::new(KV_AT_ONCE)) }))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, HostError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| HostError::Engine(error.to_string()))
}

/// The models that the operator bound to the labels of the manifest.
async fn models(
    shared: &Shared,
    manifest: &Manifest,
    operator: &OperatorGrant,
) -> Result<BTreeMap<String, Arc<Model>>, HostError> {
    let id = || manifest.id.clone();
    let asked = &manifest.requests.models;
    if let Some(label) = operator.models.keys().find(|label| !asked.contains(label)) {
        let known = if asked.is_empty() { "none".to_owned() } else { asked.join(", ") };
        let how = format!(
            "the plugin has no such label; its labels are {known}. Take the line out of [plugins.{:?}.models]",
            id()
        );
        return Err(HostError::Model { id: id(), label: label.clone(), how });
    }
    let mut models = BTreeMap::new();
    for label in asked {
        let Some(name) = operator.models.get(label) else {
            let how = format!(
                "no model is bound to it. Write into the settings: [plugins.{:?}.models] {label} = \"<model>\"",
                id()
            );
            return Err(HostError::Model { id: id(), label: label.clone(), how });
        };
        let failed = |how: String| HostError::Model { id: id(), label: label.clone(), how };
        let inference = shared.lent.inference.as_ref().ok_or_else(|| failed("this process runs no models".into()))?;
        models.insert(label.clone(), inference.model(name).await.map_err(|error| failed(error.to_string()))?);
    }
    Ok(models)
}
