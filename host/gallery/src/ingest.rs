//! What the steps of a pipeline found, written down.

use blobs::{Blob, BlobClass, Object, StorageError};
use bytes::Bytes;
use jiff::tz::TimeZone;
use media::{Metadata, Thumbnails};
use sha2::{Digest as _, Sha256};
use store::assets::Asset;
use store::derivatives::NewFile;
use store::exif::Exif;
use types::{AssetId, Size, Visibility};

use crate::{Event, Gallery, GalleryError, Result, failpoint};

/// What the recipes of the step begin with that reads what the camera wrote.
pub const METADATA: &str = "metadata/";
/// What the recipes of the step begin with that makes the derivatives.
pub const THUMBNAILS: &str = "thumbnails/";

impl Gallery {
    /// The asset, unless it is gone.
    pub async fn for_ingest(&self, id: AssetId) -> Result<Option<Asset>> {
        Ok(self.store().asset(id).await?)
    }

    /// An original, which may have moved since the asset was read: to its date, or to another backend.
    pub(crate) async fn original(&self, asset: &Asset) -> Result<Blob> {
        match self.read(&asset.location, 0, None).await {
            Err(GalleryError::Storage(StorageError::NotFound(why))) => match self.store().original(asset.id).await? {
                Some(file) if file.location != asset.location => self.read(&file.location, 0, None).await,
                _ => Err(StorageError::NotFound(why).into()),
            },
            other => other,
        }
    }

    /// Bytes of an original.
    pub async fn original_bytes(&self, asset: &Asset) -> Result<Bytes> {
        let blob = self.original(asset).await?;
        media::check_len(blob.len()).map_err(|error| GalleryError::Invalid(error.to_string()))?;
        Ok(blob.read().await?)
    }

    /// Bytes of the preview, if there is one.
    pub async fn preview_bytes(&self, asset: &Asset) -> Result<Option<Bytes>> {
        let Some(preview) = self.store().derivative(asset.id, "preview").await? else { return Ok(None) };
        match self.open(&preview, 0, None).await {
            Ok(blob) => Ok(Some(blob.read().await?)),
            // It is being made again: whoever looks at it comes later.
            Err(GalleryError::NotFound(_)) => {
                Err(StorageError::Unavailable("the preview was lost and is being made again".into()).into())
            }
            Err(error) => Err(error),
        }
    }

    /// Its clients are told of a new asset when it has a thumbnail, or when it is clear that there will be none: once.
    pub async fn announce(&self, asset: &Asset, pipeline: &str) -> Result<()> {
        // The part of a photo that moves is not seen beside it.
        if self.store().announce(asset.id, pipeline).await? && asset.visibility != Visibility::Hidden {
            self.events().publish(Event::UploadReady { owner: asset.owner, asset: asset.id });
            if let Err(error) = self.remember_late(asset).await {
                tracing::warn!(asset.id = %asset.id, %error, "A photo of this day is not among the memories of the day");
            }
        }
        Ok(())
    }

    /// What the camera wrote, and the place that follows from it. The original moves to where its date says.
    /// `video`: size and frames a second of a video.
    pub async fn save_metadata(
        &self,
        asset: &Asset,
        metadata: Metadata,
        video: Option<(Size, Option<f64>)>,
    ) -> Result<()> {
        let position = metadata.latitude.zip(metadata.longitude);
        let place = match position {
            Some((latitude, longitude)) => self.place_at(latitude, longitude).await?,
            None => None,
        };
        let (created, local) = match (metadata.taken_at, metadata.taken_local) {
            (Some(at), Some(local)) => (at, local),
            _ => (asset.file_created_at, TimeZone::UTC.to_datetime(asset.file_created_at)),
        };
        let side = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let exif = Exif {
            make: metadata.make,
            model: metadata.model,
            lens_model: metadata.lens_model,
            exposure_time: metadata.exposure_time,
            f_number: metadata.f_number,
            focal_length: metadata.focal_length,
            iso: metadata.iso,
            orientation: metadata.orientation.map(i16::from),
            latitude: metadata.latitude,
            longitude: metadata.longitude,
            city: place.as_ref().map(|place| place.city.clone()),
            state: place.as_ref().map(|place| place.state.clone()),
            country: place.map(|place| place.country),
            description: metadata.description.unwrap_or_default(),
            rating: metadata.rating,
            time_zone: metadata.time_zone,
            date_time_original: Some(created),
            width: video.map(|(size, _)| side(size.width)),
            height: video.map(|(size, _)| side(size.height)),
            projection_type: None,
            fps: video.and_then(|(_, fps)| fps),
        };
        let local = self.store().save_exif(asset.id, &exif, created, local).await?;
        failpoint::hit("ingest.metadata-saved");
        if let Some(content_id) = metadata.content_id {
            self.pair_live_photo(asset, &content_id).await?;
        }
        match local {
            Some(local) => self.file_by_date(asset, local).await,
            None => Ok(()),
        }
    }

    /// Puts preview and thumbnail, then records both.
    pub async fn save_thumbnails(&self, asset: &Asset, made: &Thumbnails) -> Result<()> {
        let preview = self.put_derivative(asset, "preview", "jpeg", &made.preview_jpeg).await?;
        failpoint::hit("ingest.preview-put");
        let thumbnail = self.put_derivative(asset, "thumbnail", "webp", &made.thumbnail_webp).await?;
        failpoint::hit("ingest.thumbnail-put");
        let side = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let (width, height) = (side(made.source.width), side(made.source.height));
        let locations = [preview.location.clone(), thumbnail.location.clone()];
        let files = [preview, thumbnail];
        if !self.store().save_derivatives(asset.id, &files, &made.thumbhash, (width, height)).await? {
            self.store().add_garbage(asset.owner, &locations).await?;
        }
        failpoint::hit("ingest.derivatives-saved");
        Ok(())
    }

    /// The hash is in the name: another content is another file, and the same content finds what an earlier try left.
    pub(crate) async fn put_derivative(
        &self,
        asset: &Asset,
        kind: &'static str,
        extension: &str,
        bytes: &[u8],
    ) -> Result<NewFile> {
        let sha256: [u8; 32] = Sha256::digest(bytes).into();
        let object = Object {
            key: asset.id.to_string(),
            class: BlobClass::Derivative,
            owner: asset.owner.to_string(),
            owner_label: None,
            taken_ms: None,
            file_name: format!("{}-{kind}-{}.{extension}", asset.id, hex::encode(&sha256[..4])),
            sha256,
        };
        let blob = Blob::from_bytes(Bytes::copy_from_slice(bytes)).mark_from_image();
        let (location, _) = self.blobs().put(&object, &blob).await?;
        Ok(NewFile { kind, location, size: i64::try_from(bytes.len()).unwrap_or(i64::MAX) })
    }
}
