//! A circuit breaker: a plugin that keeps breaking is left alone for a while, then tried once.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use types::Clock;

/// Failures in a row that open it.
const IN_A_ROW: u32 = 5;
/// Or half of so many calls.
const WINDOW: u32 = 20;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// Of one export of one plugin.
pub struct Breaker {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last calls, the newest in the lowest bit; 1 is a failure.
    history: u32,
    calls: u32,
    in_a_row: u32,
    /// Milliseconds since 1970 until which it is open.
    open_until: Option<i64>,
    pause: Duration,
    probing: bool,
}

/// A call that was let through; says how it ended. Dropped without a word (a cancelled call) it says nothing.
pub struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Lets a call through, or says for how long none is.
    pub fn admit(&self) -> Result<Pass<'_>, Duration> {
        let mut state = self.state.lock();
        let Some(until) = state.open_until else { return Ok(Pass { breaker: self, probe: false }) };
        let left = until - self.clock.now().as_millisecond();
        if left > 0 || state.probing {
            return Err(Duration::from_millis(u64::try_from(left).unwrap_or(0)).max(Duration::from_millis(1)));
        }
        state.probing = true;
        Ok(Pass { breaker: self, probe: true })
    }
}

impl Pass<'_> {
    /// The guest answered, if only with an error.
    pub fn succeeded(self) {
        let mut state = self.breaker.state.lock();
        if self.probe {
            *state = State::default();
        }
        state.in_a_row = 0;
        state.push(false);
    }

    /// The guest broke.
    pub fn failed(self) {
        let mut state = self.breaker.state.lock();
        state.in_a_row += 1;
        state.push(true);
        let half = state.calls >= WINDOW && state.history.count_ones() * 2 >= WINDOW;
        if self.probe || state.open_until.is_none() && (state.in_a_row >= IN_A_ROW || half) {
            state.pause = (state.pause * 2).clamp(SHORTEST, LONGEST);
            let pause = i64::try_from(state.pause.as_millis()).unwrap_or(i64::MAX);
            state.open_until = Some(self.breaker.clock.now().as_millisecond().saturating_add(pause));
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.state.lock().probing = false;
        }
    }
}

impl State {
    fn push(&mut self, failure: bool) {
        self.history = (self.history << 1 | u32::from(failure)) & ((1 << WINDOW) - 1);
        self.calls = (self.calls + 1).min(WINDOW);
    }
}
