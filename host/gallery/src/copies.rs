//! What is known of an asset, given to another.

use store::accounts::User;
use store::copies::Copied;
use types::AssetId;

use crate::{Event, Gallery, GalleryError, Result};

impl Gallery {
    /// From one asset of this user to another.
    pub async fn copy_asset(&self, user: &User, from: AssetId, to: AssetId, what: Copied) -> Result<()> {
        if from == to {
            return Err(GalleryError::Invalid("Source and target id must be distinct".into()));
        }
        if !self.store().copy_asset(user.id, from, to, what).await? {
            return Err(GalleryError::no_access("asset.copy"));
        }
        self.events().publish(Event::AssetUpdated { owner: user.id, asset: to });
        if what.stack {
            self.events().publish(Event::StacksChanged { owner: user.id });
        }
        Ok(())
    }
}
