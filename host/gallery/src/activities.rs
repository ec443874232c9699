//! What those who have an album say about it, and about what is in it.

use store::accounts::User;
use store::activities::{Activity, ActivityFilter};
use types::{ActivityId, AlbumId, AlbumRole, AssetId};

use crate::{Gallery, GalleryError, Result, Viewer};

/// Bytes.
const LONGEST_COMMENT: usize = 10_000;

/// What became of something that was said.
#[derive(Debug, Clone)]
pub enum Said {
    New(Activity),
    /// They like it already.
    Again(Activity),
}

impl Gallery {
    /// Oldest first.
    pub async fn activities(&self, user: &User, filter: &ActivityFilter) -> Result<Vec<Activity>> {
        self.check_album(Viewer::User(user), filter.album, "album.read").await?;
        Ok(self.store().activities(filter).await?)
    }

    /// Comments and likes.
    pub async fn count_activities(&self, user: &User, album: AlbumId, asset: Option<AssetId>) -> Result<(i64, i64)> {
        self.check_album(Viewer::User(user), album, "album.read").await?;
        Ok(self.store().count_activities(album, asset).await?)
    }

    /// `comment`: `None` for a like, of which everybody has one.
    pub async fn say(
        &self,
        user: &User,
        (album, asset): (AlbumId, Option<AssetId>),
        comment: Option<&str>,
    ) -> Result<Said> {
        let no_access = || GalleryError::no_access("activity.create");
        if comment.is_some_and(|comment| comment.trim().is_empty() || comment.len() > LONGEST_COMMENT) {
            return Err(GalleryError::Invalid(format!("comment must have 1 to {LONGEST_COMMENT} bytes")));
        }
        let found = self.album(Viewer::User(user), album).await.map_err(|_| no_access())?;
        if !found.is_activity_enabled {
            return Err(no_access());
        }
        if let Some(asset) = asset
            && !self.store().album_shows(album, asset).await?
        {
            return Err(no_access());
        }
        let id = ActivityId::generate();
        let is_new = match self.store().insert_activity(id, (album, asset), user.id, comment).await {
            Err(error)
                if error.is_constraint("activity_album_id_fkey")
                    || error.is_constraint("activity_album_id_asset_id_fkey") =>
            {
                return Err(no_access());
            }
            inserted => inserted?,
        };
        if is_new {
            return self.store().activity(id).await?.map(Said::New).ok_or_else(no_access);
        }
        let likes = ActivityFilter {
            album,
            asset: Some(asset),
            about_assets: false,
            user: Some(user.id),
            is_comment: Some(false),
        };
        self.store().activities(&likes).await?.pop().map(Said::Again).ok_or_else(no_access)
    }

    /// Whoever said it takes it back, or the owner of the album does.
    pub async fn unsay(&self, user: &User, id: ActivityId) -> Result<()> {
        let no_access = || GalleryError::no_access("activity.delete");
        let activity = self.store().activity(id).await?.ok_or_else(no_access)?;
        if activity.user.id != user.id {
            self.check_role(user, activity.album, AlbumRole::Owner, "activity.delete").await?;
        }
        match self.store().delete_activity(id).await? {
            true => Ok(()),
            false => Err(no_access()),
        }
    }
}
