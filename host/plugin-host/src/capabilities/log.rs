//! `log`: events of a guest, in our log, with its name.

use wasmtime::Result;

use crate::bindings::lent::latent::plugin::log::{Host, Level};
use crate::instance::HostState;

/// A guest's message is cut here: a log is no place for a payload.
const LONGEST: usize = 2_000;
/// Events of one call; what comes after is counted only.
const MOST: u32 = 100;

impl Host for HostState {
    async fn enabled(&mut self, level: Level) -> Result<bool> {
        Ok(!matches!(level, Level::Trace | Level::Debug) || tracing::enabled!(tracing::Level::DEBUG))
    }

    async fn event(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> Result<()> {
        self.usage.logged = self.usage.logged.saturating_add(1);
        let plugin = &self.manifest.id;
        if self.usage.logged > MOST {
            if self.usage.logged == MOST + 1 {
                tracing::warn!(
                    plugin,
                    "A plugin logs more than {MOST} events in one call; the rest of them is dropped"
                );
            }
            return Ok(());
        }
        let message: String = message.chars().take(LONGEST).collect();
        let fields: Vec<String> = fields
            .iter()
            .take(16)
            .map(|(name, value)| format!("{name}={}", value.chars().take(200).collect::<String>()))
            .collect();
        let fields = fields.join(" ");
        match level {
            Level::Trace | Level::Debug => tracing::debug!(plugin, fields, "{message}"),
            Level::Info => tracing::info!(plugin, fields, "{message}"),
            Level::Warn => tracing::warn!(plugin, fields, "{message}"),
            Level::Error => tracing::error!(plugin, fields, "{message}"),
        }
        Ok(())
    }
}
