//! One PostgreSQL for the whole binary; a database per test, copied from a migrated template.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use runtime::{RuntimeConfig, Services};
use store::{Store, StoreConfig};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

static SERVICES: OnceLock<Services> = OnceLock::new();
static TEMPLATE: OnceCell<()> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A migrated database of one test.
pub struct Database {
    /// What `database.url` takes.
    pub url: String,
    pub store: Store,
}

impl Database {
    /// Copies the template.
    pub async fn new() -> Self {
        let admin = services().database_url().expect("an embedded PostgreSQL").to_owned();
        TEMPLATE.get_or_init(|| template(&admin)).await;
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let url = named(&admin, &name);
        execute(&admin, &format!("CREATE DATABASE {name} TEMPLATE latent_template")).await;
        let store = Store::new(&StoreConfig { url: url.clone(), pool_size: 8 }).unwrap();
        Self { url, store }
    }

    /// A connection of the test's own, to look behind the store's back.
    pub async fn raw(&self) -> Client {
        connect(&self.url).await
    }
}

async fn template(admin: &str) {
    execute(admin, "CREATE DATABASE latent_template").await;
    let store = Store::new(&StoreConfig { url: named(admin, "latent_template"), pool_size: 1 }).unwrap();
    store.migrate().await.unwrap();
    store.close();
}

async fn execute(url: &str, statement: &str) {
    connect(url).await.batch_execute(statement).await.unwrap();
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The same server, another database.
fn named(url: &str, name: &str) -> String {
    let others: Vec<&str> = url.split_whitespace().filter(|part| !part.starts_with("dbname=")).collect();
    format!("{} dbname={name}", others.join(" "))
}

fn services() -> &'static Services {
    SERVICES.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("latent-tests-{}", std::process::id()));
        sweep(&folder);
        let config = RuntimeConfig { data_dir: folder, kit: crate::kit(), postgres: true, valkey: false };
        Services::start(&config).unwrap()
    })
}

/// A static is never dropped, so the folders of earlier runs are removed here.
fn sweep(ours: &Path) {
    let Some(parent) = ours.parent() else { return };
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix("latent-tests-").and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if !PathBuf::from(format!("/proc/{pid}")).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
