//! Ends what uploads left behind. Deletes only what an intent names, never by listing a folder.

use blobs::{Object, StorageError};
use store::intents::Garbage;

use crate::{Gallery, Result};

impl Gallery {
    /// One round; returns how many pieces of garbage are gone. What fails stays for the next round.
    pub async fn sweep(&self) -> Result<usize> {
        let mut gone = 0;
        for garbage in self.store().claim_garbage(100).await? {
            match self.store().end_garbage(&garbage, self.delete_garbage(&garbage)).await? {
                Ok(()) => gone += 1,
                Err(error) => tracing::warn!(intent = %garbage.id, %error, "Cannot delete garbage yet"),
            }
        }
        Ok(gone)
    }

    async fn delete_garbage(&self, garbage: &Garbage) -> Result<(), StorageError> {
        let location = match &garbage.location {
            Some(location) => Some(location.clone()),
            // A crash between the storage's put and our note of where.
            None => match serde_json::from_value::<Object>(garbage.object.clone()) {
                Ok(object) => self.blobs().find(&object).await?,
                Err(error) => return Err(StorageError::Other(format!("the intent's object: {error}"))),
            },
        };
        match location {
            Some(location) => self.blobs().delete(&location).await,
            None => Ok(()),
        }
    }
}
