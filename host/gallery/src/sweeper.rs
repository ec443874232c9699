//! Ends what uploads left behind. Deletes only what an intent names, never by listing a folder.

use blobs::StorageError;
use store::intents::{Garbage, Swept};

use crate::uploads::Intended;
use crate::{Gallery, Result, failpoint};

/// Claimed at once.
const BATCH: i64 = 100;

impl Gallery {
    /// Until there is no garbage left that is due; returns how many pieces are gone. What fails stays for a later round.
    pub async fn sweep(&self) -> Result<usize> {
        self.store().sweep_plugin_values().await?;
        self.store().prune_audits().await?;
        let mut gone = 0;
        loop {
            let claimed = self.store().claim_garbage(BATCH).await?;
            for garbage in &claimed {
                let delete = async |location: &str| {
                    self.blobs().delete(location).await?;
                    failpoint::hit("sweep.deleted");
                    Ok::<(), StorageError>(())
                };
                match self.store().end_garbage(garbage, self.find_garbage(garbage), delete).await? {
                    Ok(Swept::Gone) => gone += 1,
                    Ok(Swept::Postponed) => {}
                    Err(error) => tracing::warn!(intent = %garbage.id, %error, "Cannot delete garbage yet"),
                }
            }
            if (claimed.len() as i64) < BATCH {
                return Ok(gone);
            }
        }
    }

    /// What a crash left between the storage's put and our note of where.
    async fn find_garbage(&self, garbage: &Garbage) -> Result<Option<String>, StorageError> {
        match serde_json::from_value::<Intended>(garbage.object.clone()) {
            Ok(Intended { object, backend }) => {
                let backend = backend.as_deref().unwrap_or_else(|| self.blobs().backend_of(object.class));
                self.blobs().find_in(backend, &object).await
            }
            Err(error) => Err(StorageError::Other(format!("the intent's object: {error}"))),
        }
    }

    /// After something became garbage: at once rather than within a minute. What fails now is done then.
    pub(crate) async fn sweep_now(&self) {
        if let Err(error) = self.sweep().await {
            tracing::warn!(%error, "Cannot delete garbage now; the next round will");
        }
    }
}
