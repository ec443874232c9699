//! Originals that move to where their date says (DESIGN 3).

use blobs::{BlobClass, Object, StorageError};
use jiff::civil;
use store::assets::Asset;

use crate::uploads::{Points, wall_clock_ms};
use crate::{Gallery, GalleryError, Result, failpoint};

const RELOCATE: Points = ["relocate.intent", "relocate.put", "relocate.located"];

impl Gallery {
    /// Moves the original to where `local` says, unless it was filed under that. The bytes lie at the new place before the row
    /// says so, and at the old one until it does: a storage's own rename could leave a row that names nothing.
    pub(crate) async fn file_by_date(&self, asset: &Asset, local: civil::DateTime) -> Result<()> {
        if asset.filed_under.is_none_or(|filed_under| filed_under == local) {
            return Ok(());
        }
        let Some((owner_label, sha256)) = self.store().filing(asset.id).await? else { return Ok(()) };
        let object = Object {
            key: asset.id.to_string(),
            class: BlobClass::Original,
            owner: asset.owner.to_string(),
            owner_label,
            taken_ms: wall_clock_ms(local),
            file_name: asset.file_name.clone(),
            sha256: sha256.try_into().map_err(|_| StorageError::Other("its hash is not one".into()))?,
        };
        let bytes = match self.read(&asset.location, 0, None).await {
            Err(GalleryError::Storage(StorageError::NotFound(why))) => {
                let now = self.store().original(asset.id).await?.map(|file| file.location);
                return match now.as_ref() == Some(&asset.location) {
                    true => Err(StorageError::NotFound(why).into()),
                    false => Err(StorageError::Unavailable("the original was moved meanwhile".into()).into()),
                };
            }
            other => other?,
        };
        let (intent, location) = self.put_original(asset.owner, &object, &bytes, RELOCATE).await?;
        if location == asset.location {
            return Ok(self.store().keep_original(asset.id, intent, local).await?);
        }
        let moved = self.store().move_original(asset.id, intent, (&asset.location, &location), Some(local)).await?;
        failpoint::hit("relocate.committed");
        self.sweep_now().await;
        if !moved {
            return Err(StorageError::Unavailable("the original was moved or its lease ended meanwhile".into()).into());
        }
        tracing::info!(asset.id = %asset.id, from = asset.location, to = location, "An original moved to its date");
        Ok(())
    }
}
