//! The private PostgreSQL: a cluster in the data folder, on a unix socket.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::RuntimeConfig;
use crate::error::{Prepare as _, RuntimeError};
use crate::sockets::{private_dir, short_dir};
use crate::spawn;
use crate::supervisor::Supervisor;

const SERVICE: &str = "PostgreSQL";
const START_LIMIT: Duration = Duration::from_secs(60);

/// Memory and connections for a home server of 100,000s of photos. `fsync` stays on: an acknowledged upload is durable.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "shared_buffers=48MB",
    "effective_cache_size=512MB",
    "work_mem=8MB",
    "maintenance_work_mem=128MB",
    "max_connections=40",
    "max_wal_size=512MB",
    "min_wal_size=64MB",
    "wal_compression=on",
    "wal_level=minimal",
    "max_wal_senders=0",
    "jit=off",
    "max_parallel_workers_per_gather=1",
    "autovacuum_naptime=30s",
    "random_page_cost=1.1",
    "log_line_prefix=%m [%p] ",
    "io_method=sync",
    "logging_collector=off",
];

/// Creates the cluster where there is none, starts it and waits until it is ready.
pub fn start(config: &RuntimeConfig) -> Result<Supervisor, RuntimeError> {
    let bin = config.kit.join("postgres/bin");
    let postgres = bin.join("postgres");
    if !postgres.exists() {
        return Err(RuntimeError::Missing { path: postgres });
    }
    let data = data_dir(config);
    let log = config.data_dir.join("postgres.log");
    if !data.join("PG_VERSION").exists() {
        initialise(&bin.join("initdb"), &data, &log)?;
    }
    wait_for_old(&data, &log)?;
    let sockets = socket_dir(config)?;
    let command_log = log.clone();
    let command_data = data.clone();
    let command = move || -> io::Result<Command> {
        let mut command = spawn::command(&postgres, libc::SIGINT);
        command.arg("-D").arg(&command_data).arg("-k").arg(&sockets);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let log = OpenOptions::new().create(true).append(true).open(&command_log)?;
        command.stdout(log.try_clone()?).stderr(log);
        Ok(command)
    };
    let supervisor = Supervisor::start("postgres", libc::SIGINT, command)
        .map_err(|error| RuntimeError::not_started(SERVICE, error.to_string(), log.clone()))?;
    wait_until_ready(&supervisor, &data, &log)?;
    Ok(supervisor)
}

/// How `store` reaches it.
pub fn url(config: &RuntimeConfig) -> String {
    let sockets = short_dir(&config.data_dir);
    format!("host={} user=latent dbname=postgres", sockets.display())
}

fn data_dir(config: &RuntimeConfig) -> PathBuf {
    config.data_dir.join("postgres")
}

fn socket_dir(config: &RuntimeConfig) -> Result<PathBuf, RuntimeError> {
    let dir = short_dir(&config.data_dir);
    private_dir(&dir)?;
    Ok(dir)
}

/// Into a folder beside it, which is then renamed: a kill in between leaves no half cluster.
fn initialise(initdb: &Path, data: &Path, log: &Path) -> Result<(), RuntimeError> {
    let staging = data.with_extension("new");
    if staging.exists() {
        fs::remove_dir_all(&staging).prepare(&staging)?;
    }
    let file = File::create(log).prepare(log)?;
    let mut command = spawn::command(initdb, libc::SIGKILL);
    command
        .arg("-D")
        .arg(&staging)
        .args(["-U", "latent", "-A", "trust", "-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"])
        .args(["--locale=C", "--data-checksums"])
        .stdout(file.try_clone().prepare(log)?)
        .stderr(file);
    let status = command
        .status()
        .map_err(|error| RuntimeError::not_started(SERVICE, format!("initdb: {error}"), log.to_path_buf()))?;
    if !status.success() {
        return Err(RuntimeError::not_started(SERVICE, format!("initdb ended with {status}"), log.to_path_buf()));
    }
    fs::rename(&staging, data).prepare(data)
}

/// After a kill -9 of the server the old postmaster is still shutting down: it has our files until it is gone.
fn wait_for_old(data: &Path, log: &Path) -> Result<(), RuntimeError> {
    let begin = Instant::now();
    while let Some(pid) = postmaster(data).map(|(pid, _)| pid)
        && is_postgres(pid)
    {
        if begin.elapsed() > Duration::from_secs(20) {
            let why = format!("an older PostgreSQL (process {pid}) still has {}", data.display());
            return Err(RuntimeError::not_started(SERVICE, why, log.to_path_buf()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn is_postgres(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "postgres")
}

/// Process id and state, from the lines 1 and 8 of postmaster.pid.
fn postmaster(data: &Path) -> Option<(u32, String)> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok()?;
    Some((pid, lines.nth(6).unwrap_or("").trim().to_owned()))
}

fn wait_until_ready(supervisor: &Supervisor, data: &Path, log: &Path) -> Result<(), RuntimeError> {
    let begin = Instant::now();
    loop {
        match supervisor.pid() {
            Some(pid) if postmaster(data).is_some_and(|(owner, state)| owner == pid && state == "ready") => {
                return Ok(());
            }
            None => return Err(RuntimeError::not_started(SERVICE, "it ended at once", log.to_path_buf())),
            Some(_) if begin.elapsed() > START_LIMIT => {
                return Err(RuntimeError::not_started(SERVICE, "it was not ready within a minute", log.to_path_buf()));
            }
            Some(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
