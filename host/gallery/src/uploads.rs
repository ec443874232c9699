//! Uploads: intent, storage, commit (DESIGN 3). An upload is acknowledged when its bytes are durable and its row is committed.

use blobs::{BlobClass, InboxWriter, Object, Received};
use bytes::Bytes;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use store::accounts::User;
use store::assets::{Committed, NewAsset};
use types::{AssetId, AssetType, IntentId, Visibility};

use crate::{Gallery, GalleryError, Result, failpoint};

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
    limit_text: String,
}

/// Bytes from which the kind of a file is known.
const HEAD: usize = 64;

impl Arriving {
    /// Takes the next bytes.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if self.writer.len() + bytes.len() as u64 > self.limit {
            return Err(GalleryError::TooLarge(self.limit_text.clone()));
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
        // Immich's apps stop their backup at this very text.
        let limit_text = match room {
            Some(room) if room < max => "Quota has been exceeded!".to_owned(),
            _ => format!("the file is larger than the {max} bytes that uploads.max-size allows"),
        };
        let writer = self.blobs().inbox.create().await?;
        Ok(Arriving { writer, head: Vec::new(), limit: room.unwrap_or(max).min(max), limit_text })
    }

    /// Keeps what has arrived. What cannot be decoded is kept as well, if its name says that it is a photo or a video: it is the
    /// person's data.
    pub async fn upload(&self, user: &User, arriving: Arriving, fields: UploadFields) -> Result<Uploaded> {
        if arriving.writer.is_empty() {
            return Err(GalleryError::Invalid("File is empty".into()));
        }
        let (kind, mime_type) = recognise(&arriving.head, &fields.file_name)?;
        let received = arriving.writer.finish().await?;
        failpoint::hit("upload.received");
        if let Some(id) = self.by_checksum(user, received.sha1).await? {
            return Ok(Uploaded::Duplicate(id));
        }
        let times = self.times(&received, kind, &fields).await?;
        // The sweeper may have taken the intent of an upload that took longer than its lease: then once more.
        for _ in 0..3 {
            if let Some(uploaded) = self.try_commit(user, &received, &fields, kind, mime_type, times).await? {
                return Ok(uploaded);
            }
        }
        Err(GalleryError::Io(std::io::Error::other("the upload lost its lease three times: is the storage that slow?")))
    }

    async fn try_commit(
        &self,
        user: &User,
        received: &Received,
        fields: &UploadFields,
        kind: AssetType,
        mime_type: &str,
        (created, local): (Timestamp, civil::DateTime),
    ) -> Result<Option<Uploaded>> {
        let id = AssetId::generate();
        let object = Object {
            key: id.to_string(),
            class: BlobClass::Original,
            owner: user.id.to_string(),
            owner_label: user.storage_label.clone(),
            taken_ms: TimeZone::UTC.to_timestamp(local).ok().map(Timestamp::as_millisecond),
            file_name: fields.file_name.clone(),
            sha256: received.sha256,
        };
        let intent = IntentId::generate();
        let lease = self.now() + self.0.parts.settings.lease;
        let key = format!("{}/{}", user.id, hex::encode(received.sha256));
        let described = serde_json::to_value(&object).map_err(std::io::Error::other)?;
        self.store().insert_intent(intent, user.id, &key, &described, lease).await?;
        failpoint::hit("upload.intent");

        let put = self.blobs().put(&object, &received.blob()?).await;
        failpoint::hit("upload.put");
        let (location, stored) = match put {
            Ok(put) => put,
            Err(error) => {
                self.store().intent_to_garbage(intent).await?;
                return Err(error.into());
            }
        };
        self.store().set_intent_location(intent, &location).await?;
        failpoint::hit("upload.located");

        let new = NewAsset {
            id,
            owner: user.id,
            checksum: received.sha1,
            sha256: received.sha256,
            kind,
            file_name: fields.file_name.clone(),
            location,
            mime_type: mime_type.to_owned(),
            file_size: i64::try_from(stored.len).unwrap_or(i64::MAX),
            created,
            modified: fields.modified,
            local,
            visibility: fields.visibility,
            is_favorite: fields.is_favorite,
            duration_ms: fields.duration_ms,
            live_photo_video: fields.live_photo_video,
        };
        let committed = self.store().commit_upload(&new, intent).await?;
        failpoint::hit("upload.committed");
        match committed {
            Committed::Created => {
                self.0.outbox.notify_one();
                Ok(Some(Uploaded::Created(id)))
            }
            Committed::Duplicate(id) => Ok(Some(Uploaded::Duplicate(id))),
            Committed::QuotaExceeded => Err(GalleryError::Invalid("Quota has been exceeded!".into())),
            Committed::IntentLost => Ok(None),
        }
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
        Ok(times)
    }
}

/// EXIF stands at the start of what cameras write.
const METADATA_HEAD: u64 = 256 << 10;

/// By name, as clients do; the bytes may correct it. A name of no known format is refused, whatever the bytes are.
fn recognise(head: &[u8], file_name: &str) -> Result<(AssetType, &'static str)> {
    let by_name = media::by_extension(file_name);
    let (format, mime) =
        by_name.ok_or_else(|| GalleryError::Invalid(format!("Unsupported file type {file_name:?}")))?;
    Ok(match media::sniff(head) {
        // A raw file is TIFF inside: its name knows better.
        Some(found) if found != format && format != media::Format::Raw && found.asset_type() == format.asset_type() => {
            (found.asset_type(), found.media_type())
        }
        _ => (format.asset_type(), mime),
    })
}
