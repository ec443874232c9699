//! CPU and memory of a process and all that it started, from /proc.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Proportional resident memory in MiB, by the part that holds it. Shared pages are counted once among those who share them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    pub server: f64,
    pub postgres: f64,
    pub redis: f64,
    pub other: f64,
}

impl Memory {
    pub fn total(&self) -> f64 {
        self.server + self.postgres + self.redis + self.other
    }
}

/// The process and its descendants.
fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        found.extend(children.get(&found[at]).into_iter().flatten());
        at += 1;
    }
    found
}

/// The fields of /proc/PID/stat from the state on: the name before it may hold blanks.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// CPU seconds, user and system, of the whole tree and of its children that ended.
pub fn cpu_seconds(root: u32) -> f64 {
    // SAFETY: sysconf has no preconditions.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let sum: u64 = tree(root)
        .into_iter()
        .filter_map(stat)
        .map(|fields| (11..15).filter_map(|at| fields.get(at)?.parse::<u64>().ok()).sum::<u64>())
        .sum();
    sum as f64 / ticks
}

/// Proportional resident memory of the tree.
pub fn memory(root: u32) -> Memory {
    let mut memory = Memory::default();
    for pid in tree(root) {
        let mib = pss_kib(pid).unwrap_or(0) as f64 / 1024.0;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        match name.trim() {
            name if name.starts_with("latent") => memory.server += mib,
            name if name.starts_with("postgres") => memory.postgres += mib,
            name if name.starts_with("valkey") || name.starts_with("redis") => memory.redis += mib,
            _ => memory.other += mib,
        }
    }
    memory
}

fn pss_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
}

/// Samples memory until it is asked for the peak.
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Memory>,
}

impl Sampler {
    pub fn start(root: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut peak = Memory::default();
            while !stopped.load(Ordering::Relaxed) {
                let now = memory(root);
                if now.total() > peak.total() {
                    peak = now;
                }
                std::thread::sleep(Duration::from_millis(150));
            }
            peak
        });
        Self { stop, thread }
    }

    /// The sample with the greatest sum.
    pub fn peak(self) -> Memory {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// CPU seconds of the thread that asks.
pub fn thread_seconds() -> f64 {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU seconds of all threads of this process.
pub fn own_seconds() -> f64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(id: libc::clockid_t) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of our own, which outlives the call.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
