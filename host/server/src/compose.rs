//! Builds the parts in their order, and takes them apart in the other.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use api::{ApiState, Jobs};
use blobs::{Blobs, Inbox, StorageBackend};
use gallery::{Gallery, GallerySettings, Parts};
use inference::Inference;
use media::{Limits, ThumbnailSpec};
use pipelines::{Definition, Feeder, Pipelines, Worker, WorkerConfig};
use plugin_host::{HostConfig, Lent, OperatorGrant, PluginHost};
use queue::Queue;
use runtime::{RuntimeConfig, Services};
use store::{Store, StoreConfig};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::{AssetId, QueueName, SystemClock};

use crate::settings::Backend;
use crate::{Settings, plugins};

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    All,
    Serve,
    Work,
}

/// A running server.
pub struct Running {
    /// Where it listens, unless it only works.
    pub address: Option<SocketAddr>,
    /// For tests that look inside.
    pub gallery: Gallery,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    services: Option<Services>,
}

impl Running {
    /// Lets requests and jobs under way finish, then stops the services.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        if let Some(services) = self.services.take() {
            let stopped = tokio::task::spawn_blocking(move || services.stop()).await;
            if let Err(error) = stopped {
                tracing::error!(%error, "The embedded services did not stop in order");
            }
        }
    }

    /// The embedded services, where there are any.
    pub fn services(&self) -> Option<&Services> {
        self.services.as_ref()
    }
}

/// Starts a role. `queues`: those that it works on; none: all. `metrics` renders /metrics.
pub async fn start(
    settings: &Settings,
    role: Role,
    queues: Vec<QueueName>,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
) -> Result<Running> {
    let services = services(settings).await?;
    let url = |own: &str, embedded: Option<&str>| {
        if own.is_empty() { embedded.unwrap_or("").to_owned() } else { own.to_owned() }
    };
    let database_url = url(&settings.database.url, services.as_ref().and_then(Services::database_url));
    let redis_url = url(&settings.redis.url, services.as_ref().and_then(Services::redis_url));
    let store = Store::new(&StoreConfig { url: database_url, pool_size: settings.database.pool_size })?;
    store.migrate().await.context("the database")?;
    let queue =
        Queue::connect(&redis_url, Duration::from_secs(settings.workers.takeover.max(1))).await.context("Redis")?;
    let (gallery, inference) = gallery(settings, store, queue).await?;
    let pipelines = Pipelines::new(definitions(&settings.pipelines)?);
    pipelines.check(&gallery.plugins())?;
    let spec = spec(settings);
    let feeder = Feeder::new(gallery.clone(), pipelines.clone(), spec.clone());
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(plugins::unload_idle(inference, stop.clone()));
    tasks.spawn({
        let (feeder, stop) = (feeder.clone(), stop.clone());
        async move { feeder.run(stop).await }
    });
    if role != Role::Serve {
        let limits = Limits { max_pixels: settings.media.max_megapixels * 1_000_000, ..Limits::default() };
        let (concurrency, decoding) = (settings.workers.concurrency, settings.workers.decoding);
        let config = WorkerConfig { queues, concurrency, decoding, spec, limits };
        let worker = Worker::new(gallery.clone(), pipelines, config).context("cannot start a worker")?;
        tasks.spawn(worker.run(stop.clone()));
    }
    let mut address = None;
    if role != Role::Work {
        let state = ApiState {
            gallery: gallery.clone(),
            jobs: Arc::new(Backfills(feeder)),
            metrics,
            secure_cookies: settings.server.secure_cookies,
        };
        address = Some(listen(settings, state, &stop, &mut tasks).await?);
    }
    Ok(Running { address, gallery, stop, tasks, services })
}

async fn listen(
    settings: &Settings,
    state: ApiState,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<SocketAddr> {
    let place = format!("{}:{}", settings.server.host, settings.server.port);
    let listener = TcpListener::bind(&place)
        .await
        .with_context(|| format!("cannot listen on {place}: is another server running there? Set server.port"))?;
    let address = listener.local_addr()?;
    let stopped = stop.clone().cancelled_owned();
    tasks.spawn(async move {
        if let Err(error) = api::serve(listener, api::router(state), stopped).await {
            tracing::error!(%error, "The HTTP server ended");
        }
    });
    Ok(address)
}

async fn services(settings: &Settings) -> Result<Option<Services>> {
    let config = RuntimeConfig {
        data_dir: settings.data_dir.clone(),
        kit: settings.kit.clone(),
        postgres: settings.database.url.is_empty(),
        valkey: settings.redis.url.is_empty(),
    };
    if !config.postgres && !config.valkey {
        return Ok(None);
    }
    Ok(Some(tokio::task::spawn_blocking(move || Services::start(&config)).await??))
}

async fn gallery(settings: &Settings, store: Store, queue: Queue) -> Result<(Gallery, Arc<Inference>)> {
    let inference = plugins::inference(settings)?;
    let config = HostConfig { cache_dir: settings.plugin_host.cache.clone(), threads: settings.plugin_host.threads };
    let lent = Lent { inference: Some(inference.clone()), ..Lent::default() };
    let host = PluginHost::lending(&config, lent)?;
    let mut backends: HashMap<String, Arc<dyn StorageBackend>> = HashMap::new();
    for (name, backend) in &settings.storage.backend {
        initialise(&store, name, backend).await?;
        let loaded = storage(settings, &host, backend).await;
        backends.insert(name.clone(), loaded.with_context(|| format!("[storage.backend.{name}]"))?);
    }
    // Uploads are linked into the library, which is possible within one file system only: the inbox lies beside it.
    let originals = settings.storage.backend.get(&settings.storage.originals);
    let inbox = originals.map_or_else(|| settings.data_dir.join("inbox"), |backend| beside(&backend.files));
    let inbox = Inbox::open(inbox.clone()).with_context(|| format!("the inbox {}", inbox.display()))?;
    let blobs = Blobs::new(inbox, backends, &settings.storage.originals, &settings.storage.derivatives)?;
    let gallery = Gallery::new(Parts {
        store,
        blobs: Arc::new(blobs),
        queue,
        clock: Arc::new(SystemClock),
        settings: GallerySettings {
            max_upload: settings.uploads.max_size,
            lease: Duration::from_secs(settings.uploads.lease),
            ..GallerySettings::default()
        },
    });
    gallery.set_plugins(plugins::load(settings, &host).await);
    Ok((gallery, inference))
}

/// `.inbox` in the folder of the originals: hidden from listings, and as well mounted as they are.
fn beside(files: &Path) -> std::path::PathBuf {
    files.join(".inbox")
}

/// Makes the folder and its marker once, ever. A folder that should have a marker and has none is not mounted: nothing may be
/// made in its place.
async fn initialise(store: &Store, name: &str, backend: &Backend) -> Result<()> {
    let key = format!("storage.{name}.initialised");
    let marker = backend.files.join(".latent");
    if store.fact(&key).await?.is_some() {
        if !marker.exists() {
            bail!(
                "[storage.backend.{name}]: {} is missing. It was there before: is the disk mounted? Nothing is written before it is",
                marker.display()
            );
        }
        return Ok(());
    }
    std::fs::create_dir_all(&backend.files).with_context(|| format!("cannot make {}", backend.files.display()))?;
    std::fs::write(&marker, "This folder belongs to a Latent library. Without this file nothing is written here.\n")
        .with_context(|| format!("cannot write {}", marker.display()))?;
    Ok(store.set_fact(&key, &serde_json::json!({ "files": backend.files })).await?)
}

async fn storage(settings: &Settings, host: &PluginHost, backend: &Backend) -> Result<Arc<dyn StorageBackend>> {
    let path = settings.kit.join("plugins").join(format!("{}.wasm", backend.plugin));
    let wasm = std::fs::read(&path).with_context(|| format!("cannot read the plugin {}", path.display()))?;
    let grant = OperatorGrant {
        files: Some(backend.files.clone()),
        settings: backend.settings.clone(),
        ..OperatorGrant::default()
    };
    Ok(host.load(wasm.into(), &grant).await?.storage())
}

/// An operator's own pipelines, or those that the binary carries.
fn definitions(folder: &Path) -> Result<Vec<Definition>> {
    const INGEST: &str = include_str!("../../../config/pipelines/ingest.toml");
    if folder.as_os_str().is_empty() {
        return Ok(vec![Definition::parse("ingest.toml", INGEST)?]);
    }
    let mut definitions = Vec::new();
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read the pipelines in {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            definitions.push(Definition::parse(&path.display().to_string(), &std::fs::read_to_string(&path)?)?);
        }
    }
    Ok(definitions)
}

fn spec(settings: &Settings) -> ThumbnailSpec {
    let media = &settings.media;
    ThumbnailSpec {
        preview: media.preview,
        preview_quality: media.preview_quality,
        thumbnail: media.thumbnail,
        thumbnail_quality: media.thumbnail_quality,
    }
}

/// The job commands of the API, done by the pipelines.
struct Backfills(Feeder);

#[async_trait::async_trait]
impl Jobs for Backfills {
    fn queues(&self) -> Vec<QueueName> {
        self.0.queues()
    }

    async fn backfill(&self, queue: &QueueName, force: bool) -> gallery::Result<usize> {
        self.0.backfill(queue, force).await
    }

    async fn steps(&self, asset: AssetId) -> gallery::Result<Vec<(String, String)>> {
        self.0.steps(asset).await
    }
}
