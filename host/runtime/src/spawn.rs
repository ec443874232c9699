//! How a service is spawned: it dies with the thread that spawned it, and is never root in its own eyes.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// The user `nobody` of every Linux: it has a line in /etc/passwd, which PostgreSQL looks up.
const NOBODY: u32 = 65534;

/// A command with an empty environment whose child gets `signal` when the spawning thread ends.
///
/// PostgreSQL refuses to run as root. As root, the child therefore enters a user namespace in which our files belong to
/// `nobody` and so does it: nothing has to be handed to another user, and a folder that only root may enter will do.
pub fn command(program: &std::path::Path, signal: i32) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").stdin(Stdio::null());
    let root = rustix::process::geteuid().is_root();
    let parent = std::process::id() as i32;
    // SAFETY: the closure runs between fork and exec and calls only async-signal-safe functions; it allocates nothing.
    unsafe {
        command.pre_exec(move || {
            if root {
                become_nobody()?;
            }
            // A group of its own: a Ctrl-C in the terminal is for the server, which then stops its services in order.
            libc::setpgid(0, 0);
            // After the namespace, because a change of credentials clears it.
            if libc::prctl(libc::PR_SET_PDEATHSIG, signal) != 0 {
                return Err(io::Error::last_os_error());
            }
            if libc::getppid() != parent {
                // The parent died before the line above.
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
    command
}

/// Enters a user namespace with the one mapping `nobody` -> root.
///
/// # Safety
/// Only between fork and exec.
unsafe fn become_nobody() -> io::Result<()> {
    const UID_MAP: &[u8] = b"65534 0 1\n";
    const _: () = assert!(NOBODY == 65534);
    // SAFETY: a system call without pointers.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the paths end with NUL, the buffers outlive the calls.
    unsafe {
        write_file(c"/proc/self/setgroups", b"deny")?;
        write_file(c"/proc/self/uid_map", UID_MAP)?;
        write_file(c"/proc/self/gid_map", UID_MAP)
    }
}

/// # Safety
/// Only async-signal-safe calls are made; `path` must outlive the call.
unsafe fn write_file(path: &std::ffi::CStr, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: `path` ends with NUL.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` is open, `bytes` is valid for its length.
    let n = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    let error = io::Error::last_os_error();
    // SAFETY: `fd` is ours.
    unsafe { libc::close(fd) };
    if n == bytes.len() as isize { Ok(()) } else { Err(error) }
}
