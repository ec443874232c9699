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
/// Calls that have to go well until its openings are forgotten.
const FORGIVEN: u32 = 200;

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
    /// How often it opened, and calls that went well since.
    openings: u32,
    well: u32,
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

    /// Until when no call is let through, as milliseconds since 1970; `None`: now one is.
    pub fn open_until(&self) -> Option<i64> {
        let until = self.state.lock().open_until?;
        (until > self.clock.now().as_millisecond()).then_some(until)
    }

    /// As good as new.
    pub fn close(&self) {
        *self.state.lock() = State::default();
    }
}

impl Pass<'_> {
    /// The guest answered, if only with an error.
    pub fn succeeded(self) {
        let mut state = self.breaker.state.lock();
        if self.probe {
            let State { openings, well, .. } = *state;
            *state = State { openings, well, ..State::default() };
        }
        state.in_a_row = 0;
        if state.openings > 0 {
            state.well += 1;
            if state.well >= FORGIVEN {
                (state.openings, state.well) = (0, 0);
            }
        }
        state.push(false);
    }

    /// The guest broke. Where that opens the breaker: how often it has opened by now.
    pub fn failed(self) -> Option<u32> {
        let mut state = self.breaker.state.lock();
        state.in_a_row += 1;
        state.push(true);
        let half = state.calls >= WINDOW && state.history.count_ones() * 2 >= WINDOW;
        let opens = self.probe || state.open_until.is_none() && (state.in_a_row >= IN_A_ROW || half);
        if opens {
            (state.openings, state.well) = (state.openings + 1, 0);
            state.pause = (state.pause * 2).clamp(SHORTEST, LONGEST);
            let pause = i64::try_from(state.pause.as_millis()).unwrap_or(i64::MAX);
            state.open_until = Some(self.breaker.clock.now().as_millisecond().saturating_add(pause));
        }
        opens.then_some(state.openings)
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
