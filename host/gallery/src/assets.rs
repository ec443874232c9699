//! The library of a user: look, change, trash, delete.

use std::collections::HashSet;

use blobs::{Blob, StorageError};
use store::accounts::User;
use store::assets::{Asset, AssetChanges, AssetError, StoredFile};
use store::videos::ENCODED;
use types::{AssetId, Visibility};

use crate::ingest::THUMBNAILS;
use crate::videos::TRANSCODING;
use crate::visible::{Permission, Viewer};
use crate::{Event, Gallery, GalleryError, Result};

/// What is asked of one asset's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rendition {
    Original,
    Preview,
    Thumbnail,
}

/// How a checksum was found by `bulk-upload-check`.
#[derive(Debug, Clone)]
pub struct Known {
    pub id: AssetId,
    pub is_trashed: bool,
}

impl Gallery {
    /// An asset of this user; one in the locked folder only while that is open.
    pub async fn asset_of(&self, user: &User, id: AssetId) -> Result<Asset> {
        let may =
            |asset: &Asset| asset.owner == user.id && (user.sees_locked || asset.visibility != Visibility::Locked);
        let asset = self.store().asset(id).await?.filter(may);
        asset.ok_or_else(|| GalleryError::no_access("asset.read"))
    }

    /// The file behind an asset that somebody may look at; not opened yet.
    pub async fn file_of(&self, viewer: Viewer<'_>, id: AssetId, rendition: Rendition) -> Result<StoredFile> {
        let permission = match rendition {
            Rendition::Original => Permission::Download,
            Rendition::Preview | Rendition::Thumbnail => Permission::View,
        };
        let file = match rendition {
            Rendition::Original => self.store().original(id).await?,
            Rendition::Preview => self.store().derivative(id, "preview").await?,
            Rendition::Thumbnail => self.store().derivative(id, "thumbnail").await?,
        };
        let known = file.as_ref().map(|file| (file.owner, file.is_locked));
        self.check_visible(viewer, id, known, permission).await?;
        // Not generated yet: only who may see it may know.
        file.ok_or_else(|| GalleryError::NotFound("Asset media not found".into()))
    }

    /// Bytes of a file; `len` `None`: to the end.
    pub async fn open(&self, file: &StoredFile, offset: u64, len: Option<u64>) -> Result<Blob> {
        match self.open_there(file, offset, len).await {
            // It may have moved since its row was read: to its date, or to another backend.
            Err(GalleryError::Storage(StorageError::NotFound(why))) => {
                let now = match &file.kind {
                    None => self.store().original(file.asset).await?,
                    Some(kind) => self.store().derivative(file.asset, kind).await?,
                };
                match now.filter(|now| now.location != file.location) {
                    Some(now) => self.open_there(&now, offset, len).await,
                    None if file.kind.is_some() => self.make_again(file).await,
                    None => Err(StorageError::NotFound(why).into()),
                }
            }
            other => other,
        }
    }

    /// Bytes of a file where its row said it was.
    async fn open_there(&self, file: &StoredFile, offset: u64, len: Option<u64>) -> Result<Blob> {
        if file.kind.is_none() {
            return self.read(&file.location, offset, len).await;
        }
        // Large: it is not read from its beginning to be looked at.
        if file.kind.as_deref() == Some(ENCODED) {
            return self.read(&file.location, offset, len).await;
        }
        // Derivatives are small and not written as carefully as originals: a power cut may leave one that is cut off or empty.
        let blob = self.read(&file.location, 0, None).await?;
        if i64::try_from(blob.len()) == Ok(file.size) {
            return Ok(blob.slice(offset, len.unwrap_or(u64::MAX)));
        }
        self.make_again(file).await
    }

    /// What was made from an original can be made again: the storage need not keep it as carefully.
    async fn make_again(&self, file: &StoredFile) -> Result<Blob> {
        let asset = file.asset;
        tracing::warn!(asset.id = %asset, location = file.location, "The storage has lost a derivative: making it again");
        if file.kind.as_deref().is_some_and(|kind| kind.starts_with("edited-")) {
            self.render_again(asset).await?;
            return Err(GalleryError::NotFound("Asset media not found".into()));
        }
        match file.kind.as_deref() == Some(ENCODED) {
            true => self.store().forget_derivatives(asset, &[ENCODED], TRANSCODING).await?,
            false => self.store().forget_derivatives(asset, &["preview", "thumbnail", "fullsize"], THUMBNAILS).await?,
        }
        self.0.outbox.notify_one();
        Err(GalleryError::NotFound("Asset media not found".into()))
    }

    /// Bytes of an object. That it is missing is believed only of a storage that is there.
    pub(crate) async fn read(&self, location: &str, offset: u64, len: Option<u64>) -> Result<Blob> {
        match self.blobs().get(location, offset, len).await {
            Err(missing @ StorageError::NotFound(_)) => {
                let backend = location.split_once(':').map_or("", |(backend, _)| backend);
                match self.blobs().check_in(backend).await {
                    Err(error) => Err(StorageError::Unavailable(error.to_string()).into()),
                    Ok(()) => Err(missing.into()),
                }
            }
            other => Ok(other?),
        }
    }

    /// What steps could not do on an asset of this user.
    pub async fn errors_of(&self, user: &User, id: AssetId) -> Result<Vec<AssetError>> {
        self.asset_of(user, id).await?;
        Ok(self.store().asset_errors(id).await?)
    }

    /// Changes assets of this user. An id that is not theirs changes nothing at all.
    pub async fn update_assets(&self, user: &User, ids: &[AssetId], changes: &AssetChanges) -> Result<()> {
        self.check_owned(user, ids, "asset.update").await?;
        if let Some(Some(group)) = changes.duplicate
            && !self.store().has_duplicates(user.id, group).await?
        {
            return Err(GalleryError::no_access("duplicate.read"));
        }
        for asset in self.store().update_assets(user.id, ids, changes, true).await? {
            self.events().publish(Event::AssetUpdated { owner: user.id, asset });
        }
        self.0.outbox.notify_one();
        Ok(())
    }

    /// What a pipeline decides about an asset. What pipelines do starts no pipeline, so that none starts itself for ever. What is
    /// so already is not written.
    pub async fn set_by_pipeline(&self, asset: &Asset, changes: &AssetChanges) -> Result<()> {
        let is_so = changes.is_favorite.is_none_or(|wanted| wanted == asset.is_favorite)
            && changes.visibility.is_none_or(|wanted| wanted == asset.visibility)
            && changes.rating.is_none_or(|wanted| wanted == asset.exif.as_ref().and_then(|exif| exif.rating))
            && changes.description.is_none();
        if is_so {
            return Ok(());
        }
        for id in self.store().update_assets(asset.owner, &[asset.id], changes, false).await? {
            self.events().publish(Event::AssetUpdated { owner: asset.owner, asset: id });
        }
        Ok(())
    }

    /// By SHA-1, in the order asked.
    pub async fn known(&self, user: &User, checksums: &[[u8; 20]]) -> Result<Vec<Option<Known>>> {
        let asked: Vec<Vec<u8>> = checksums.iter().map(|sha1| sha1.to_vec()).collect();
        let found = self.store().assets_by_checksum(user.id, &asked).await?;
        let find = |sha1: &Vec<u8>| {
            found
                .iter()
                .find(|(known, ..)| known == sha1)
                .map(|(_, id, is_trashed)| Known { id: *id, is_trashed: *is_trashed })
        };
        Ok(asked.iter().map(find).collect())
    }

    /// Images and videos.
    pub async fn statistics(
        &self,
        user: &User,
        visibility: Option<Visibility>,
        favorite: Option<bool>,
        trashed: bool,
    ) -> Result<(i64, i64)> {
        Ok(self.store().count_assets(user.id, visibility, favorite, trashed).await?)
    }

    /// Are all of these this user's?
    pub async fn check_owned(&self, user: &User, ids: &[AssetId], permission: &str) -> Result<()> {
        let owned = self.store().owned(user.id, ids, user.sees_locked).await?;
        let owned: HashSet<AssetId> = owned.into_iter().collect();
        if ids.iter().all(|id| owned.contains(id)) { Ok(()) } else { Err(GalleryError::no_access(permission)) }
    }
}
