//! Pauses. The truth about them is in the database: Redis may be emptied at any moment.

use serde_json::json;
use types::QueueName;

use crate::{Gallery, Result};

impl Gallery {
    /// Workers finish what they have and claim nothing more of this queue, on every node, until it is resumed.
    pub async fn pause_queue(&self, queue: &QueueName) -> Result<()> {
        self.store().set_fact(&key(queue), &json!(true)).await?;
        Ok(self.queue().pause(queue).await?)
    }

    pub async fn resume_queue(&self, queue: &QueueName) -> Result<()> {
        self.store().set_fact(&key(queue), &json!(false)).await?;
        Ok(self.queue().resume(queue).await?)
    }

    /// Tells a Redis that is new, or was emptied, which of these queues are paused.
    pub async fn restore_pauses(&self, queues: &[QueueName]) -> Result<()> {
        for queue in queues {
            match self.store().fact(&key(queue)).await?.and_then(|paused| paused.as_bool()) {
                Some(true) => self.queue().pause(queue).await?,
                Some(false) if self.queue().is_paused(queue).await? => self.queue().resume(queue).await?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn key(queue: &QueueName) -> String {
    format!("queue.{queue}.paused")
}
