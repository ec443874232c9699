//! `secrets`: keys that a guest uses and never holds.

use crate::bindings::lent::latent::plugin::secrets::Host;
use crate::bindings::lent::latent::plugin::types::Error;
use crate::instance::{Answer, HostState};

impl Host for HostState {
    async fn hmac_sha256_chain(
        &mut self,
        secret: String,
        prefix: Option<String>,
        messages: Vec<Vec<u8>>,
    ) -> Answer<Vec<u8>> {
        let secrets = &self.common.secrets;
        Ok(match secrets.named(&secret) {
            Ok(bound) => bound.chain(prefix.as_deref(), &messages).map(|mac| mac.to_vec()).map_err(Error::Invalid),
            Err(why) => Err(Error::Denied(why)),
        })
    }
}
