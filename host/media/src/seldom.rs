//! Tables that are large and seldom needed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Made when it is asked for, and dropped when nobody has asked for `idle`.
pub struct Seldom<T: 'static> {
    make: fn() -> T,
    idle: Duration,
    slot: Mutex<Option<Slot<T>>>,
}

struct Slot<T> {
    value: Arc<T>,
    used: Instant,
}

impl<T: Send + Sync + 'static> Seldom<T> {
    pub const fn new(idle: Duration, make: fn() -> T) -> Self {
        Self { make, idle, slot: Mutex::new(None) }
    }

    /// Blocks while it is made. Who holds it keeps it.
    pub fn get(&'static self) -> Arc<T> {
        let mut slot = self.slot.lock();
        if let Some(slot) = &mut *slot {
            slot.used = Instant::now();
            return slot.value.clone();
        }
        let value = Arc::new((self.make)());
        // Without a thread to drop it, it stays: nothing else is wrong with it.
        let _ = std::thread::Builder::new().name("seldom".into()).spawn(|| self.drop_when_idle());
        slot.insert(Slot { value, used: Instant::now() }).value.clone()
    }

    fn drop_when_idle(&self) {
        let mut rest = self.idle;
        loop {
            std::thread::sleep(rest);
            let mut slot = self.slot.lock();
            let Some(used) = slot.as_ref().map(|slot| slot.used.elapsed()) else { return };
            match self.idle.checked_sub(used).filter(|rest| !rest.is_zero()) {
                Some(left) => rest = left,
                None => {
                    *slot = None;
                    return;
                }
            }
        }
    }
}
