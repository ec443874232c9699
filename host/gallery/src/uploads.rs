//! Uploads: intent, storage, commit (DESIGN 3). An upload is acknowledged when its bytes are durable and its row is committed.

use blobs::{Blob, BlobClass, InboxWriter, Object, Received, StorageError};
use bytes::Bytes;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};
use store::accounts::User;
use store::corrections::Said;
use store::uploads::{Committed, NewAsset};
use types::{AssetId, AssetType, IntentId, UserId, Visibility};

use crate::asset_metadata::check_entries;
use crate::{Event, Gallery, GalleryError, Result, failpoint};

/// What the form says beside the file.
#[derive(Debug, Clone)]
pub struct UploadFields {
    /// As the client named it.
    pub file_name: String,
    pub created: Timestamp,
    pub modified: Timestamp,
    pub is_favorite: bool,
    pub visibility: Visibility,
    pub duration_ms: Option<i32>,
    pub live_photo_video: Option<AssetId>,
    /// An XMP file that came beside a new photo. What in it cannot be read is not applied; the file itself is not kept.
    pub sidecar: Option<Vec<u8>>,
    /// What the client keeps with it, by key.
    pub metadata: Vec<(String, serde_json::Value)>,
}

/// How an upload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploaded {
    Created(AssetId),
    Duplicate(AssetId),
}

/// A file that is arriving, counted against the limits while it does.
pub struct Arriving {
    writer: InboxWriter,
    head: Vec<u8>,
    limit: u64,
    /// What is said of a file beyond it.
    refusal: Refusal,
}

/// Why a file is too large.
enum Refusal {
    Quota,
    Size(u64),
}

impl Refusal {
    fn error(&self) -> GalleryError {
        match self {
            Self::Quota => quota_exceeded(),
            Self::Size(max) => {
                GalleryError::TooLarge(format!("the file is larger than the {max} bytes that uploads.max-size allows"))
            }
        }
    }
}

/// 400, and at this very text Immich's apps stop their backup.
fn quota_exceeded() -> GalleryError {
    GalleryError::Invalid("Quota has been exceeded!".into())
}

/// Bytes from which the kind of a file is known.
const HEAD: usize = 64;

impl Arriving {
    /// Takes the next bytes.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if self.writer.len() + bytes.len() as u64 > self.limit {
            return Err(self.refusal.error());
        }
        if self.head.len() < HEAD {
            self.head.extend_from_slice(&bytes[..bytes.len().min(HEAD - self.head.len())]);
        }
        Ok(self.writer.write(bytes).await?)
    }
}

impl Gallery {
    /// Has the user these bytes already?
    pub async fn by_checksum(&self, user: &User, sha1: [u8; 20]) -> Result<Option<AssetId>> {
        let found = self.store().assets_by_checksum(user.id, &[sha1.to_vec()]).await?;
        Ok(found.first().map(|(_, id, _)| *id))
    }

    /// Opens the inbox for a file of this user.
    pub async fn receive(&self, user: &User) -> Result<Arriving> {
        let room = user.quota_bytes.map(|quota| (quota - user.used_bytes).max(0) as u64);
        let max = self.0.parts.settings.max_upload;
        let refusal = if room.is_some_and(|room| room < max) { Refusal::Quota } else { Refusal::Size(max) };
        let writer = self.blobs().inbox.create().await?;
        Ok(Arriving { writer, head: Vec::new(), limit: room.unwrap_or(max).min(max), refusal })
    }

    /// Keeps what has arrived. What cannot be decoded is kept as well, if its name says that it is a photo or a video: it is the
    /// person's data.
    pub async fn upload(&self, user: &User, arriving: Arriving, fields: UploadFields) -> Result<Uploaded> {
        if arriving.writer.is_empty() {
            return Err(GalleryError::Invalid("File is empty".into()));
        }
        check_entries(fields.metadata.iter().map(|(key, value)| ((), &**key, Some(value))))?;
        let (kind, mime_type) = recognise(&arriving.head, &fields.file_name)?;
        if let Some(video) = fields.live_photo_video {
            self.check_live_photo_video(user, video).await?;
        }
        let received = arriving.writer.finish().await?;
        failpoint::hit("upload.received");
        if let Some(id) = self.by_checksum(user, received.sha1).await? {
            return Ok(Uploaded::Duplicate(id));
        }
        let said = match fields.sidecar.as_deref() {
            Some(xmp) => self.said_beside(xmp).await?,
            None => Said::default(),
        };
        let times = match &said.taken {
            Some(taken) => (taken.created, taken.local),
            None => self.times(&received, kind, &fields).await?,
        };
        // The sweeper may have taken the intent of an upload that took longer than its lease: then once more.
        for _ in 0..3 {
            if let Some(uploaded) = self.try_commit(user, &received, &fields, (kind, mime_type), times, &said).await? {
                return Ok(uploaded);
            }
        }
        Err(GalleryError::Io(std::io::Error::other("the upload lost its lease three times: is the storage that slow?")))
    }

    async fn check_live_photo_video(&self, user: &User, video: AssetId) -> Result<()> {
        match self.store().asset(video).await?.filter(|asset| asset.owner == user.id) {
            Some(asset) if asset.kind == AssetType::Video => Ok(()),
            Some(_) => Err(GalleryError::Invalid("Live photo video must be a video".into())),
            None => Err(GalleryError::Invalid("Live photo video not found".into())),
        }
    }

    async fn try_commit(
        &self,
        user: &User,
        received: &Received,
        fields: &UploadFields,
        (kind, mime_type): (AssetType, &str),
        (created, local): (Timestamp, civil::DateTime),
        said: &Said,
    ) -> Result<Option<Uploaded>> {
        let id = AssetId::generate();
        let object = Object {
            key: id.to_string(),
            class: BlobClass::Original,
            owner: user.id.to_string(),
            owner_label: user.storage_label.clone(),
            taken_ms: wall_clock_ms(local),
            file_name: fields.file_name.clone(),
            sha256: received.sha256,
        };
        let (intent, location) = self.put_original(user.id, &object, &received.blob()?, UPLOAD).await?;
        let new = NewAsset {
            id,
            owner: user.id,
            checksum: received.sha1,
            sha256: received.sha256,
            kind,
            file_name: fields.file_name.clone(),
            location,
            mime_type: mime_type.to_owned(),
            file_size: i64::try_from(received.len).unwrap_or(i64::MAX),
            created,
            modified: fields.modified,
            local,
            visibility: fields.visibility,
            is_favorite: fields.is_favorite,
            duration_ms: fields.duration_ms,
            live_photo_video: fields.live_photo_video,
            said: said.clone(),
            metadata: fields.metadata.clone(),
        };
        let committed = self.store().commit_upload(&new, intent).await?;
        failpoint::hit("upload.committed");
        match committed {
            Committed::Created => {
                self.0.outbox.notify_one();
                if let Some(video) = new.live_photo_video {
                    // It is hidden from now on.
                    self.events().publish(Event::AssetUpdated { owner: new.owner, asset: video });
                }
                Ok(Some(Uploaded::Created(id)))
            }
            Committed::Duplicate(id) => Ok(Some(Uploaded::Duplicate(id))),
            Committed::QuotaExceeded => Err(quota_exceeded()),
            Committed::OwnerGone => Err(GalleryError::Unauthenticated("Invalid user token")),
            Committed::IntentLost => Ok(None),
        }
    }

    /// Steps 1 and 2 of an upload, and of a move within the storage: the intent, the bytes, and where they are. What fails
    /// leaves garbage that the sweeper knows of.
    pub(crate) async fn put_original(
        &self,
        owner: UserId,
        object: &Object,
        bytes: &Blob,
        points: Points,
    ) -> Result<(IntentId, String)> {
        self.put_intended(owner, (self.blobs().backend_of(object.class), object), bytes, points).await
    }

    /// The same in a backend that is named.
    pub(crate) async fn put_intended(
        &self,
        owner: UserId,
        (backend, object): (&str, &Object),
        bytes: &Blob,
        points: Points,
    ) -> Result<(IntentId, String)> {
        let intent = IntentId::generate();
        let lease = self.now() + self.0.parts.settings.lease;
        let described = serde_json::to_value(Intended { object: object.clone(), backend: Some(backend.to_owned()) });
        let described = described.map_err(std::io::Error::other)?;
        self.store().insert_intent(intent, owner, &hex::encode(object.sha256), &described, lease).await?;
        failpoint::hit(points[0]);
        let put = self.blobs().put_in(backend, object, bytes).await;
        failpoint::hit(points[1]);
        let put = put.and_then(|(location, stored)| match stored.len == bytes.len() {
            true => Ok(location),
            false => Err(StorageError::Other(format!("it kept {} of {} bytes", stored.len, bytes.len()))),
        });
        let location = match put {
            Ok(location) => location,
            Err(error) => {
                self.store().intent_to_garbage(intent).await?;
                return Err(error.into());
            }
        };
        self.store().set_intent_location(intent, &location).await?;
        failpoint::hit(points[2]);
        Ok((intent, location))
    }

    /// When it was taken: the path in the storage depends on it, so it is read before the metadata step does.
    async fn times(
        &self,
        received: &Received,
        kind: AssetType,
        fields: &UploadFields,
    ) -> Result<(Timestamp, civil::DateTime)> {
        let mut times = (fields.created, TimeZone::UTC.to_datetime(fields.created));
        if kind == AssetType::Image {
            let head = received.blob()?.slice(0, METADATA_HEAD).read().await?;
            let metadata =
                tokio::task::spawn_blocking(move || media::metadata(&head)).await.map_err(std::io::Error::other)?;
            if let (Some(at), Some(local)) = (metadata.taken_at, metadata.taken_local) {
                times = (at, local);
            }
        }
        if kind == AssetType::Video
            && let Some((at, local)) = self.video_times(received).await?
        {
            times = (at, local);
        }
        Ok(times)
    }
}

impl Gallery {
    /// A video that cannot be read is kept under the date that its client says.
    async fn video_times(&self, received: &Received) -> Result<Option<(Timestamp, civil::DateTime)>> {
        let Some(work) = &self.0.parts.settings.video else { return Ok(None) };
        let file = work.scratch.spool(received.blob()?).await?;
        let metadata = match work.look(move |tools, cancel| tools.tags(&file, cancel)).await {
            Ok(metadata) => metadata,
            Err(error) => {
                tracing::debug!(%error, "A video that arrives does not say when it was taken");
                return Ok(None);
            }
        };
        Ok(metadata.taken_at.zip(metadata.taken_local))
    }
}

/// What an intent notes, so that the object can be found where nobody noted its location.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Intended {
    #[serde(flatten)]
    pub object: Object,
    /// Unknown of an intent of an earlier version: the one that takes new objects.
    #[serde(default)]
    pub backend: Option<String>,
}

/// The fail-points behind the intent, the put and the note of where.
pub(crate) type Points = [&'static str; 3];

const UPLOAD: Points = ["upload.intent", "upload.put", "upload.located"];

/// Milliseconds since 1970 as if the wall-clock were UTC: what a path template is given.
pub(crate) fn wall_clock_ms(local: civil::DateTime) -> Option<i64> {
    TimeZone::UTC.to_timestamp(local).ok().map(Timestamp::as_millisecond)
}

/// EXIF stands at the start of what cameras write.
const METADATA_HEAD: u64 = 256 << 10;

/// By name, as clients do; the bytes correct it, also where a video is called a photo. A name of no known format is refused,
/// whatever the bytes are.
fn recognise(head: &[u8], file_name: &str) -> Result<(AssetType, &'static str)> {
    let by_name = media::by_extension(file_name);
    let (format, mime) =
        by_name.ok_or_else(|| GalleryError::Invalid(format!("Unsupported file type {file_name:?}")))?;
    Ok(match media::sniff(head) {
        // A raw file is TIFF inside: its name knows better.
        Some(found) if found != format && format != media::Format::Raw => (found.asset_type(), found.media_type()),
        _ => (format.asset_type(), mime),
    })
}
