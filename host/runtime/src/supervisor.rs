//! One service: spawned by a thread that lives as long as it, started again when it dies.

use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A service that ran this long starts again without waiting.
const STABLE: Duration = Duration::from_secs(30);

/// A running service.
#[derive(Debug)]
pub struct Supervisor {
    name: &'static str,
    /// 0: not up.
    pid: Arc<AtomicU32>,
    stopping: Arc<AtomicBool>,
    stop_signal: i32,
    thread: JoinHandle<()>,
}

impl Supervisor {
    /// Spawns what `command` makes, on a new thread: PR_SET_PDEATHSIG follows the spawning thread, so that thread stays until
    /// the service has ended. `command` is asked again at each restart. Returns when the first spawn was tried.
    pub fn start(
        name: &'static str,
        stop_signal: i32,
        command: impl Fn() -> std::io::Result<Command> + Send + 'static,
    ) -> std::io::Result<Self> {
        let pid = Arc::new(AtomicU32::new(0));
        let stopping = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::sync_channel(1);
        let watch = Watch { name, pid: pid.clone(), stopping: stopping.clone() };
        let thread = std::thread::Builder::new().name(format!("watch-{name}")).spawn(move || {
            let first = command().and_then(|mut command| command.spawn());
            match first {
                Ok(child) => {
                    watch.pid.store(child.id(), Ordering::SeqCst);
                    let _ = tell.send(Ok(()));
                    watch.run(child, &command);
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        })?;
        told.recv().map_err(std::io::Error::other)??;
        Ok(Self { name, pid, stopping, stop_signal, thread })
    }

    /// Its process, while it is up.
    pub fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::SeqCst)).filter(|pid| *pid != 0)
    }

    /// Asks it to end, and waits. Kills it after ten seconds.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::SeqCst);
        let begin = Instant::now();
        let mut asked = 0;
        while !self.thread.is_finished() {
            let pid = self.pid.load(Ordering::SeqCst);
            if pid != 0 && asked != pid {
                asked = pid;
                signal(pid, self.stop_signal);
            }
            if pid != 0 && begin.elapsed() > Duration::from_secs(10) {
                warn!(service = self.name, "Did not stop within 10 s, killing it");
                signal(pid, libc::SIGKILL);
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

fn signal(pid: u32, signal: i32) {
    // SAFETY: the process is a child of ours that has not been waited for: `pid` is set back to 0 first.
    unsafe { libc::kill(pid as i32, signal) };
}

struct Watch {
    name: &'static str,
    pid: Arc<AtomicU32>,
    stopping: Arc<AtomicBool>,
}

impl Watch {
    fn run(&self, mut child: Child, command: &impl Fn() -> std::io::Result<Command>) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let begin = Instant::now();
            self.wait(&mut child);
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            if begin.elapsed() > STABLE {
                backoff = FIRST_BACKOFF;
            }
            loop {
                std::thread::sleep(backoff);
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
                if self.stopping.load(Ordering::SeqCst) {
                    return;
                }
                match command().and_then(|mut command| command.spawn()) {
                    Ok(next) => {
                        info!(service = self.name, pid = next.id(), "Started again");
                        self.pid.store(next.id(), Ordering::SeqCst);
                        child = next;
                        break;
                    }
                    Err(error) => error!(service = self.name, %error, "Cannot start again"),
                }
            }
        }
    }

    /// Waits without reaping first, so that `pid` never names a process that is not ours.
    fn wait(&self, child: &mut Child) {
        let id = child.id();
        // SAFETY: a zeroed siginfo_t is a valid value to be written into.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` is valid for writing; WNOWAIT leaves the child to be reaped below.
        while unsafe { libc::waitid(libc::P_PID, id, &mut info, libc::WEXITED | libc::WNOWAIT) } != 0 {
            if std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
                break;
            }
        }
        self.pid.store(0, Ordering::SeqCst);
        match child.wait() {
            Ok(status) if self.stopping.load(Ordering::SeqCst) => info!(service = self.name, %status, "Stopped"),
            Ok(status) => error!(service = self.name, %status, "Ended unasked, starting it again"),
            Err(error) => error!(service = self.name, %error, "Cannot wait for it"),
        }
    }
}
