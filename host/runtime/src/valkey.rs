//! The private Valkey, on a unix socket, keeping nothing on disk: what it carries can be fed again from PostgreSQL.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::RuntimeConfig;
use crate::error::{Prepare as _, RuntimeError};
use crate::sockets::{private_dir, short_dir};
use crate::spawn;
use crate::supervisor::{Ending, Supervisor};

const SERVICE: &str = "Valkey";
const ENDING: Ending = Ending { signal: libc::SIGTERM, patience: Duration::from_secs(10) };
/// Leads to the socket of the Valkey that runs, for other processes of this data folder.
const CURRENT: &str = "valkey.sock";

/// Starts it and waits until it answers PING.
pub fn start(config: &RuntimeConfig) -> Result<Supervisor, RuntimeError> {
    let program = config.kit.join("valkey/valkey-server");
    if !program.exists() {
        return Err(RuntimeError::Missing { path: program });
    }
    private_dir(&short_dir(&config.data_dir))?;
    remove_old_sockets(&short_dir(&config.data_dir));
    let socket = socket(config);
    let log = config.data_dir.join("valkey.log");
    let (command_socket, command_log, dir) = (socket.clone(), log.clone(), config.data_dir.clone());
    let command = move || -> io::Result<Command> {
        let _ = fs::remove_file(&command_socket);
        let mut command = spawn::command(&program, libc::SIGTERM);
        command.args(["--port", "0", "--unixsocketperm", "700", "--unixsocket"]).arg(&command_socket);
        command.args(["--save", "", "--appendonly", "no", "--databases", "2", "--maxmemory", "256mb"]);
        command.args(["--maxmemory-policy", "noeviction", "--daemonize", "no", "--dir"]).arg(&dir);
        let log = OpenOptions::new().create(true).append(true).open(&command_log)?;
        command.stdout(log.try_clone()?).stderr(log);
        Ok(command)
    };
    let supervisor = Supervisor::start("valkey", ENDING, command)
        .map_err(|error| RuntimeError::not_spawned(SERVICE, error, log.clone()))?;
    let begin = Instant::now();
    while !answers(&socket) {
        if supervisor.ended() > 2 || begin.elapsed() > Duration::from_secs(20) {
            return Err(RuntimeError::not_started(SERVICE, "it does not answer", log));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    show(config, &socket)?;
    Ok(supervisor)
}

/// How `queue` reaches the one that this process started.
pub fn url(config: &RuntimeConfig) -> String {
    url_of(&socket(config))
}

/// How `queue` reaches the one that another process started, now and after that process was started again.
pub fn url_of_other(config: &RuntimeConfig) -> String {
    url_of(&short_dir(&config.data_dir).join(CURRENT))
}

/// Does the one that another process started?
pub fn other_answers(config: &RuntimeConfig) -> bool {
    answers(&short_dir(&config.data_dir).join(CURRENT))
}

/// A folder may have any name: what means something in a URL is written as its number.
fn url_of(socket: &Path) -> String {
    let mut url = "redis+unix://".to_owned();
    for byte in socket.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            url.push(char::from(*byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// In one step: whoever connects finds the old one or the new one.
fn show(config: &RuntimeConfig, socket: &Path) -> Result<(), RuntimeError> {
    let current = short_dir(&config.data_dir).join(CURRENT);
    let staging = current.with_extension("new");
    let _ = fs::remove_file(&staging);
    std::os::unix::fs::symlink(socket, &staging).prepare(&staging)?;
    fs::rename(&staging, &current).prepare(&current)
}

fn socket(config: &RuntimeConfig) -> PathBuf {
    short_dir(&config.data_dir).join(format!("valkey-{}.sock", std::process::id()))
}

/// A Valkey unlinks its socket when it ends. After a crash of its server that may be later than our start: so that it does not
/// take ours away, each start has a name of its own.
fn remove_old_sockets(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("valkey-") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn answers(socket: &Path) -> bool {
    let ping = || -> io::Result<bool> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG")
    };
    ping().unwrap_or(false)
}
