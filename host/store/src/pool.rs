//! Connections.

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::NoTls;
use tokio_postgres::config::{Host, SslMode};

use crate::error::{Result, StoreError};
use crate::tls;

/// Whoever asks whether we are ready does not wait for long.
const PING_LIMIT: Duration = Duration::from_secs(2);

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `postgresql://…` or `host=… user=… dbname=…`; a host that starts with `/` is a folder with a unix socket.
    pub url: String,
    pub pool_size: usize,
}

/// Connections, for those who measure.
#[derive(Debug, Clone, Copy)]
pub struct PoolStatus {
    pub open: usize,
    pub idle: usize,
    /// Statements that wait for one.
    pub waiting: usize,
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
}

impl Store {
    /// Prepares the pool; connects when the first statement runs.
    ///
    /// # Errors
    /// The URL is not understood.
    pub fn new(config: &StoreConfig) -> Result<Self> {
        Self::trusting(config, None)
    }

    /// The same. `ca`: a PEM file with the certificates that may vouch for the server, instead of those that this machine trusts.
    ///
    /// # Errors
    /// The URL is not understood, or the file is none of certificates.
    pub fn trusting(config: &StoreConfig, ca: Option<&Path>) -> Result<Self> {
        let mut pg = tokio_postgres::Config::from_str(&known_sslmode(&config.url))
            .map_err(|error| StoreError::Url(error.to_string()))?;
        pg.application_name("latent").connect_timeout(Duration::from_secs(5));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let tcp = pg.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
        let manager = if tcp && pg.get_ssl_mode() != SslMode::Disable {
            let connector = tls::connector(pg.get_ssl_mode(), ca)?;
            Manager::from_config(pg, connector, recycling)
        } else {
            Manager::from_config(pg, NoTls, recycling)
        };
        let pool = Pool::builder(manager)
            .max_size(config.pool_size)
            .wait_timeout(Some(Duration::from_secs(30)))
            .create_timeout(Some(Duration::from_secs(10)))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Url(error.to_string()))?;
        Ok(Self { pool })
    }

    /// Closes every connection; statements fail from now on.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Brings the schema up to date. Safe to call from many servers at once.
    pub async fn migrate(&self) -> Result<()> {
        crate::migrate::run(&mut self.client().await?).await
    }

    /// Does the database answer, within two seconds?
    pub async fn ping(&self) -> Result<()> {
        let limit = Some(PING_LIMIT);
        let asked = async {
            let client = self.pool.timeout_get(&Timeouts { wait: limit, create: limit, recycle: limit }).await?;
            client.simple_query("SELECT 1").await?;
            Ok(())
        };
        let answer = tokio::time::timeout(PING_LIMIT, asked).await;
        answer.map_err(|_| StoreError::Unavailable("it does not answer".into()))?
    }

    /// Connections at most.
    pub fn pool_size(&self) -> usize {
        self.pool.status().max_size
    }

    pub fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus { open: status.size, idle: status.available, waiting: status.waiting }
    }

    pub(crate) async fn client(&self) -> Result<Object> {
        Ok(self.pool.get().await?)
    }
}

/// libpq's words for "and look at the certificate", which `require` does here in any case.
fn known_sslmode(url: &str) -> String {
    ["verify-full", "verify-ca"].iter().fold(url.to_owned(), |url, mode| {
        url.replace(&format!("sslmode={mode}"), "sslmode=require")
            .replace(&format!("sslmode='{mode}'"), "sslmode=require")
    })
}
