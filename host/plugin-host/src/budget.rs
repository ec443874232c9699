//! Bytes that the host holds behind a guest's handles: wasmtime counts a guest's memory, but cannot see these.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one instance may make the host hold.
#[derive(Debug)]
pub struct Budget {
    used: AtomicU64,
    most: u64,
}

/// A part of a budget, given back when the last holder is dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// `most`: bytes at once.
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), most })
    }

    /// Takes `bytes`, if as many are left.
    pub fn take(self: &Arc<Self>, bytes: u64) -> Option<Arc<Charge>> {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.most);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Arc::new(Charge { budget: self.clone(), bytes }))
    }

    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        self.most - self.used()
    }

    /// Bytes that are taken.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Charge {
    /// Takes `bytes` more, if as many are left.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.budget.most);
        let grown = self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        self.bytes += if grown { bytes } else { 0 };
        grown
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
