//! A loaded plugin: its component, its warm instances, its calls.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Engine, Store, Trap};

use crate::bindings::latent::plugin as imports;
use crate::bindings::{LocalStorage, LocalStoragePre};
use crate::cache::CompileCache;
use crate::engine::Shared;
use crate::grant::Grant;
use crate::instance::{HostState, store};
use crate::manifest::{Manifest, read_manifest};
use crate::{HostError, OperatorGrant, PluginError};

/// How long after its deadline a call that hangs in a host function is given up.
const GRACE: Duration = Duration::from_millis(20);
/// Calls that an instance serves at most; each gets its own number, so that nobody relies on state that survives.
const REUSE: std::ops::Range<u32> = 64..257;

/// The interfaces that a world may import; none but these are linked.
const WORLDS: &[(&str, &[&str], &[&str])] =
    &[("local-storage", &["types", "log", "config", "blob", "files"], &["lifecycle", "storage"])];

/// A plugin that can be called. Cheap to share.
pub struct Plugin {
    shared: Arc<Shared>,
    manifest: Arc<Manifest>,
    grant: Arc<Grant>,
    digest: String,
    pre: LocalStoragePre<HostState>,
    warm: Mutex<Vec<Instance>>,
    permits: Semaphore,
}

pub(crate) struct Instance {
    pub store: Store<HostState>,
    pub bindings: LocalStorage,
    left: u32,
}

impl Plugin {
    pub(crate) async fn load(
        shared: Arc<Shared>,
        cache: &CompileCache,
        wasm: Bytes,
        operator: &OperatorGrant,
    ) -> Result<Arc<Self>, HostError> {
        let manifest = Arc::new(read_manifest(&wasm)?);
        let digest = hex::encode(Sha256::digest(&wasm));
        let component = cache.component(&shared.engine, &digest, &wasm)?;
        let grant = Arc::new(Grant::effective(&manifest, operator));
        check(&shared.engine, &component, &manifest, &grant)?;
        let linker = linker(&shared.engine).map_err(|error| HostError::Engine(format!("{error:#}")))?;
        let lies = |error: wasmtime::Error| HostError::Lies {
            id: manifest.id.clone(),
            world: manifest.world.clone(),
            why: format!("{error:#}"),
        };
        let pre = LocalStoragePre::new(linker.instantiate_pre(&component).map_err(lies)?).map_err(lies)?;
        let permits = Semaphore::new(grant.concurrency);
        let plugin =
            Arc::new(Self { shared, manifest: manifest.clone(), grant, digest, pre, warm: Mutex::default(), permits });
        plugin
            .call("init", |_| Box::pin(async { Ok(Ok(())) }))
            .await
            .map_err(|error| HostError::FirstCall { id: manifest.id.clone(), error })?;
        Ok(plugin)
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the file, in hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Runs one call on a guest thread: a warm instance or a fresh one, under the deadline. A guest that traps, hangs or is
    /// cancelled loses its instance.
    pub(crate) async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        export: &'static str,
        call: impl for<'a> FnOnce(&'a mut Instance) -> BoxFuture<'a, wasmtime::Result<Result<T, PluginError>>> + Send + 'static,
    ) -> Result<T, PluginError> {
        let queued = Instant::now();
        let plugin = self.clone();
        let task = self.shared.guests().spawn(async move {
            let _permit = plugin.permits.acquire().await.map_err(|_| PluginError::Cancelled)?;
            let queue = queued.elapsed();
            let begin = Instant::now();
            let (mut instance, fresh) = plugin.instance().await?;
            let deadline = plugin.grant.deadline;
            instance.store.data_mut().deadline = Instant::now() + deadline;
            instance.store.data_mut().copied = 0;
            instance.store.set_epoch_deadline(1);
            let outcome = tokio::time::timeout(deadline + GRACE, call(&mut instance)).await;
            let copied = instance.store.data().copied;
            let result = match outcome {
                Ok(Ok(result)) => {
                    plugin.put_back(instance);
                    result
                }
                Ok(Err(error)) => Err(trap(&error, deadline)),
                Err(_) => Err(PluginError::Timeout(deadline.as_millis() as u64)),
            };
            plugin.observe(export, fresh, queue, begin.elapsed(), copied, result.as_ref().err());
            result
        });
        task.await.unwrap_or_else(|error| Err(PluginError::Other(format!("the call's task failed: {error}"))))
    }

    async fn instance(&self) -> Result<(Instance, bool), PluginError> {
        if let Some(instance) = self.warm.lock().pop() {
            return Ok((instance, false));
        }
        let mut store = store(&self.shared.engine, self.grant.clone(), self.manifest.clone());
        store.data_mut().deadline = Instant::now() + self.grant.deadline;
        let failed = |error: wasmtime::Error| trap(&error, self.grant.deadline);
        let bindings = self.pre.instantiate_async(&mut store).await.map_err(failed)?;
        bindings
            .latent_plugin_lifecycle()
            .call_init(&mut store)
            .await
            .map_err(failed)?
            .map_err(crate::storage::plugin_error)?;
        Ok((Instance { store, bindings, left: rand::rng().random_range(REUSE) }, true))
    }

    fn put_back(&self, mut instance: Instance) {
        instance.left -= 1;
        // Handles that a guest forgot would add up over its calls.
        if instance.left > 0 && instance.store.data().table.is_empty() {
            self.warm.lock().push(instance);
        }
    }

    fn observe(
        &self,
        export: &'static str,
        fresh: bool,
        queue: Duration,
        took: Duration,
        copied: u64,
        error: Option<&PluginError>,
    ) {
        let outcome = match error {
            None => "ok",
            Some(PluginError::Trap(_)) => "trap",
            Some(PluginError::Timeout(_)) => "timeout",
            Some(_) => "error",
        };
        let id = self.manifest.id.clone();
        metrics::counter!("latent_plugin_calls_total", "plugin" => id.clone(), "export" => export, "outcome" => outcome)
            .increment(1);
        metrics::counter!("latent_plugin_bytes_copied_total", "plugin" => id.clone()).increment(copied);
        metrics::histogram!("latent_plugin_call_seconds", "plugin" => id, "export" => export).record(took.as_secs_f64());
        match error {
            Some(error @ (PluginError::Trap(_) | PluginError::Timeout(_))) => {
                tracing::warn!(plugin = self.manifest.id, export, %error, "A plugin's call broke its instance");
            }
            _ => tracing::debug!(
                plugin = self.manifest.id,
                version = self.manifest.version,
                export,
                fresh,
                queue_us = queue.as_micros() as u64,
                took_us = took.as_micros() as u64,
                copied,
                outcome,
                "Called a plugin"
            ),
        }
    }
}

/// A trap in words. An interrupt is our own deadline.
fn trap(error: &wasmtime::Error, deadline: Duration) -> PluginError {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => PluginError::Timeout(deadline.as_millis() as u64),
        _ => PluginError::Trap(format!("{error:#}").lines().next_back().unwrap_or("trap").to_owned()),
    }
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    imports::types::add_to_linker::<HostState, HasSelf<HostState>>(&mut linker, |state| state)?;
    imports::log::add_to_linker::<HostState, HasSelf<HostState>>(&mut linker, |state| state)?;
    imports::config::add_to_linker::<HostState, HasSelf<HostState>>(&mut linker, |state| state)?;
    imports::blob::add_to_linker::<HostState, HasSelf<HostState>>(&mut linker, |state| state)?;
    imports::files::add_to_linker::<HostState, HasSelf<HostState>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// Refuses what the component imports beyond its world or its grant, and what its world promises but it does not export.
fn check(
    engine: &Engine,
    component: &wasmtime::component::Component,
    manifest: &Manifest,
    grant: &Grant,
) -> Result<(), HostError> {
    let id = || manifest.id.clone();
    let world = manifest.world_name().and_then(|name| WORLDS.iter().find(|(world, ..)| *world == name));
    let Some((_, allowed, promised)) = world else {
        let known = WORLDS.iter().map(|(name, ..)| format!("latent:plugin/{name}@0.1.0")).collect::<Vec<_>>().join(", ");
        return Err(HostError::Manifest(format!("the world {:?} is unknown; known are {known}", manifest.world)));
    };
    let kind = component.component_type();
    for (import, _) in kind.imports(engine) {
        let Some(interface) = import.strip_prefix("latent:plugin/").and_then(|rest| rest.strip_suffix("@0.1.0")) else {
            return Err(HostError::ForeignImport { id: id(), import: import.to_owned() });
        };
        if !allowed.contains(&interface) {
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
    for interface in *promised {
        let name = format!("latent:plugin/{interface}@0.1.0");
        if !exports.contains(&name) {
            let why = format!("it does not export {name}");
            return Err(HostError::Lies { id: id(), world: manifest.world.clone(), why });
        }
    }
    Ok(())
}
