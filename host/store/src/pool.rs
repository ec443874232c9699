//! Connections.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Result, StoreError};

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `postgresql://…` or `host=… user=… dbname=…`; a host that starts with `/` is a folder with a unix socket.
    pub url: String,
    pub pool_size: usize,
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
        let mut pg =
            tokio_postgres::Config::from_str(&config.url).map_err(|error| StoreError::Url(error.to_string()))?;
        pg.application_name("latent").connect_timeout(Duration::from_secs(5));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let tcp = pg.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
        let manager = if tcp && pg.get_ssl_mode() != SslMode::Disable {
            Manager::from_config(pg, tls(), recycling)
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

    /// Does the database answer?
    pub async fn ping(&self) -> Result<()> {
        self.client().await?.simple_query("SELECT 1").await?;
        Ok(())
    }

    pub(crate) async fn client(&self) -> Result<Object> {
        Ok(self.pool.get().await?)
    }
}

fn tls() -> MakeRustlsConnect {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    MakeRustlsConnect::new(config)
}
