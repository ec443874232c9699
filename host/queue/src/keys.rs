//! The names of things in Redis.

use types::{Priority, QueueName};

/// Gone when Redis was emptied.
pub const MARKER: &str = "latent:fed";

/// The keys of one queue.
pub struct Keys(String);

impl Keys {
    pub fn of(queue: &QueueName) -> Self {
        Self(format!("latent:{{{queue}}}"))
    }

    pub fn stream(&self, priority: Priority) -> String {
        match priority {
            Priority::Interactive => format!("{}:interactive", self.0),
            Priority::Backfill => format!("{}:backfill", self.0),
        }
    }

    /// Hash: the jobs that wait, by what makes two of them one.
    pub fn waiting(&self) -> String {
        format!("{}:waiting", self.0)
    }

    /// Sorted set: the jobs that are tried again, by when.
    pub fn delayed(&self) -> String {
        format!("{}:delayed", self.0)
    }

    /// Hash: the jobs that were given up, by what they are about.
    pub fn dead(&self) -> String {
        format!("{}:dead", self.0)
    }

    pub fn paused(&self) -> String {
        format!("{}:paused", self.0)
    }
}
