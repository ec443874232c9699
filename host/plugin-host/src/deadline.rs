//! When a call has to be over. It stands still while the call waits for its turn in the host: that is not the guest's fault.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The deadline of an instance's present call.
#[derive(Debug)]
pub struct Deadline(Mutex<State>);

#[derive(Debug)]
struct State {
    at: Instant,
    waiting_since: Option<Instant>,
}

impl Deadline {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { at: Instant::now(), waiting_since: None })))
    }

    /// A call begins.
    pub fn set(&self, at: Instant) {
        *self.0.lock() = State { at, waiting_since: None };
    }

    /// Waits outside the deadline.
    pub async fn pause<T>(&self, wait: impl Future<Output = T>) -> T {
        self.0.lock().waiting_since = Some(Instant::now());
        let value = wait.await;
        let mut state = self.0.lock();
        if let Some(since) = state.waiting_since.take() {
            state.at += since.elapsed();
        }
        value
    }

    /// Is it over?
    pub fn is_over(&self) -> bool {
        self.end() <= Instant::now()
    }

    /// When it is over, as far as it is known now.
    pub fn end(&self) -> Instant {
        let state = self.0.lock();
        state.at + state.waiting_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}
