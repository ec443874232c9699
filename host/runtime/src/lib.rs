//! Embedded PostgreSQL and Valkey: starts, watches and stops them. Knows no SQL and no job.

mod cluster;
mod error;
mod lock;
mod postgres;
mod sockets;
mod spawn;
mod supervisor;
mod valkey;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use error::RuntimeError;
use lock::DataLock;
use supervisor::Supervisor;

const ATTACH_LIMIT: Duration = Duration::from_secs(60);

/// Which services to run, and where.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// The folder that is ours: `postgres/`, `redis/` and the lock live in it.
    pub data_dir: PathBuf,
    /// Where `postgres/bin` and `valkey/valkey-server` are.
    pub kit: PathBuf,
    /// Run a private PostgreSQL.
    pub postgres: bool,
    /// Run a private Valkey.
    pub valkey: bool,
}

/// Services that run as long as this lives. They also end when this process is killed.
#[derive(Debug)]
pub struct Services {
    postgres: Option<Supervisor>,
    valkey: Option<Supervisor>,
    database_url: Option<String>,
    redis_url: Option<String>,
    /// `None`: the services are another process's.
    _lock: Option<DataLock>,
}

impl Services {
    /// Locks the data folder, starts what the config asks for and returns when both accept connections. Blocking; must not be
    /// called on a thread that ends before the services do (each is spawned by a thread of its own, which lives on).
    ///
    /// # Errors
    /// The folder is locked by another server, a binary is missing, or a service does not come up: the error names the log.
    pub fn start(config: &RuntimeConfig) -> Result<Self, RuntimeError> {
        let lock = DataLock::take(&config.data_dir)?;
        let valkey = config.valkey.then(|| valkey::start(config)).transpose()?;
        let postgres = config.postgres.then(|| postgres::start(config)).transpose()?;
        Ok(Self {
            database_url: postgres.is_some().then(|| postgres::url(config)),
            redis_url: valkey.is_some().then(|| valkey::url(config)),
            postgres,
            valkey,
            _lock: Some(lock),
        })
    }

    /// The same, or where another process of this machine has started them already, theirs: they live as long as that one.
    ///
    /// # Errors
    /// Those of [`Services::start`], but for the lock; or the other's are not ready within a minute.
    pub fn start_or_attach(config: &RuntimeConfig) -> Result<Self, RuntimeError> {
        let begin = Instant::now();
        loop {
            match Self::start(config) {
                Err(RuntimeError::Locked { owner, .. }) if is_ready(config) => {
                    tracing::info!(owner, "Uses the embedded services of another process");
                    return Ok(Self {
                        database_url: config.postgres.then(|| postgres::url(config)),
                        redis_url: config.valkey.then(|| valkey::url_of_other(config)),
                        postgres: None,
                        valkey: None,
                        _lock: None,
                    });
                }
                // It is just starting, or on its way out.
                Err(RuntimeError::Locked { .. }) if begin.elapsed() < ATTACH_LIMIT => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                ended => return ended,
            }
        }
    }

    /// `host=… user=… dbname=…`, for an embedded PostgreSQL.
    pub fn database_url(&self) -> Option<&str> {
        self.database_url.as_deref()
    }

    /// `redis+unix:///…`, for an embedded Valkey.
    pub fn redis_url(&self) -> Option<&str> {
        self.redis_url.as_deref()
    }

    /// The postmaster, when it is up.
    pub fn postgres_pid(&self) -> Option<u32> {
        self.postgres.as_ref().and_then(Supervisor::pid)
    }

    /// The Valkey server, when it is up.
    pub fn valkey_pid(&self) -> Option<u32> {
        self.valkey.as_ref().and_then(Supervisor::pid)
    }

    /// Stops both, PostgreSQL by its fast shutdown, and waits for their end. Blocking.
    pub fn stop(mut self) {
        self.stop_all();
    }

    fn stop_all(&mut self) {
        for service in [self.postgres.take(), self.valkey.take()].into_iter().flatten() {
            service.stop();
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.stop_all();
    }
}

/// Do the services that another process started accept connections?
fn is_ready(config: &RuntimeConfig) -> bool {
    (!config.postgres || postgres::is_ready(config)) && (!config.valkey || valkey::other_answers(config))
}
