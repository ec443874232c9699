//! How much a plugin may log in a second, over all its calls.

use parking_lot::Mutex;

/// Events of one second.
const MOST: u32 = 200;

/// Counts the events of the present second.
#[derive(Debug, Default)]
pub struct LogRate(Mutex<(i64, u32)>);

impl LogRate {
    /// May an event be logged in this second? `None`: this is the first that may not.
    pub fn admit(&self, second: i64) -> Option<bool> {
        let mut state = self.0.lock();
        if state.0 != second {
            *state = (second, 0);
        }
        state.1 = state.1.saturating_add(1);
        if state.1 == MOST + 1 { None } else { Some(state.1 <= MOST) }
    }
}
