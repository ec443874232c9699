//! Partners: who shows their timeline to whom.

use store::accounts::User;
use store::partners::Partner;
use types::UserId;

use crate::{Gallery, GalleryError, Result};

impl Gallery {
    /// Those to whom this user shows their timeline.
    pub async fn partners_by(&self, user: &User) -> Result<Vec<Partner>> {
        Ok(self.store().partners_by(user.id).await?)
    }

    /// Those who show this user their timeline.
    pub async fn partners_with(&self, user: &User) -> Result<Vec<Partner>> {
        Ok(self.store().partners_with(user.id).await?)
    }

    /// From now on `with` may look at what the timeline of this user shows.
    pub async fn create_partner(&self, user: &User, with: UserId) -> Result<Partner> {
        if with == user.id {
            return Err(GalleryError::Invalid("Cannot be a partner of oneself".into()));
        }
        let other = self.store().user(with).await?.ok_or_else(no_user)?;
        match self.store().insert_partner(user.id, with).await {
            Err(error) if error.is_constraint("partner_pkey") => {
                Err(GalleryError::Invalid("Partner already exists".into()))
            }
            Err(error) if error.is_constraint("partner_shared_with_id_fkey") => Err(no_user()),
            inserted => inserted.map(|()| Partner { user: other, in_timeline: false }).map_err(Into::into),
        }
    }

    /// Whether this user wants what `by` shows them on their own timeline.
    pub async fn update_partner(&self, user: &User, by: UserId, in_timeline: bool) -> Result<Partner> {
        let no_access = || GalleryError::no_access("partner.update");
        if !self.store().set_in_timeline(by, user.id, in_timeline).await? {
            return Err(no_access());
        }
        let other = self.store().user(by).await?.ok_or_else(no_access)?;
        Ok(Partner { user: other, in_timeline })
    }

    /// `with` sees no more of this user's.
    pub async fn remove_partner(&self, user: &User, with: UserId) -> Result<()> {
        match self.store().delete_partner(user.id, with).await? {
            true => Ok(()),
            false => Err(GalleryError::no_access("partner.delete")),
        }
    }
}

fn no_user() -> GalleryError {
    GalleryError::Invalid("User not found".into())
}
