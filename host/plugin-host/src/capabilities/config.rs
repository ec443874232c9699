//! `config`: settings, and the only clock and randomness of a guest.

use rand::RngCore as _;
use wasmtime::Result;

use crate::bindings::lent::latent::plugin::config::Host;
use crate::instance::HostState;

const MOST_RANDOM: u32 = 4_096;

impl Host for HostState {
    async fn settings(&mut self) -> Result<String> {
        Ok(self.common.grant.settings.clone())
    }

    async fn now_ms(&mut self) -> Result<u64> {
        Ok(u64::try_from(self.common.clock.now().as_millisecond()).unwrap_or(0))
    }

    async fn random(&mut self, len: u32) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len.min(MOST_RANDOM) as usize];
        rand::rng().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}
