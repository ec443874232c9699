//! Pictures of users.

use blobs::{Blob, BlobClass, Object};
use bytes::Bytes;
use media::{Codec, Filter, Fit, Limits};
use sha2::{Digest as _, Sha256};
use store::accounts::User;
use types::{Rect, Size, UserId};

use crate::uploads::Points;
use crate::{Gallery, GalleryError, Result};

/// Pixels, each way.
const SIDE: u32 = 512;
const POINTS: Points = ["profile.intent", "profile.put", "profile.located"];

impl Gallery {
    /// The middle of a picture becomes that of the user. Nothing of what else its file tells is kept.
    ///
    /// # Errors
    /// It cannot be decoded.
    pub async fn set_profile_image(&self, user: UserId, image: Bytes) -> Result<User> {
        // A decoded picture is large: as many at once as there are cores.
        let permit = self.0.hashing.acquire().await.map_err(std::io::Error::other)?;
        let jpeg = tokio::task::spawn_blocking(move || cut(&image))
            .await
            .map_err(|error| GalleryError::Io(std::io::Error::other(error)))?
            .map_err(|error| GalleryError::Invalid(format!("file cannot be used as a picture: {error}")))?;
        drop(permit);
        let sha256: [u8; 32] = Sha256::digest(&jpeg).into();
        let object = Object {
            key: user.to_string(),
            class: BlobClass::Profile,
            owner: user.to_string(),
            owner_label: None,
            taken_ms: None,
            file_name: format!("{user}-{}.jpeg", hex::encode(&sha256[..4])),
            sha256,
        };
        let blob = Blob::from_bytes(Bytes::from(jpeg));
        let (intent, location) = self.put_original(user, &object, &blob, POINTS).await?;
        let changed = self.store().set_profile_image(user, Some((intent, &location)), self.now()).await?;
        self.account_changed(user);
        self.sweep_now().await;
        changed.ok_or(GalleryError::Unauthenticated("Invalid user token"))
    }

    pub async fn delete_profile_image(&self, user: UserId) -> Result<()> {
        let changed = self.store().set_profile_image(user, None, self.now()).await?;
        self.account_changed(user);
        self.sweep_now().await;
        changed.map(drop).ok_or(GalleryError::Unauthenticated("Invalid user token"))
    }

    /// The JPEG of anybody, and its name.
    pub async fn profile_image(&self, id: UserId) -> Result<(Blob, String)> {
        let user = self.user_of(id).await?;
        let none = || GalleryError::NotFound("User does not have a profile image".into());
        let location = user.profile_location.ok_or_else(none)?;
        let name = location.rsplit(['/', ':']).next().unwrap_or("").to_owned();
        Ok((self.read(&location, 0, None).await?, name))
    }
}

/// The square in the middle, as JPEG.
fn cut(image: &[u8]) -> Result<Vec<u8>, media::MediaError> {
    let pixels = media::decode(image, Some(SIDE), &Limits::default())?;
    let (width, height) = (pixels.width as f32, pixels.height as f32);
    let side = width.min(height);
    let square = Rect {
        x: (width - side) / 2.0 / width,
        y: (height - side) / 2.0 / height,
        width: side / width,
        height: side / height,
    };
    let square = media::crop(&pixels, square)?;
    let small = media::resize(&square, Size { width: SIDE, height: SIDE }, Fit::Stretch, Filter::Lanczos3)?;
    media::encode(&small, Codec::Jpeg, 85)
}
