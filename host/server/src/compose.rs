//! Builds the parts in their order, and takes them apart in the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use api::{ApiState, AskedRun, Jobs};
use gallery::plugins::Manager;
use gallery::plugins::quarantine::Ledger;
use gallery::{Gallery, GallerySettings, Parts};
use inference::Inference;
use media::{Limits, ThumbnailSpec};
use pipelines::{DefinitionError, Feeder, Pipelines, RunRequest, Worker, WorkerConfig, problem_json, run_json};
use plugin_host::{HostConfig, Lent, PluginHost};
use queue::Queue;
use runtime::{RuntimeConfig, Services};
use serde_json::{Value, json};
use store::{Store, StoreConfig};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::{AssetId, Clock, QueueName, RunId, SystemClock};

use crate::plugin_state::PluginState;
use crate::{Settings, admin_config, metrics, plugins, storage, video};

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
    feeder: Feeder,
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

    /// Reads the pipelines again. Returns what is wrong with them; such a pipeline stays as it was.
    pub fn reload(&self) -> Vec<DefinitionError> {
        self.feeder.reload()
    }

    /// The embedded services, where there are any.
    pub fn services(&self) -> Option<&Services> {
        self.services.as_ref()
    }
}

/// Starts a role. `queues`: those that it works on; none: all. `rendered` renders /metrics.
pub async fn start(
    settings: &Settings,
    role: Role,
    queues: Vec<QueueName>,
    rendered: Arc<dyn Fn() -> String + Send + Sync>,
) -> Result<Running> {
    start_at(settings, role, queues, rendered, Arc::new(SystemClock)).await
}

/// The same by another clock.
pub async fn start_at(
    settings: &Settings,
    role: Role,
    queues: Vec<QueueName>,
    rendered: Arc<dyn Fn() -> String + Send + Sync>,
    clock: Arc<dyn Clock>,
) -> Result<Running> {
    let pipelines = open_pipelines(settings)?;
    known(&queues, &pipelines.queues())?;
    let services = services(settings, role).await?;
    let (store, queue) = connect(settings, services.as_ref()).await?;
    let (gallery, inference) = gallery(settings, role, (store, queue), clock).await?;
    pipelines.check(&gallery.plugins())?;
    gallery.restore_pauses(&pipelines.queues()).await.context("the pauses of the queues")?;
    let spec = spec(settings);
    let feeder = Feeder::new(gallery.clone(), pipelines.clone(), spec.clone());
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(plugins::unload_idle(inference, stop.clone()));
    tasks.spawn(metrics::watch(gallery.clone(), pipelines.clone(), stop.clone()));
    tasks.spawn(talk(gallery.clone(), stop.clone()));
    tasks.spawn({
        let (gallery, stopped) = (gallery.clone(), stop.clone().cancelled_owned());
        async move {
            tokio::select! {
                () = stopped => {}
                () = gallery.watch_plugins() => {}
            }
        }
    });
    tasks.spawn({
        let (feeder, stop) = (feeder.clone(), stop.clone());
        async move { feeder.run(stop).await }
    });
    if role != Role::Serve {
        let config = worker(settings, queues, spec);
        let worker = Worker::new(gallery.clone(), pipelines, config).context("cannot start a worker")?;
        tasks.spawn(worker.run(stop.clone()));
    }
    let mut address = None;
    if role != Role::Work {
        let state = ApiState {
            gallery: gallery.clone(),
            jobs: Arc::new(Backfills(feeder.clone())),
            metrics: rendered,
            secure_cookies: settings.server.secure_cookies,
            config: Arc::new(admin_config::of(settings)),
        };
        gallery.store().note_version(&api::version_text(), gallery.now()).await.context("the version")?;
        address = Some(listen(settings, state, &stop, &mut tasks).await?);
    }
    Ok(Running { address, gallery, feeder, stop, tasks, services })
}

/// A queue that nobody fills would be waited at for ever.
fn known(asked: &[QueueName], queues: &[QueueName]) -> Result<()> {
    let Some(queue) = asked.iter().find(|queue| !queues.contains(queue)) else { return Ok(()) };
    let likeness = |other: &&QueueName| strsim::jaro_winkler(&queue.0, &other.0);
    let nearest = queues.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let hint = match nearest.filter(|nearest| likeness(nearest) > 0.7) {
        Some(nearest) => format!("did you mean {:?}?", nearest.0),
        None => format!("there are {}", queues.iter().map(|queue| &*queue.0).collect::<Vec<_>>().join(", ")),
    };
    bail!("no pipeline has a queue {:?}; {hint}", queue.0);
}

/// Those of the settings, with what the settings say of their queues.
fn open_pipelines(settings: &Settings) -> Result<Pipelines> {
    let rules = crate::pipelines::rules(settings)?;
    let opened = Pipelines::open(crate::pipelines::source(settings), rules);
    let pipelines = opened.map_err(|mistakes| anyhow::anyhow!("{}", crate::pipelines::lines(&mistakes)))?;
    crate::pipelines::known_queues(settings, &pipelines)?;
    Ok(pipelines)
}

/// What a command needs that looks at pipelines or starts a run: everything but a worker and HTTP. Where no server runs, the
/// embedded services are started for as long as the command takes.
pub async fn feeder(settings: &Settings) -> Result<(Feeder, Option<Services>)> {
    let pipelines = open_pipelines(settings)?;
    let services = services(settings, Role::Work).await?;
    let (store, queue) = connect(settings, services.as_ref()).await?;
    let (gallery, _) = gallery(settings, Role::Work, (store, queue), Arc::new(SystemClock)).await?;
    Ok((Feeder::new(gallery, pipelines, spec(settings)), services))
}

pub(crate) async fn connect(settings: &Settings, services: Option<&Services>) -> Result<(Store, Queue)> {
    let store = store(settings, services).await?;
    let redis_url = url(&settings.redis.url, services.and_then(Services::redis_url));
    let takeover = Duration::from_secs(settings.workers.takeover.max(1));
    let queue = Queue::connect(&redis_url, takeover).await.context("Redis")?;
    Ok((store, queue))
}

fn url(own: &str, embedded: Option<&str>) -> String {
    if own.is_empty() { embedded.unwrap_or("").to_owned() } else { own.to_owned() }
}

async fn store(settings: &Settings, services: Option<&Services>) -> Result<Store> {
    let database_url = url(&settings.database.url, services.and_then(Services::database_url));
    let ca = Some(&*settings.database.ca).filter(|ca| !ca.as_os_str().is_empty());
    let config = StoreConfig { url: database_url, pool_size: settings.database.pool_size };
    let store = Store::trusting(&config, ca)?;
    store.migrate().await.context("the database")?;
    Ok(store)
}

/// The plugins of an installation for a command, beside a server that may run; the services live as long as the second part.
pub async fn manager(settings: &Settings) -> Result<(Manager, Option<Services>)> {
    let services = services(settings, Role::Work).await?;
    let store = store(settings, services.as_ref()).await?;
    let redis = url(&settings.redis.url, services.as_ref().and_then(Services::redis_url));
    // Servers find out by themselves, only later.
    let queue = Queue::connect(&redis, Duration::from_secs(60)).await.ok();
    let inference = plugins::inference(settings)?;
    let config = HostConfig { cache_dir: settings.plugin_host.cache.clone(), threads: 1 };
    let kv = Arc::new(PluginState(store.clone()));
    let lent = Lent { inference: Some(inference.clone()), kv: Some(kv), ..Lent::default() };
    let host = PluginHost::lending(&config, lent)?;
    Ok((plugins::manager(settings, store, host, &inference, queue, false).await, services))
}

/// Hears the other processes of this installation and is heard by them, until `stop`.
async fn talk(gallery: Gallery, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = gallery.queue().listen() => {}
        () = gallery.events().carry(gallery.queue()) => {}
    }
}

fn worker(settings: &Settings, queues: Vec<QueueName>, spec: ThumbnailSpec) -> WorkerConfig {
    let limits = Limits { max_pixels: settings.media.max_megapixels * 1_000_000, ..Limits::default() };
    let (concurrency, decoding) = (settings.workers.concurrency, settings.workers.decoding);
    let grace = Duration::from_secs(settings.workers.grace);
    WorkerConfig { queues, concurrency, decoding, spec, limits, grace }
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

/// `serve` and `work` are parts of one installation: they share the services, whoever of them has started them.
pub(crate) async fn services(settings: &Settings, role: Role) -> Result<Option<Services>> {
    let config = RuntimeConfig {
        data_dir: settings.data_dir.clone(),
        kit: settings.kit.clone(),
        postgres: settings.database.url.is_empty(),
        valkey: settings.redis.url.is_empty(),
    };
    if !config.postgres && !config.valkey {
        return Ok(None);
    }
    if role != Role::All && config.postgres != config.valkey {
        let (set, other) = if config.postgres { ("redis", "database") } else { ("database", "redis") };
        bail!(
            "{set}.url is set and {other}.url is not: on each machine this would be another {other}, and the processes would \
             not know each other's work. Set both, or run `latent` without a role"
        );
    }
    let start = if role == Role::All { Services::start } else { Services::start_or_attach };
    Ok(Some(tokio::task::spawn_blocking(move || start(&config)).await??))
}

async fn gallery(
    settings: &Settings,
    role: Role,
    (store, queue): (Store, Queue),
    clock: Arc<dyn Clock>,
) -> Result<(Gallery, Arc<Inference>)> {
    let inference = plugins::inference(settings)?;
    let config = HostConfig { cache_dir: settings.plugin_host.cache.clone(), threads: settings.plugin_host.threads };
    let kv = Arc::new(PluginState(store.clone()));
    let ledger = Arc::new(Ledger(store.clone()));
    let lent = Lent { inference: Some(inference.clone()), kv: Some(kv), watch: Some(ledger), ..Lent::default() };
    let host = PluginHost::lending(&config, lent)?;
    let blobs = storage::open(settings, &store, &host, role != Role::Work).await?;
    let video = video::open(settings)?;
    let gallery = Gallery::new(Parts {
        store,
        blobs: Arc::new(blobs),
        queue,
        clock,
        settings: GallerySettings {
            max_upload: settings.uploads.max_size,
            lease: Duration::from_secs(settings.uploads.lease),
            video: video.clone(),
            thumbnails: spec(settings),
            ..GallerySettings::default()
        },
    });
    let (store, queue) = (gallery.store().clone(), gallery.queue().clone());
    let manager = plugins::manager(settings, store, host, &inference, Some(queue), true).await;
    gallery.set_plugin_manager(Arc::new(manager));
    gallery.sync_plugins().await.context("the plugins")?;
    Ok((gallery, inference))
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

    async fn backfill(&self, queue: &QueueName, force: bool, only: Option<&[AssetId]>) -> gallery::Result<i64> {
        self.0.backfill(queue, force, only).await
    }

    async fn steps(&self, asset: AssetId) -> gallery::Result<Vec<(String, String)>> {
        self.0.steps(asset).await
    }

    async fn overview(&self, counts: bool) -> gallery::Result<Value> {
        self.0.overview(counts).await
    }

    async fn run(&self, asked: AskedRun) -> gallery::Result<Value> {
        let AskedRun { pipeline, steps, force, assets, dry_run } = asked;
        let request = RunRequest { pipeline, cause: "manual", steps, force, assets };
        if dry_run {
            return Ok(json!({ "total": self.0.count(&request).await? }));
        }
        Ok(run_json(&self.0.start(&request).await?))
    }

    async fn progress(&self, run: RunId) -> gallery::Result<Value> {
        Ok(run_json(&self.0.progress(run).await?))
    }

    async fn reload(&self) -> gallery::Result<Value> {
        let problems: Vec<Value> = self.0.reload().iter().map(problem_json).collect();
        let names: Vec<String> = self.0.pipelines().all().iter().map(|pipeline| pipeline.name.clone()).collect();
        Ok(json!({ "pipelines": names, "problems": problems }))
    }
}
