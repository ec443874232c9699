//! The private PostgreSQL: a cluster in the data folder, on a unix socket.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::RuntimeConfig;
use crate::cluster::{self, Cluster};
use crate::error::{Prepare as _, RuntimeError};
use crate::sockets::{private_dir, short_dir};
use crate::spawn;
use crate::supervisor::{Ending, Supervisor};

const SERVICE: &str = "PostgreSQL";
/// For what is not a recovery, which may take as long as it takes.
const START_LIMIT: Duration = Duration::from_secs(60);
/// So often may it end at the start for a reason that does not go away by itself.
const TRIES: u32 = 3;
/// The last checkpoint writes what is in memory.
const ENDING: Ending = Ending { signal: libc::SIGINT, patience: Duration::from_secs(60) };

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
    let cluster = cluster(config);
    let log = config.data_dir.join("postgres.log");
    let sockets = socket_dir(config)?;
    match cluster.major() {
        None => initialise(&bin.join("initdb"), cluster.dir(), &log)?,
        Some(found) => {
            let ours = cluster::major_of(&postgres)?;
            if found != ours {
                let data = cluster.dir().to_path_buf();
                return Err(RuntimeError::OtherMajor { data, found, ours, sockets });
            }
        }
    }
    wait_for_old(&cluster, &log)?;
    let from = fs::metadata(&log).map_or(0, |metadata| metadata.len());
    let (command_log, command_cluster) = (log.clone(), cluster.clone());
    let command = move || -> io::Result<Command> {
        command_cluster.remove_stale_pid_file()?;
        let mut command = spawn::command(&postgres, libc::SIGINT);
        command.arg("-D").arg(command_cluster.dir()).arg("-k").arg(&sockets);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let log = OpenOptions::new().create(true).append(true).open(&command_log)?;
        command.stdout(log.try_clone()?).stderr(log);
        Ok(command)
    };
    let supervisor = Supervisor::start("postgres", ENDING, command)
        .map_err(|error| RuntimeError::not_spawned(SERVICE, error, log.clone()))?;
    wait_until_ready(&supervisor, &cluster, &log, from)?;
    Ok(supervisor)
}

/// How `store` reaches it.
pub fn url(config: &RuntimeConfig) -> String {
    let sockets = short_dir(&config.data_dir).display().to_string();
    // Quoted as libpq does: a folder may have a space in its name.
    let quoted = sockets.replace('\\', "\\\\").replace('\'', "\\'");
    let plain = sockets.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    let host = if plain { sockets } else { format!("'{quoted}'") };
    format!("host={host} user=latent dbname=postgres")
}

/// Is there one, whoever started it?
pub fn is_ready(config: &RuntimeConfig) -> bool {
    let cluster = cluster(config);
    cluster.user().is_some() && cluster.postmaster().is_some_and(|(_, state)| state == "ready")
}

fn cluster(config: &RuntimeConfig) -> Cluster {
    Cluster::in_folder(config.data_dir.join("postgres"))
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
    let status = command.status().map_err(|error| RuntimeError::not_spawned(SERVICE, error, log.to_path_buf()))?;
    if !status.success() {
        return Err(RuntimeError::not_started(SERVICE, format!("initdb ended with {status}"), log.to_path_buf()));
    }
    fs::rename(&staging, data).prepare(data)
}

/// After a kill -9 of the server the old postmaster is still shutting down: it has our files until it is gone.
fn wait_for_old(cluster: &Cluster, log: &Path) -> Result<(), RuntimeError> {
    let begin = Instant::now();
    let mut told = false;
    while let Some(pid) = cluster.user() {
        if begin.elapsed() > 2 * START_LIMIT {
            let why = format!("an older PostgreSQL (process {pid}) still has {}", cluster.dir().display());
            return Err(RuntimeError::not_started(SERVICE, why, log.to_path_buf()));
        }
        if begin.elapsed() > Duration::from_secs(5) && !told {
            told = true;
            tracing::info!(pid, "Waiting for an older PostgreSQL to end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn wait_until_ready(supervisor: &Supervisor, cluster: &Cluster, log: &Path, from: u64) -> Result<(), RuntimeError> {
    let mut begin = Instant::now();
    let mut next_word = Duration::from_secs(10);
    let failed = |why: &str| Err(RuntimeError::not_started(SERVICE, why, log.to_path_buf()));
    loop {
        let postmaster = cluster.postmaster();
        let own = postmaster.filter(|(owner, _)| supervisor.pid() == Some(*owner));
        match own.as_ref().map(|(_, state)| &**state) {
            Some("ready") => return Ok(()),
            // It recovers from a crash: to give up would only begin that again.
            Some("starting") if begin.elapsed() > next_word => {
                tracing::info!(log = %log.display(), "PostgreSQL recovers from a crash and is not ready yet");
                begin = Instant::now();
                next_word = Duration::from_secs(30);
            }
            Some("starting") => {}
            _ if begin.elapsed() > START_LIMIT => return failed("it was not ready within a minute"),
            _ if supervisor.ended() >= TRIES && !is_passing(log, from) => return failed("it ended at once"),
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Backends of a postmaster that was killed hold its shared memory until they have noticed: it goes away by itself.
fn is_passing(log: &Path, from: u64) -> bool {
    use std::io::{Read as _, Seek as _};
    let mut words = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(io::SeekFrom::Start(from))?;
        file.read_to_end(&mut words)
    });
    let words = String::from_utf8_lossy(&words);
    let last = words.lines().rev().find(|line| line.contains("FATAL"));
    read.is_ok() && last.is_some_and(|line| line.contains("pre-existing shared memory") || line.contains("lock file"))
}
