//! Shared links: made by an owner, opened by whoever has them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use store::accounts::User;
use store::links::{Link, LinkChanges, Way};
use types::{AlbumId, AlbumRole, AssetId, LinkId};

use crate::albums::AddedOne;
use crate::{Gallery, GalleryError, Result};

/// Bytes of a key.
const KEY: usize = 50;
/// Passwords that one address may try on one link in a minute.
const ATTEMPTS: u32 = 10;
/// Characters of a slug; bytes of a description and of a password.
const LONGEST_SLUG: usize = 100;
const LONGEST_TEXT: usize = 10_000;
const LONGEST_PASSWORD: usize = 1_000;

/// Somebody who came by a link that is open to them.
#[derive(Debug, Clone)]
pub struct Visit {
    pub link: Link,
    /// What they send is this one's.
    pub owner: User,
}

/// A link that somebody makes.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// What it shows.
    pub shows: Shows,
    pub slug: Option<String>,
    pub description: Option<String>,
    pub password: Option<String>,
    pub expires_at: Option<Timestamp>,
    pub allow_upload: bool,
    pub allow_download: bool,
    pub show_metadata: bool,
}

/// What a link shows.
#[derive(Debug, Clone)]
pub enum Shows {
    Album(AlbumId),
    Assets(Vec<AssetId>),
}

fn unknown() -> GalleryError {
    GalleryError::Unauthenticated("Invalid share key")
}

impl Gallery {
    /// Opens a link. `tokens`: what [`Gallery::unlock_link`] gave to whoever knew a password.
    ///
    /// # Errors
    /// `Unauthenticated` where there is no such link (any more), or it asks for a password.
    pub async fn visit(&self, way: Way<'_>, tokens: &[&str]) -> Result<Visit> {
        let visit = self.find_link(way).await?;
        match unlocked(&visit.link) {
            Some(token) if !tokens.contains(&&*token) => Err(GalleryError::Unauthenticated("Password required")),
            _ => Ok(visit),
        }
    }

    /// The visit, and a token that opens the link from now on, until its password is another.
    pub async fn unlock_link(&self, way: Way<'_>, password: &str, from: &str) -> Result<(Visit, String)> {
        let visit = self.find_link(way).await?;
        let attempt = format!("{from} {}", visit.link.id);
        let attempts = self.0.attempts.get_with(attempt.clone(), async { Arc::default() }).await;
        if attempts.fetch_add(1, Ordering::Relaxed) >= ATTEMPTS {
            return Err(GalleryError::TooManyAttempts);
        }
        let Some(token) = unlocked(&visit.link) else {
            return Err(GalleryError::Invalid("Shared link is not password protected".into()));
        };
        // Hashes of the two are compared: how long it takes says nothing of the password.
        if token != token_for(&visit.link, password) {
            return Err(GalleryError::Unauthenticated("Invalid password"));
        }
        self.0.attempts.invalidate(&attempt).await;
        Ok((visit, token))
    }

    async fn find_link(&self, way: Way<'_>) -> Result<Visit> {
        let (link, owner) = self.store().link_by(way).await?.ok_or_else(unknown)?;
        match link.expires_at.is_some_and(|at| at <= self.now()) {
            true => Err(unknown()),
            false => Ok(Visit { link, owner }),
        }
    }

    /// Links of this user. `None`: whichever.
    pub async fn links(&self, user: &User, id: Option<LinkId>, album: Option<AlbumId>) -> Result<Vec<Link>> {
        Ok(self.store().links(user.id, id, album).await?)
    }

    pub async fn link(&self, user: &User, id: LinkId, permission: &str) -> Result<Link> {
        self.store().links(user.id, Some(id), None).await?.pop().ok_or_else(|| GalleryError::no_access(permission))
    }

    /// Only an owner shares: an album of theirs, or assets of theirs.
    pub async fn create_link(&self, user: &User, new: NewLink) -> Result<Link> {
        let (album, assets) = match new.shows {
            Shows::Album(album) => {
                self.check_role(user, album, AlbumRole::Owner, "album.share").await?;
                (Some(album), Vec::new())
            }
            Shows::Assets(assets) => {
                self.check_owned(user, &assets, "asset.share").await?;
                (None, assets)
            }
        };
        let mut key = vec![0; KEY];
        rand::rng().fill_bytes(&mut key);
        let link = Link {
            id: LinkId::generate(),
            owner: user.id,
            key,
            slug: new.slug.map(check_slug).transpose()?.flatten(),
            album,
            description: new.description.map(check_description).transpose()?,
            password: new.password.map(check_password).transpose()?.flatten(),
            expires_at: new.expires_at,
            allow_upload: new.allow_upload,
            // An original has all of its metadata in it.
            allow_download: new.allow_download && new.show_metadata,
            show_metadata: new.show_metadata,
            created_at: self.now(),
        };
        match self.store().insert_link(&link, &assets).await {
            Err(error) if error.is_constraint("shared_link_slug_key") => Err(slug_taken()),
            Err(error) if error.is_constraint("shared_link_album_id_fkey") => {
                Err(GalleryError::no_access("album.share"))
            }
            inserted => inserted.map(|()| link).map_err(Into::into),
        }
    }

    pub async fn update_link(&self, user: &User, id: LinkId, changes: LinkChanges) -> Result<Link> {
        let changes = LinkChanges {
            slug: changes.slug.map(|slug| slug.map_or(Ok(None), check_slug)).transpose()?,
            description: changes.description.map(|text| text.map(check_description).transpose()).transpose()?,
            password: changes.password.map(|text| text.map_or(Ok(None), check_password)).transpose()?,
            ..changes
        };
        match self.store().update_link(user.id, id, &changes).await {
            Err(error) if error.is_constraint("shared_link_slug_key") => Err(slug_taken()),
            updated => updated?.ok_or_else(|| GalleryError::no_access("sharedLink.update")),
        }
    }

    pub async fn delete_link(&self, user: &User, id: LinkId) -> Result<()> {
        match self.store().delete_link(user.id, id).await? {
            true => Ok(()),
            false => Err(GalleryError::no_access("sharedLink.delete")),
        }
    }

    /// What a link shows one by one; for those of an album nothing.
    pub async fn link_assets(&self, links: &[&Link]) -> Result<Vec<Vec<AssetId>>> {
        let ids: Vec<LinkId> = links.iter().map(|link| link.id).collect();
        let mut found = self.store().link_assets(&ids).await?;
        Ok(ids.iter().map(|id| found.remove(id).unwrap_or_default()).collect())
    }

    /// Shows more assets of this user by a link of theirs.
    pub async fn add_to_link(&self, user: &User, id: LinkId, assets: &[AssetId]) -> Result<Vec<(AssetId, AddedOne)>> {
        let link = self.individual(user, id).await?;
        let own = self.store().owned(user.id, assets, false).await?;
        let mut added = self.store().add_link_assets(link.id, assets).await?;
        let shown = self.store().visible_by_link(link.id, &own).await?;
        let outcome = |id: &AssetId| match added.remove(id) {
            true => AddedOne::Added,
            false if shown.contains(id) => AddedOne::Duplicate,
            false => AddedOne::NoPermission,
        };
        let outcomes: Vec<AddedOne> = assets.iter().map(outcome).collect();
        Ok(assets.iter().copied().zip(outcomes).collect())
    }

    /// Whether the link showed each of these.
    pub async fn remove_from_link(&self, user: &User, id: LinkId, assets: &[AssetId]) -> Result<Vec<(AssetId, bool)>> {
        let link = self.individual(user, id).await?;
        let mut gone = self.store().remove_link_assets(link.id, assets).await?;
        Ok(assets.iter().map(|id| (*id, gone.remove(id))).collect())
    }

    async fn individual(&self, user: &User, id: LinkId) -> Result<Link> {
        let link = self.link(user, id, "sharedLink.update").await?;
        match link.album {
            None => Ok(link),
            Some(_) => Err(GalleryError::Invalid("Invalid shared link type".into())),
        }
    }

    /// What came by a link that takes uploads is shown by it.
    pub async fn show_upload(&self, visit: &Visit, asset: AssetId) -> Result<()> {
        match visit.link.album {
            None => {
                self.store().add_link_assets(visit.link.id, &[asset]).await?;
                Ok(())
            }
            Some(album) => self.add_to_album(&visit.owner, album, &[asset]).await.map(drop),
        }
    }
}

/// The token of whoever knows the password; `None`: there is none.
fn unlocked(link: &Link) -> Option<String> {
    link.password.as_deref().map(|password| token_for(link, password))
}

/// Nobody who knows a token alone learns the password or the key from it.
fn token_for(link: &Link, password: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"latent.shared-link\0");
    hash.update(&link.key);
    hash.update(password.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

fn slug_taken() -> GalleryError {
    GalleryError::Invalid("Shared link with this slug already exists".into())
}

/// A part of an address. Empty: none.
fn check_slug(slug: String) -> Result<Option<String>> {
    let slug = slug.trim();
    if slug.is_empty() {
        return Ok(None);
    }
    let fits = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | '~');
    match slug.chars().count() <= LONGEST_SLUG && slug.chars().all(fits) {
        true => Ok(Some(slug.to_owned())),
        false => Err(GalleryError::Invalid(format!(
            "slug must have at most {LONGEST_SLUG} letters, digits, and any of - _ . ~"
        ))),
    }
}

fn check_description(text: String) -> Result<String> {
    match text.len() <= LONGEST_TEXT {
        true => Ok(text),
        false => Err(GalleryError::Invalid(format!("description must have at most {LONGEST_TEXT} bytes"))),
    }
}

/// Empty: none.
fn check_password(password: String) -> Result<Option<String>> {
    match password.len() <= LONGEST_PASSWORD {
        true => Ok(Some(password).filter(|password| !password.is_empty())),
        false => Err(GalleryError::Invalid(format!("password must have at most {LONGEST_PASSWORD} bytes"))),
    }
}
