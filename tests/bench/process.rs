//! CPU and memory of a process and all that it started, from /proc.

use std::collections::HashMap;
use std::fs;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use crate::report::Report;

/// Resident memory in MiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resident {
    /// Proportional: a page that several processes share is counted once, in parts.
    pub pss: f64,
    /// Every page that a process sees: those that are shared are counted for each.
    pub rss: f64,
}

/// Resident memory by the part that holds it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    pub server: Resident,
    pub postgres: Resident,
    pub redis: Resident,
    pub other: Resident,
}

impl Add for Resident {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { pss: self.pss + other.pss, rss: self.rss + other.rss }
    }
}

impl Memory {
    pub fn total(&self) -> Resident {
        self.server + self.postgres + self.redis + self.other
    }

    /// The parts in the report: PSS, and RSS beside it.
    pub fn report(&self, bench: &str, what: &str, report: &mut Report) {
        let parts =
            [("server", self.server), ("Postgres", self.postgres), ("Valkey", self.redis), ("others", self.other)];
        for (part, resident) in parts.into_iter().filter(|(_, resident)| resident.rss > 0.0) {
            report.add(bench, &format!("{what}: {part}, PSS"), resident.pss, "MiB");
            report.add(bench, &format!("{what}: {part}, RSS"), resident.rss, "MiB");
        }
        report.add(bench, &format!("{what}: all, RSS"), self.total().rss, "MiB");
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

/// Resident memory of the tree.
///
/// # Errors
/// A process of the tree that lives cannot be read: it must not count as nothing.
pub fn memory(root: u32) -> Result<Memory> {
    let mut memory = Memory::default();
    for pid in tree(root) {
        let resident = match resident(pid) {
            Ok(resident) => resident,
            // It ended since it was listed, or ends now.
            Err(_) if pid != root && !lives(pid) => continue,
            Err(error) => return Err(error.context(format!("the memory of the process {pid}"))),
        };
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let part = match name.trim() {
            name if name.starts_with("latent") => &mut memory.server,
            name if name.starts_with("postgres") => &mut memory.postgres,
            name if name.starts_with("valkey") || name.starts_with("redis") => &mut memory.redis,
            _ => &mut memory.other,
        };
        *part = *part + resident;
    }
    Ok(memory)
}

/// There, and neither dead nor a zombie.
fn lives(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| !matches!(fields.first().map(|state| &**state), Some("Z" | "X") | None))
}

fn resident(pid: u32) -> Result<Resident> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let mib = |field: &str| -> Result<f64> {
        let kib =
            text.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.trim().parse().ok());
        kib.map(|kib: u64| kib as f64 / 1024.0).with_context(|| format!("smaps_rollup says nothing of {field}"))
    };
    Ok(Resident { pss: mib("Pss:")?, rss: mib("Rss:")? })
}

/// Samples memory until it is asked for the peak.
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Memory>>,
}

impl Sampler {
    pub fn start(root: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut peak = Memory::default();
            while !stopped.load(Ordering::Relaxed) {
                let now = memory(root)?;
                if now.total().pss > peak.total().pss {
                    peak = now;
                }
                std::thread::sleep(Duration::from_millis(150));
            }
            Ok(peak)
        });
        Self { stop, thread }
    }

    /// The sample with the greatest sum.
    pub fn peak(self) -> Result<Memory> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the thread that samples memory panicked"))?
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
