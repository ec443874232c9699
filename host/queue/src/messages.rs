//! Words between the processes of an installation: "there is work", and what a room above wants all of them to hear.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::broadcast;

use crate::scripts::WAKE;
use crate::{Queue, QueueError};

/// What [`Queue::tell`] says comes here. `latent:wake` is a key of its own, because scripts speak it.
const WORDS: &str = "latent:words";
const AGAIN: Duration = Duration::from_secs(1);

impl Queue {
    /// Says something to every process that listens on this Redis, this one included. Nobody may hear it.
    pub async fn tell(&self, words: &str) -> Result<(), QueueError> {
        let channel = self.channel(WORDS);
        let _: i64 = redis::cmd("PUBLISH").arg(channel).arg(words).query_async(&mut self.redis.clone()).await?;
        Ok(())
    }

    /// What anybody tells from now on. One that falls behind loses the oldest.
    pub fn told(&self) -> broadcast::Receiver<String> {
        self.words.subscribe()
    }

    /// Waits until somebody pushed a job. Wakes at once when that was since the last call.
    pub async fn pushed(&self) {
        self.wake.notified().await;
    }

    /// Listens for ever, and connects again when Redis comes back. Without it [`Queue::told`] stays silent and [`Queue::pushed`]
    /// hears this process alone.
    pub async fn listen(&self) {
        loop {
            if let Err(error) = self.listen_once().await {
                tracing::debug!(%error, "Cannot listen to Redis yet");
            }
            // What was said in the meantime is lost: there may be work.
            self.wake.notify_one();
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn listen_once(&self) -> Result<(), QueueError> {
        let words = self.channel(WORDS);
        let mut subscription = self.client.get_async_pubsub().await?;
        subscription.subscribe(&[WAKE, &*words]).await?;
        let mut messages = subscription.into_on_message();
        while let Some(message) = messages.next().await {
            if message.get_channel_name() == WAKE {
                self.wake.notify_one();
            } else if let Ok(text) = message.get_payload::<String>() {
                let _ = self.words.send(text);
            }
        }
        Ok(())
    }

    /// Channels are shared by all databases of a Redis; what they say is not.
    fn channel(&self, name: &str) -> String {
        format!("{name}:{}", self.client.get_connection_info().redis_settings().db())
    }
}
