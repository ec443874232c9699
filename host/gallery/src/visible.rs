//! Who may look at which asset: its owner, whoever has an album with it, a partner, and whoever has a link that shows it.

use std::collections::HashSet;

use store::accounts::User;
use store::assets::Asset;
use types::{AssetId, UserId, Visibility};

use crate::links::Visit;
use crate::{Gallery, GalleryError, Result};

/// Who looks.
#[derive(Debug, Clone, Copy)]
pub enum Viewer<'a> {
    User(&'a User),
    /// Somebody with a link, signed in or not: they see what it shows and nothing else.
    Link(&'a Visit),
}

/// What they want of an asset that is not theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    Read,
    View,
    Download,
}

impl Permission {
    /// As Immich names it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "asset.read",
            Self::View => "asset.view",
            Self::Download => "asset.download",
        }
    }
}

impl Viewer<'_> {
    /// `None`: somebody with a link, who owns nothing.
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::User(user) => Some(user),
            Self::Link(_) => None,
        }
    }

    pub fn owns(&self, asset: &Asset) -> bool {
        self.user().is_some_and(|user| user.id == asset.owner)
    }

    /// May they know where, when and with what photos were taken?
    pub fn sees_metadata(&self) -> bool {
        match self {
            Self::User(_) => true,
            Self::Link(visit) => visit.link.show_metadata,
        }
    }

    fn may(&self, permission: Permission) -> bool {
        match self {
            Self::User(_) => true,
            Self::Link(visit) => permission != Permission::Download || visit.link.allow_download,
        }
    }
}

impl Gallery {
    /// An asset that somebody may look at.
    pub async fn asset_for(&self, viewer: Viewer<'_>, id: AssetId, permission: Permission) -> Result<Asset> {
        let asset = self.store().asset(id).await?;
        let known = asset.as_ref().map(|asset| (asset.owner, asset.visibility == Visibility::Locked));
        self.check_visible(viewer, id, known, permission).await?;
        asset.ok_or_else(|| GalleryError::no_access(permission.as_str()))
    }

    /// `known`, where the caller knows whose it is and whether it lies in the locked folder: what is one's own needs no look at
    /// albums.
    pub(crate) async fn check_visible(
        &self,
        viewer: Viewer<'_>,
        id: AssetId,
        known: Option<(UserId, bool)>,
        permission: Permission,
    ) -> Result<()> {
        let is_own =
            |user: &User| known.is_some_and(|(owner, is_locked)| owner == user.id && (user.sees_locked || !is_locked));
        if viewer.user().is_some_and(is_own) {
            return Ok(());
        }
        self.check_all_visible(viewer, &[id], permission).await
    }

    /// May they look at each of these?
    pub(crate) async fn check_all_visible(
        &self,
        viewer: Viewer<'_>,
        ids: &[AssetId],
        permission: Permission,
    ) -> Result<()> {
        let visible: HashSet<AssetId> = match viewer {
            _ if !viewer.may(permission) => HashSet::new(),
            Viewer::User(user) => self.store().visible(user.id, ids, user.sees_locked).await?.into_iter().collect(),
            Viewer::Link(visit) => self.store().visible_by_link(visit.link.id, ids).await?.into_iter().collect(),
        };
        match ids.iter().all(|id| visible.contains(id)) {
            true => Ok(()),
            false => Err(GalleryError::no_access(permission.as_str())),
        }
    }
}
