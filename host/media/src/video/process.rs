//! One child process: bounded in time, memory and output, at a low priority, in a group of its own that ends with us.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::VideoError;

/// How often a cancel is looked for.
const TICK: Duration = Duration::from_millis(50);
/// Kept of what a child says on standard error: its end.
const SAID: usize = 8 << 10;
/// Files that a child may open.
const FILES: u64 = 256;

/// Tells a running child that nobody wants its result. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a child is run with.
pub struct Call<'a> {
    /// As errors name it: `ffmpeg`.
    pub what: &'static str,
    pub program: &'a Path,
    pub args: Vec<OsString>,
    /// Lent to the child under the numbers that they have here; see [`fd_url`].
    pub files: &'a [&'a File],
    /// Its working folder.
    pub folder: &'a Path,
    /// Bytes of address space.
    pub memory: u64,
    /// Bytes of a file that it writes.
    pub file_size: u64,
    pub nice: i32,
    pub limit: Duration,
    /// The setting that raises the limit.
    pub setting: &'static str,
}

/// How a child names a file that it was lent. Opening it again gives a place of its own in the file, also where the file has no
/// name any more.
pub fn fd_url(file: &File) -> String {
    format!("file:/proc/self/fd/{}", file.as_raw_fd())
}

impl Call<'_> {
    /// Runs it to its end on this thread; `on_output` is given what it writes to standard output. The child gets SIGKILL when this
    /// thread ends, and this thread does not end before it.
    ///
    /// # Errors
    /// `TooSlow`, `Cancelled`, what `on_output` says, or `Failed` with the last line of what the child said.
    pub fn run(
        &self,
        cancel: &Cancel,
        mut on_output: impl FnMut(&[u8]) -> Result<(), VideoError>,
    ) -> Result<(), VideoError> {
        let mut group = Group(self.spawn().map_err(|source| VideoError::Machine { what: self.what, source })?);
        let (send, output) = mpsc::sync_channel::<Vec<u8>>(16);
        let (stdout, stderr) = (group.0.stdout.take(), group.0.stderr.take());
        std::thread::spawn(move || stdout.map(|pipe| forward(pipe, &send)));
        let (tell, said) = mpsc::sync_channel::<String>(1);
        std::thread::spawn(move || stderr.map(|pipe| tell.send(last_words(pipe))));
        let begun = Instant::now();
        loop {
            let left = self.left(begun, cancel)?;
            match output.recv_timeout(left.min(TICK)) {
                Ok(chunk) => on_output(&chunk)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let mut pause = Duration::from_micros(200);
        let status = loop {
            if let Some(status) = group.ended().map_err(|source| VideoError::Machine { what: self.what, source })? {
                break status;
            }
            self.left(begun, cancel)?;
            std::thread::sleep(pause);
            pause = (pause * 2).min(TICK);
        };
        if status.success() {
            return Ok(());
        }
        let said = said.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        Err(VideoError::Failed { what: self.what, why: self.why(&said, status) })
    }

    fn left(&self, begun: Instant, cancel: &Cancel) -> Result<Duration, VideoError> {
        if cancel.is_cancelled() {
            return Err(VideoError::Cancelled);
        }
        let slow = VideoError::TooSlow { what: self.what, limit: self.limit, setting: self.setting };
        self.limit.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()).ok_or(slow)
    }

    fn spawn(&self) -> io::Result<Child> {
        let mut command = Command::new(self.program);
        command.args(&self.args).current_dir(self.folder).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C").env("SVT_LOG", "1");
        // glibc would set 64 MiB of address space aside for each thread.
        command.env("MALLOC_ARENA_MAX", "4");
        if let Some(libraries) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let lent: Vec<RawFd> = self.files.iter().map(|file| file.as_raw_fd()).collect();
        let limits = [
            (libc::RLIMIT_AS, self.memory),
            (libc::RLIMIT_FSIZE, self.file_size),
            (libc::RLIMIT_NOFILE, FILES),
            (libc::RLIMIT_CORE, 0),
        ];
        let (nice, parent) = (self.nice, std::process::id() as i32);
        // SAFETY: the closure runs between fork and exec and calls only async-signal-safe functions; it allocates nothing.
        unsafe { command.pre_exec(move || prepare(&lent, &limits, nice, parent)) };
        command.spawn()
    }

    /// The last line that says something, without the parts that only a developer of ffmpeg reads.
    fn why(&self, said: &str, status: ExitStatus) -> String {
        let words = |line: &str| {
            let line = line.trim();
            let line = line.rsplit_once("] ").map_or(line, |(_, words)| words);
            // The name of the file is ours and says nothing.
            let line = match line.split_once("/proc/self/fd/") {
                Some((_, rest)) => rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':').trim(),
                None => line,
            };
            line.chars().filter(|c| !c.is_control()).take(300).collect::<String>()
        };
        let dull = ["Conversion failed!", "Invalid data found when processing input", "Invalid argument", ""];
        let lines: Vec<String> = said.lines().map(words).collect();
        let telling = lines.iter().rev().find(|line| !dull.contains(&&***line)).or_else(|| lines.last());
        telling.filter(|line| !line.is_empty()).cloned().unwrap_or_else(|| format!("it ended with {status}"))
    }
}

/// # Safety
/// Only between fork and exec: every call is async-signal-safe.
unsafe fn prepare(lent: &[RawFd], limits: &[(u32, u64)], nice: i32, parent: i32) -> io::Result<()> {
    let done = |result: i32| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: system calls on plain numbers and on a struct of this frame.
    unsafe {
        // A group of its own, so that whatever it starts ends with it.
        done(libc::setpgid(0, 0))?;
        done(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        if libc::getppid() != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        done(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        for (what, most) in limits {
            let limit = libc::rlimit { rlim_cur: *most, rlim_max: *most };
            done(libc::setrlimit(*what, &limit))?;
        }
        // A priority that is not given is no reason not to work.
        libc::setpriority(libc::PRIO_PROCESS, 0, nice);
        for fd in lent {
            done(libc::fcntl(*fd, libc::F_SETFD, 0))?;
        }
    }
    Ok(())
}

/// A child and whatever it started. Killed when dropped.
struct Group(Child);

impl Group {
    /// The others of the group are killed before the child is reaped: until then its number is nobody else's.
    fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        // SAFETY: a zeroed siginfo_t is a valid value to be written into.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG;
        // SAFETY: `info` is valid for writing; WNOWAIT leaves the child to be reaped below.
        if unsafe { libc::waitid(libc::P_PID, self.0.id(), &mut info, flags) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: waitid has filled it in, or left it zeroed.
        if unsafe { info.si_pid() } == 0 {
            return Ok(None);
        }
        self.kill();
        self.0.wait().map(Some)
    }

    fn kill(&self) {
        // SAFETY: the child has not been reaped, so the number is that of its group.
        unsafe { libc::kill(-(self.0.id() as i32), libc::SIGKILL) };
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        self.kill();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn forward(mut pipe: impl io::Read, to: &mpsc::SyncSender<Vec<u8>>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        if to.send(buffer[..count].to_vec()).is_err() {
            return;
        }
    }
}

fn last_words(mut pipe: impl io::Read) -> String {
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 4 << 10]);
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(SAID);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}
