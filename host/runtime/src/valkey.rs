//! The private Valkey, on a unix socket, keeping nothing on disk: what it carries can be fed again from PostgreSQL.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::RuntimeConfig;
use crate::error::RuntimeError;
use crate::sockets::{private_dir, short_dir};
use crate::spawn;
use crate::supervisor::Supervisor;

const SERVICE: &str = "Valkey";

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
    let supervisor = Supervisor::start("valkey", libc::SIGTERM, command)
        .map_err(|error| RuntimeError::not_started(SERVICE, error.to_string(), log.clone()))?;
    let begin = Instant::now();
    while !answers(&socket) {
        if supervisor.pid().is_none() || begin.elapsed() > Duration::from_secs(20) {
            return Err(RuntimeError::not_started(SERVICE, "it does not answer", log));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(supervisor)
}

/// How `queue` reaches it.
pub fn url(config: &RuntimeConfig) -> String {
    format!("redis+unix://{}", socket(config).display())
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
