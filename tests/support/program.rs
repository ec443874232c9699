//! The real program as a process of its own, with embedded services: what can be killed.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::Client;

/// `latent` with arguments, in a folder: for what ends by itself.
pub fn latent(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(crate::bin_dir().join("latent"));
    command
        .args(args)
        .env("LATENT__DATA_DIR", folder.join("data"))
        .env("LATENT__PLUGIN_HOST__CACHE", std::env::temp_dir().join("latent-tests-compiled"))
        .env("LATENT_KIT", crate::kit())
        .env_remove("LATENT_FAILPOINT")
        .current_dir(crate::root());
    command
}

/// `latent`, running in a folder. Killed when dropped.
pub struct Program {
    child: Child,
    pub anonymous: Client,
    log: PathBuf,
}

impl Program {
    /// Starts in `folder`, where an earlier one may have left a library.
    pub fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        Self::try_start(folder, environment).unwrap_or_else(|log| panic!("the server did not start:\n{log}"))
    }

    /// The same; where it ends instead of becoming ready, what it said.
    pub fn try_start(folder: &Path, environment: &[(&str, &str)]) -> Result<Self, String> {
        Self::spawn(folder, Command::new(crate::bin_dir().join("latent")), environment)
    }

    /// `latent work`: no HTTP.
    pub fn work(folder: &Path, environment: &[(&str, &str)]) -> Self {
        Self::role(folder, &["work"], environment).unwrap_or_else(|log| panic!("the worker did not start:\n{log}"))
    }

    /// With arguments.
    pub fn role(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> Result<Self, String> {
        let mut command = Command::new(crate::bin_dir().join("latent"));
        command.args(args);
        Self::spawn(folder, command, environment)
    }

    /// The same behind a wrapper such as `unshare … --`.
    pub fn spawn(folder: &Path, mut command: Command, environment: &[(&str, &str)]) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let log = folder.join(format!("program-{}.log", NEXT.fetch_add(1, Ordering::Relaxed)));
        let mut child = command
            .env("LATENT__DATA_DIR", folder.join("data"))
            .env("LATENT__SERVER__PORT", "0")
            .env("LATENT__PLUGIN_HOST__CACHE", std::env::temp_dir().join("latent-tests-compiled"))
            .env("LATENT_KIT", crate::kit())
            .env_remove("LATENT_FAILPOINT")
            .envs(environment.iter().copied())
            .current_dir(crate::root())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        // Reads on after the address, or the program would block on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line.starts_with("Latent is ready") {
                    let url = line.find("http://").map_or("", |at| line[at..].trim());
                    let _ = send.send(url.to_owned());
                }
            }
        });
        match receive.recv_timeout(Duration::from_secs(60)) {
            Ok(url) => Ok(Self { child, anonymous: Client::new(&url), log }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(std::fs::read_to_string(log).unwrap_or_default())
            }
        }
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        self.wait()
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: the child has not been waited for, so the id is still its own.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "the server does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said on standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A child process by the start of its name.
    pub fn child(&self, name: &str) -> Option<u32> {
        std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
            let pid: u32 = entry.file_name().to_string_lossy().parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let (before, after) = stat.rsplit_once(')')?;
            let parent: u32 = after.split_whitespace().nth(1)?.parse().ok()?;
            let is_named = before.split_once('(')?.1.starts_with(name);
            (parent == self.id() && is_named).then_some(pid)
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
