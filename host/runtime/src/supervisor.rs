//! One service: spawned by a thread that lives as long as it, started again when it dies.

use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A service that ran this long starts again without waiting.
const STABLE: Duration = Duration::from_secs(30);

/// How a service is asked to end.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    pub signal: i32,
    /// It is killed when it has not ended by then.
    pub patience: Duration,
}

/// A running service. Stopped when dropped.
#[derive(Debug)]
pub struct Supervisor {
    shared: Arc<Shared>,
    ending: Ending,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// `None`: not up. Set back before the process is reaped, so that it never names one that is not ours.
    pid: Option<u32>,
    stopping: bool,
    /// How often it ended unasked.
    ended: u32,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is a few plain values: whole, whatever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, state: &State, signal: i32) {
        if let Some(pid) = state.pid {
            // SAFETY: the lock is held, and the watch reaps only after it took `pid` away under it: the process is a child of
            // ours that has not been waited for.
            unsafe { libc::kill(pid as i32, signal) };
        }
    }
}

impl Supervisor {
    /// Spawns what `command` makes, on a new thread: PR_SET_PDEATHSIG follows the spawning thread, so that thread stays until
    /// the service has ended. `command` is asked again at each restart. Returns when the first spawn was tried.
    pub fn start(
        name: &'static str,
        ending: Ending,
        command: impl Fn() -> std::io::Result<Command> + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { name, state: Mutex::default(), changed: Condvar::new() });
        let (tell, told) = mpsc::sync_channel(1);
        let watch = Watch(shared.clone());
        let thread = std::thread::Builder::new().name(format!("watch-{name}")).spawn(move || {
            match command().and_then(|mut command| command.spawn()) {
                Ok(child) => {
                    watch.0.state().pid = Some(child.id());
                    let _ = tell.send(Ok(()));
                    watch.run(child, &command);
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        })?;
        told.recv().map_err(std::io::Error::other)??;
        Ok(Self { shared, ending, thread: Some(thread) })
    }

    /// Its process, while it is up.
    pub fn pid(&self) -> Option<u32> {
        self.shared.state().pid
    }

    /// How often it has ended unasked so far.
    pub fn ended(&self) -> u32 {
        self.shared.state().ended
    }

    /// Asks it to end, and waits; kills it when its patience is over. Dropping does the same.
    pub fn stop(self) {
        drop(self);
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let begin = Instant::now();
        let mut state = self.shared.state();
        state.stopping = true;
        self.shared.changed.notify_all();
        let mut asked = None;
        while !thread.is_finished() {
            if asked != state.pid {
                asked = state.pid;
                self.shared.signal(&state, self.ending.signal);
            }
            if begin.elapsed() > self.ending.patience && state.pid.is_some() {
                warn!(service = self.shared.name, after = ?self.ending.patience, "Did not stop, killing it");
                self.shared.signal(&state, libc::SIGKILL);
            }
            let waited = self.shared.changed.wait_timeout(state, Duration::from_millis(5));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.end();
    }
}

struct Watch(Arc<Shared>);

impl Watch {
    fn run(&self, mut child: Child, command: &impl Fn() -> std::io::Result<Command>) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let begin = Instant::now();
            self.wait(&mut child);
            if begin.elapsed() > STABLE {
                backoff = FIRST_BACKOFF;
            }
            loop {
                if self.stopped_within(backoff) {
                    return;
                }
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
                // Spawned under the lock: whoever wants to stop sees the process or keeps it from being made.
                let mut state = self.0.state();
                if state.stopping {
                    return;
                }
                match command().and_then(|mut command| command.spawn()) {
                    Ok(next) => {
                        info!(service = self.0.name, pid = next.id(), "Started again");
                        state.pid = Some(next.id());
                        child = next;
                        break;
                    }
                    Err(error) => error!(service = self.0.name, %error, "Cannot start again"),
                }
            }
        }
    }

    /// Sleeps, unless somebody stops it.
    fn stopped_within(&self, time: Duration) -> bool {
        let begin = Instant::now();
        let mut state = self.0.state();
        while !state.stopping {
            let Some(left) = time.checked_sub(begin.elapsed()) else { return false };
            let waited = self.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
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
        let stopping = {
            let mut state = self.0.state();
            state.pid = None;
            state.ended += u32::from(!state.stopping);
            state.stopping
        };
        match child.wait() {
            Ok(status) if stopping => info!(service = self.0.name, %status, "Stopped"),
            Ok(status) => error!(service = self.0.name, %status, "Ended unasked, starting it again"),
            Err(error) => error!(service = self.0.name, %error, "Cannot wait for it"),
        }
    }
}
