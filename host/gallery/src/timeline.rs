//! The timeline by months.

use jiff::civil;
use store::timeline::{Scope, TimelineFilter};
use types::{AlbumId, UserId};

use crate::{Gallery, GalleryError, Result, Viewer};

/// Whose photos a timeline is asked to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimelineOf {
    Oneself,
    /// Oneself, and the partners whom one wants to see there.
    Partners,
    User(UserId),
    Album(AlbumId),
}

impl Gallery {
    /// What of it somebody may see.
    pub async fn timeline_scope(&self, viewer: Viewer<'_>, of: TimelineOf) -> Result<Scope> {
        let no_access = || GalleryError::no_access("timeline.read");
        match of {
            TimelineOf::Album(album) => {
                self.check_album(viewer, album, "album.read").await?;
                Ok(Scope::Album(album))
            }
            TimelineOf::User(owner) => self.scope_of_user(viewer, owner, "timeline.read").await,
            TimelineOf::Oneself => Ok(Scope::Of(viewer.user().ok_or_else(no_access)?.id)),
            TimelineOf::Partners => {
                let user = viewer.user().ok_or_else(no_access)?;
                let partners = self.partners_with(user).await?;
                let shown = partners.iter().filter(|partner| partner.in_timeline).map(|partner| partner.user.id);
                Ok(Scope::OfAll(std::iter::once(user.id).chain(shown).collect()))
            }
        }
    }

    /// Oneself, or a partner.
    pub(crate) async fn scope_of_user(&self, viewer: Viewer<'_>, owner: UserId, permission: &str) -> Result<Scope> {
        let no_access = || GalleryError::no_access(permission);
        let user = viewer.user().ok_or_else(no_access)?;
        if user.id != owner && !self.partners_with(user).await?.iter().any(|partner| partner.user.id == owner) {
            return Err(no_access());
        }
        Ok(Scope::Of(owner))
    }

    /// Does an album begin with the oldest?
    pub async fn is_oldest_first(&self, album: AlbumId) -> Result<bool> {
        Ok(self.store().is_oldest_first(album).await?)
    }

    /// Months that have assets (their first day), and how many.
    pub async fn time_buckets(&self, filter: &TimelineFilter) -> Result<Vec<(civil::Date, i64)>> {
        Ok(self.store().time_buckets(filter).await?)
    }

    /// One month as Immich's columns, JSON text.
    pub async fn time_bucket(&self, filter: &TimelineFilter, month: civil::Date) -> Result<String> {
        Ok(self.store().time_bucket(filter, month.first_of_month()).await?)
    }
}
