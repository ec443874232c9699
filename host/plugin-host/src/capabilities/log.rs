//! `log`: events of a guest, in our log, with its name.

use wasmtime::Result;

use crate::bindings::lent::latent::plugin::log::{Host, Level};
use crate::instance::HostState;
use crate::text::{LONGEST, clean};

/// Events of one call; what comes after is counted only.
const MOST: u32 = 100;
/// A field is a word or two; a log is no place for a payload.
const MOST_FIELDS: usize = 16;
const LONGEST_NAME: usize = 64;
const LONGEST_VALUE: usize = 200;

impl Host for HostState {
    async fn enabled(&mut self, level: Level) -> Result<bool> {
        Ok(!matches!(level, Level::Trace | Level::Debug) || tracing::enabled!(tracing::Level::DEBUG))
    }

    async fn event(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> Result<()> {
        if !self.may_log() {
            self.usage.unlogged = self.usage.unlogged.saturating_add(1);
            return Ok(());
        }
        self.usage.logged += 1;
        let plugin = &self.common.manifest.id;
        let message = clean(&message, LONGEST);
        let field =
            |(name, value): &(String, String)| format!("{}={}", clean(name, LONGEST_NAME), clean(value, LONGEST_VALUE));
        let fields = fields.iter().take(MOST_FIELDS).map(field).collect::<Vec<_>>().join(" ");
        match level {
            Level::Trace | Level::Debug => tracing::debug!(plugin, fields, "{message}"),
            Level::Info => tracing::info!(plugin, fields, "{message}"),
            Level::Warn => tracing::warn!(plugin, fields, "{message}"),
            Level::Error => tracing::error!(plugin, fields, "{message}"),
        }
        Ok(())
    }
}

impl HostState {
    /// Says once where it may not.
    fn may_log(&self) -> bool {
        let plugin = &self.common.manifest.id;
        if self.usage.logged >= MOST {
            if self.usage.unlogged == 0 {
                tracing::warn!(plugin, "A plugin logs more than {MOST} events in a call; the others are dropped");
            }
            return false;
        }
        match self.common.log_rate.admit(self.common.clock.now().as_second()) {
            Some(may) => may,
            None => {
                tracing::warn!(plugin, "A plugin logs too much; its events are dropped for the rest of this second");
                false
            }
        }
    }
}
