//! A whole server inside the test: its own database, Valkey, storage and port.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime::{RuntimeConfig, Services};
use server::{Role, Running, Settings, config};
use tempfile::TempDir;
use types::{Clock, FixedClock, SystemClock};

use crate::s3::S3;
use crate::{Client, Database, s3};

/// A running server. Its folder goes with it.
pub struct TestApp {
    /// Nobody: sign up or set a token.
    pub anonymous: Client,
    pub database: Database,
    pub settings: Settings,
    pub running: Running,
    pub valkey: Services,
    folder: TempDir,
    clock: Arc<dyn Clock>,
    /// The bucket that `main` is, where [`IN_A_BUCKET`] is set.
    bucket: Option<S3>,
}

/// Set for a run of the suite: the storage `main` of every app is a bucket of a service of its own.
pub const IN_A_BUCKET: &str = "LATENT_TESTS_IN_A_BUCKET";

impl TestApp {
    /// With default settings, and without the plugins that look at photos: what they find is tested where it matters.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With faces and search.
    pub async fn seeing() -> Self {
        Self::with(|settings| settings.plugins.values_mut().for_each(|plugin| plugin.enabled = true)).await
    }

    /// With settings that a test chooses.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::of(Role::All, Arc::new(SystemClock), change).await
    }

    /// By a clock that a test sets.
    pub async fn at(clock: Arc<FixedClock>, change: impl FnOnce(&mut Settings)) -> Self {
        Self::of(Role::All, clock, change).await
    }

    /// Without a worker: somebody else has to work.
    pub async fn serving(change: impl FnOnce(&mut Settings)) -> Self {
        Self::of(Role::Serve, Arc::new(SystemClock), change).await
    }

    async fn of(role: Role, clock: Arc<dyn Clock>, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::Builder::new().prefix("lt").tempdir().unwrap();
        let database = Database::new().await;
        let redis = folder.path().join("redis");
        let config = RuntimeConfig { data_dir: redis, kit: crate::kit(), postgres: false, valkey: true };
        let valkey = Services::start(&config).unwrap();
        let mut settings = settings(folder.path());
        settings.database.url.clone_from(&database.url);
        settings.redis.url = valkey.redis_url().unwrap().to_owned();
        let bucket = if std::env::var_os(IN_A_BUCKET).is_some() { Some(S3::start().await) } else { None };
        if let Some(bucket) = &bucket {
            add_bucket(&mut settings, "main", &bucket.url);
        }
        change(&mut settings);
        let running = start(&settings, role, clock.clone()).await;
        let anonymous = Client::new(&format!("http://{}", running.address.unwrap()));
        Self { anonymous, database, settings, running, valkey, folder, clock, bucket }
    }

    /// The first account, signed in.
    pub async fn sign_up(&self) -> Client {
        self.anonymous.clone().sign_up().await
    }

    /// Where the originals lie.
    pub fn library(&self) -> PathBuf {
        self.settings.storage.backend["main"].files.clone()
    }

    /// Every file below the library, as paths relative to it, sorted; without the marker.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.library(), &self.library(), &mut found);
        found.retain(|path| path != ".latent" && !(path.starts_with(".inbox/") && path.ends_with("lock")));
        found.sort();
        found
    }

    /// Stops and starts on the same database and folders. A process would be new; so is everything here.
    pub async fn restart(self) -> Self {
        let Self { anonymous, database, settings, running, valkey, folder, clock, bucket } = self;
        running.stop().await;
        let running = start(&settings, Role::All, clock.clone()).await;
        let anonymous = Client { url: format!("http://{}", running.address.unwrap()), ..anonymous };
        Self { anonymous, database, settings, running, valkey, folder, clock, bucket }
    }

    /// The service whose bucket `main` is, in a run with [`IN_A_BUCKET`].
    pub fn bucket(&self) -> Option<&S3> {
        self.bucket.as_ref()
    }

    /// For a program that is to work beside this one: same database, Redis and storage.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("LATENT__DATABASE__URL", self.settings.database.url.clone()),
            ("LATENT__REDIS__URL", self.settings.redis.url.clone()),
            ("LATENT__STORAGE__BACKEND__MAIN__FILES", self.library().display().to_string()),
            ("LATENT__WORKERS__TAKEOVER", self.settings.workers.takeover.to_string()),
        ];
        for (name, id) in [
            ("LATENT__PLUGINS__LATENT.FACE-DETECTION__ENABLED", "latent.face-detection"),
            ("LATENT__PLUGINS__LATENT.CLIP-SEARCH__ENABLED", "latent.clip-search"),
            ("LATENT__PLUGINS__LATENT.TRANSCODING__ENABLED", "latent.transcoding"),
        ] {
            environment.push((name, self.settings.plugins[id].enabled.to_string()));
        }
        environment
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The defaults, in a folder, on a port that the system chooses. Compiled plugins are shared: compiling is not what a test tests.
pub fn settings(folder: &Path) -> Settings {
    let mut settings = config::load(None, []).unwrap();
    settings.data_dir = folder.join("data");
    settings.kit = crate::kit();
    settings.server.port = 0;
    settings.plugins.values_mut().for_each(|plugin| plugin.enabled = false);
    settings.storage.backend.get_mut("main").unwrap().files = folder.join("data/library");
    settings.plugin_host.cache = std::env::temp_dir().join("latent-tests-compiled");
    settings
}

/// Adds a storage that is the bucket of the tests in a service at `url`.
pub fn add_bucket(settings: &mut Settings, name: &str, url: &str) {
    let mut backend: server::settings::Backend = toml::from_str(&bucket(url)).unwrap();
    backend.settings = s3::settings(url);
    settings.storage.backend.insert(name.into(), backend);
}

fn bucket(url: &str) -> String {
    format!(
        "plugin = \"storage-s3\"\nhttp = [{{ origin = \"{url}\", private = true }}]\n\
         secrets.key = {{ value = \"{}\", origin = \"{url}\" }}\n",
        s3::SECRET_KEY
    )
}

/// The secret of a bucket is another than the service knows.
pub fn set_secret(settings: &mut Settings, name: &str, secret: &str) {
    let backend = &settings.storage.backend[name];
    let url = backend.settings["endpoint"].as_str().unwrap();
    let changed: server::settings::Backend = toml::from_str(&bucket(url).replace(s3::SECRET_KEY, secret)).unwrap();
    settings.storage.backend.get_mut(name).unwrap().secrets = changed.secrets;
}

/// For a program that is to work beside an app that has a bucket: a settings file. (Printed settings do not tell secrets.)
pub fn config_with_bucket(app: &TestApp, name: &str, url: &str) -> PathBuf {
    let text = format!(
        "[database]\nurl = {:?}\n[redis]\nurl = {:?}\n[storage.backend.main]\nfiles = {:?}\n\
         [storage.backend.{name}]\n{}[storage.backend.{name}.settings]\nendpoint = {url:?}\nbucket = {:?}\naccess-key-id = {:?}\n",
        app.settings.database.url,
        app.settings.redis.url,
        app.library(),
        bucket(url),
        s3::BUCKET,
        s3::ACCESS_KEY,
    );
    let path = app.folder().join("latent.toml");
    std::fs::write(&path, text).unwrap();
    path
}

async fn start(settings: &Settings, role: Role, clock: Arc<dyn Clock>) -> Running {
    server::start_at(settings, role, Vec::new(), Arc::new(String::new), clock).await.unwrap()
}

fn list(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(root, &path, found);
        } else {
            found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
        }
    }
}
