//! Videos: looked at, made playable, and paired with the photos that they belong to.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use blobs::{Blob, BlobClass, Object, Scratch};
use bytes::Bytes;
use media::video::{Cancel, Container, Output, VideoError, VideoInfo, VideoTools};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use store::assets::{Asset, StoredFile};
use store::corrections::Said;
use store::derivatives::NewFile;
use store::uploads::{Committed, NewAsset};
use store::videos::ENCODED;
use tokio::sync::Semaphore;
use types::{AssetId, AssetType, Visibility};

use crate::uploads::{Points, wall_clock_ms};
use crate::visible::{Permission, Viewer};
use crate::{Event, Gallery, GalleryError, Result, failpoint};

/// What the recipes of the step begin with that makes videos playable.
pub const TRANSCODING: &str = "transcoding/";
/// How often the motion part of a photo is tried that loses its lease.
const TRIES: usize = 3;
const ENCODE: Points = ["transcode.intent", "transcode.put", "transcode.located"];
const MOTION: Points = ["motion.intent", "motion.put", "motion.located"];

/// ffmpeg, and how much of it at once.
#[derive(Debug)]
pub struct VideoWork {
    tools: Arc<VideoTools>,
    pub scratch: Scratch,
    /// Probes and frames at once.
    looks: Semaphore,
    /// Transcodes at once.
    transcodes: Semaphore,
}

/// Cancels when it is dropped: whoever waited for the result has gone.
struct Guard(Cancel);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl VideoWork {
    pub fn new(tools: VideoTools, scratch: Scratch, transcodes: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let (looks, transcodes) = (Semaphore::new(cores.min(4)), Semaphore::new(transcodes.max(1)));
        Self { tools: Arc::new(tools), scratch, looks, transcodes }
    }

    /// Something short, in its turn. Who stops waiting stops it.
    pub async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&VideoTools, &Cancel) -> Result<T, VideoError> + Send + 'static,
    ) -> Result<T, VideoError> {
        let _turn = self.looks.acquire().await.map_err(|_| VideoError::Cancelled)?;
        self.run(Cancel::default(), work).await
    }

    /// Something that may take hours, in its turn. `cancel` stops it too.
    pub async fn transcode<T: Send + 'static>(
        &self,
        cancel: Cancel,
        work: impl FnOnce(&VideoTools, &Cancel) -> Result<T, VideoError> + Send + 'static,
    ) -> Result<T, VideoError> {
        let _turn = self.transcodes.acquire().await.map_err(|_| VideoError::Cancelled)?;
        self.run(cancel, work).await
    }

    /// The child dies with the thread that spawned it: that is the one that waits for it.
    async fn run<T: Send + 'static>(
        &self,
        cancel: Cancel,
        work: impl FnOnce(&VideoTools, &Cancel) -> Result<T, VideoError> + Send + 'static,
    ) -> Result<T, VideoError> {
        let (tools, guard) = (self.tools.clone(), Guard(cancel.clone()));
        let done = tokio::task::spawn_blocking(move || work(&tools, &cancel)).await;
        drop(guard);
        done.map_err(|error| VideoError::Machine { what: "ffmpeg", source: std::io::Error::other(error) })?
    }
}

/// With what a video can be looked at, or why it cannot.
const MISSING: &str = "videos cannot be looked at: ffmpeg is not installed on this server. Install it (apt-get install ffmpeg), \
     restart the server, and start the job again for what is missing";

impl Gallery {
    /// ffmpeg, where this server has it.
    ///
    /// # Errors
    /// `Invalid`, in words for the owner of a video.
    pub fn video(&self) -> Result<&Arc<VideoWork>> {
        self.0.parts.settings.video.as_ref().ok_or_else(|| GalleryError::Invalid(MISSING.into()))
    }

    /// The original as an open file; a copy where the storage is no disk.
    pub async fn original_file(&self, asset: &Asset) -> Result<Arc<File>> {
        let blob = self.original(asset).await?;
        Ok(self.video()?.scratch.spool(blob).await?)
    }

    /// How long it is, how large, and how many frames a second it has.
    pub async fn save_video_info(&self, asset: &Asset, info: &VideoInfo) -> Result<()> {
        let side = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let size = info.video().and_then(media::video::Stream::upright);
        let size = size.map(|size| (side(size.width), side(size.height)));
        let duration = i32::try_from(info.duration_ms).unwrap_or(i32::MAX);
        Ok(self.store().save_length(asset.id, duration, size).await?)
    }

    /// Puts what was made for playback, then records it; what was there before goes.
    pub async fn save_encoded(&self, asset: &Asset, output: &Output, made: File, len: u64) -> Result<()> {
        let hashed = tokio::task::spawn_blocking(move || sha256(&made, len).map(|hash| (made, hash))).await;
        let (made, sha256) = hashed.map_err(std::io::Error::other)??;
        let (name, extension) = (&output.name, output.container.name());
        let object = Object {
            key: asset.id.to_string(),
            class: BlobClass::EncodedVideo,
            owner: asset.owner.to_string(),
            owner_label: None,
            taken_ms: None,
            file_name: format!("{}-{name}-{}.{extension}", asset.id, hex::encode(&sha256[..4])),
            sha256,
        };
        let blob = Blob::from_file(made, 0, len).mark_from_image();
        let (intent, location) = self.put_original(asset.owner, &object, &blob, ENCODE).await?;
        let file = NewFile { kind: ENCODED, location, size: i64::try_from(len).unwrap_or(i64::MAX) };
        let is_saved = self.store().save_encoded(asset.id, Some((&file, intent))).await?;
        failpoint::hit("transcode.saved");
        if !is_saved {
            self.store().intent_to_garbage(intent).await?;
        }
        self.sweep_now().await;
        self.events().publish(Event::AssetUpdated { owner: asset.owner, asset: asset.id });
        Ok(())
    }

    /// The original is played from now on.
    pub async fn forget_encoded(&self, asset: &Asset) -> Result<()> {
        self.store().save_encoded(asset.id, None).await?;
        Ok(())
    }

    /// What a player gets: what was made for playback, or the original. With its media type.
    pub async fn playback_of(&self, viewer: Viewer<'_>, id: AssetId) -> Result<(StoredFile, String)> {
        let asset = self.asset_for(viewer, id, Permission::View).await?;
        if let Some(file) = self.store().derivative(id, ENCODED).await? {
            let extension = file.location.rsplit('.').next().unwrap_or("");
            let kind = match Container::parse(extension) {
                Ok(Container::Webm) => "video/webm",
                Ok(Container::Mov) => "video/quicktime",
                _ => "video/mp4",
            };
            return Ok((file, kind.to_owned()));
        }
        let file = self.store().original(id).await?;
        let file = file.ok_or_else(|| GalleryError::no_access("asset.view"))?;
        Ok((file, asset.mime_type))
    }

    /// Photo and video that say they belong together do from now on, whichever of them came first.
    pub async fn pair_live_photo(&self, asset: &Asset, content_id: &str) -> Result<()> {
        for (photo, video) in self.store().pair_live_photo(asset.owner, asset.id, content_id).await? {
            tracing::info!(asset.id = %photo, video = %video, "Paired a photo with the video that belongs to it");
            for asset_id in [video, photo] {
                self.events().publish(Event::AssetUpdated { owner: asset.owner, asset: asset_id });
            }
        }
        Ok(())
    }

    /// The video that a photo holds becomes an asset that is not seen beside it. It counts as bytes of its owner.
    ///
    /// # Errors
    /// `Invalid` where the owner's quota has no room for it.
    pub async fn keep_motion_video(&self, photo: &Asset, bytes: Bytes) -> Result<()> {
        for _ in 0..TRIES {
            let Some(video) = self.try_motion_video(photo, &bytes).await? else { continue };
            if self.store().link_live_photo(photo.owner, photo.id, video).await? {
                self.events().publish(Event::AssetUpdated { owner: photo.owner, asset: photo.id });
            }
            self.0.outbox.notify_one();
            return Ok(());
        }
        Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into())
    }

    async fn try_motion_video(&self, photo: &Asset, bytes: &Bytes) -> Result<Option<AssetId>> {
        let checksum: [u8; 20] = Sha1::digest(bytes).into();
        let known = self.store().assets_by_checksum(photo.owner, &[checksum.to_vec()]).await?;
        if let Some((_, id, _)) = known.first() {
            return Ok(Some(*id));
        }
        let id = AssetId::generate();
        let stem = photo.file_name.rsplit_once('.').map_or(&*photo.file_name, |(stem, _)| stem);
        let (owner_label, _) = self.store().filing(photo.id).await?.unwrap_or_default();
        let object = Object {
            key: id.to_string(),
            class: BlobClass::Original,
            owner: photo.owner.to_string(),
            owner_label,
            taken_ms: wall_clock_ms(photo.local_date_time),
            file_name: format!("{}.mp4", stem.chars().take(120).collect::<String>()),
            sha256: Sha256::digest(bytes).into(),
        };
        let (intent, location) =
            self.put_original(photo.owner, &object, &Blob::from_bytes(bytes.clone()), MOTION).await?;
        let new = NewAsset {
            id,
            owner: photo.owner,
            checksum,
            sha256: object.sha256,
            kind: AssetType::Video,
            file_name: object.file_name,
            location,
            mime_type: "video/mp4".into(),
            file_size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            created: photo.file_created_at,
            modified: photo.file_modified_at,
            local: photo.local_date_time,
            visibility: Visibility::Hidden,
            is_favorite: false,
            duration_ms: None,
            live_photo_video: None,
            said: Said::default(),
            metadata: Vec::new(),
        };
        let committed = self.store().commit_upload(&new, intent).await?;
        failpoint::hit("motion.committed");
        match committed {
            Committed::Created => Ok(Some(id)),
            Committed::Duplicate(id) => Ok(Some(id)),
            Committed::IntentLost | Committed::OwnerGone => Ok(None),
            Committed::QuotaExceeded => {
                Err(GalleryError::Invalid("the quota has no room for the video that this photo holds".into()))
            }
        }
    }
}

/// SHA-256 of the first `len` bytes.
fn sha256(file: &File, len: u64) -> std::io::Result<[u8; 32]> {
    let (mut hasher, mut buffer, mut at) = (Sha256::new(), vec![0; 1 << 20], 0);
    while at < len {
        let want = usize::try_from(len - at).unwrap_or(usize::MAX).min(buffer.len());
        let read = file.read_at(&mut buffer[..want], at)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&buffer[..read]);
        at += read as u64;
    }
    Ok(hasher.finalize().into())
}
