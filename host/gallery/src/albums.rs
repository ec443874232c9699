//! Albums: an owner's, shared with editors and viewers.

use std::collections::HashSet;

use store::accounts::User;
use store::albums::{Album, AlbumChanges, AlbumFilter, Marker, NewAlbum};
use types::{AlbumId, AlbumRole, AssetId, UserId};

use crate::links::Visit;
use crate::{Event, Gallery, GalleryError, Result, Viewer};

/// Users who are let in at once.
const MOST_USERS: usize = 500;
/// Bytes of a name, and of a description.
const LONGEST_NAME: usize = 1_000;
const LONGEST_TEXT: usize = 10_000;

/// What became of one asset that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddedOne {
    Added,
    /// It was there.
    Duplicate,
    /// There is none of that id that the caller may add.
    NoPermission,
}

/// What somebody says of an album that they make.
#[derive(Debug, Clone)]
pub struct AlbumDraft {
    pub name: String,
    pub description: String,
    pub users: Vec<(UserId, AlbumRole)>,
    pub assets: Vec<AssetId>,
}

impl Gallery {
    /// The albums that this user has, newest first.
    pub async fn albums(&self, user: &User, filter: &AlbumFilter) -> Result<Vec<Album>> {
        Ok(self.store().albums(user.id, filter).await?)
    }

    /// An album that somebody may look at.
    pub async fn album(&self, viewer: Viewer<'_>, id: AlbumId) -> Result<Album> {
        self.check_album(viewer, id, "album.read").await?;
        self.store().album(id).await?.ok_or_else(|| GalleryError::no_access("album.read"))
    }

    /// How many of an album's assets belong to whom.
    pub async fn album_contributors(&self, id: AlbumId) -> Result<Vec<(UserId, i64)>> {
        Ok(self.store().album_contributors(id).await?)
    }

    /// Where an album's assets were taken; nowhere for a link that says nothing of that.
    pub async fn album_markers(&self, viewer: Viewer<'_>, id: AlbumId) -> Result<Vec<Marker>> {
        self.check_album(viewer, id, "album.read").await?;
        match viewer.sees_metadata() {
            true => Ok(self.store().album_markers(id).await?),
            false => Ok(Vec::new()),
        }
    }

    /// Owned, shared (by or with this user), and owned but not shared.
    pub async fn count_albums(&self, user: &User) -> Result<(i64, i64, i64)> {
        Ok(self.store().count_albums(user.id).await?)
    }

    pub async fn create_album(&self, user: &User, draft: AlbumDraft) -> Result<Album> {
        check_texts(Some(&draft.name), Some(&draft.description))?;
        check_users(user.id, &draft.users)?;
        self.check_accounts(&draft.users).await?;
        self.check_owned(user, &draft.assets, "asset.share").await?;
        let AlbumDraft { name, description, users, assets } = draft;
        let new = NewAlbum { id: AlbumId::generate(), owner: user.id, name, description, users, assets };
        match self.store().create_album(&new).await {
            Err(error) if error.is_constraint("album_user_user_id_fkey") => return Err(no_user()),
            created => created?,
        }
        self.tell_of_album(new.id, &[]).await;
        self.album(Viewer::User(user), new.id).await
    }

    /// Its owner changes what is said of it.
    pub async fn update_album(&self, user: &User, id: AlbumId, changes: &AlbumChanges) -> Result<Album> {
        check_texts(changes.name.as_deref(), changes.description.as_deref())?;
        self.check_role(user, id, AlbumRole::Owner, "album.update").await?;
        match self.store().update_album(id, changes).await {
            Ok(true) => {}
            Ok(false) => return Err(GalleryError::no_access("album.update")),
            Err(error) if error.is_constraint("album_thumbnail") => {
                return Err(GalleryError::Invalid("Invalid album thumbnail".into()));
            }
            Err(error) => return Err(error.into()),
        }
        self.tell_of_album(id, &[]).await;
        self.album(Viewer::User(user), id).await
    }

    pub async fn delete_album(&self, user: &User, id: AlbumId) -> Result<()> {
        self.check_role(user, id, AlbumRole::Owner, "album.delete").await?;
        let users = self.store().album_users(id).await?;
        match self.store().delete_album(id).await? {
            true => self.tell_of_album(id, &users).await,
            false => return Err(GalleryError::no_access("album.delete")),
        }
        Ok(())
    }

    /// Puts assets of this user, who owns or edits the album, into it. What became of each, in the order asked.
    pub async fn add_to_album(&self, user: &User, id: AlbumId, assets: &[AssetId]) -> Result<Vec<(AssetId, AddedOne)>> {
        let mut added = match self.store().add_to_album(user.id, id, assets).await? {
            Some(added) => added,
            None => return Err(GalleryError::no_access("albumAsset.create")),
        };
        if !added.added.is_empty() {
            self.tell_of_album(id, &[]).await;
        }
        let mut outcomes = Vec::with_capacity(assets.len());
        for asset in assets {
            let outcome = match added.added.remove(asset) {
                true => AddedOne::Added,
                false if added.present.contains(asset) || outcomes.contains(&(*asset, AddedOne::Added)) => {
                    AddedOne::Duplicate
                }
                false => AddedOne::NoPermission,
            };
            outcomes.push((*asset, outcome));
        }
        Ok(outcomes)
    }

    /// Whether each of these was in the album.
    pub async fn remove_from_album(
        &self,
        user: &User,
        id: AlbumId,
        assets: &[AssetId],
    ) -> Result<Vec<(AssetId, bool)>> {
        let gone = self.store().remove_from_album(user.id, id, assets).await?;
        let mut gone = gone.ok_or_else(|| GalleryError::no_access("albumAsset.delete"))?;
        if !gone.is_empty() {
            self.tell_of_album(id, &[]).await;
        }
        Ok(assets.iter().map(|asset| (*asset, gone.remove(asset))).collect())
    }

    /// Its owner lets users in.
    pub async fn share_album(&self, user: &User, id: AlbumId, users: &[(UserId, AlbumRole)]) -> Result<Album> {
        self.check_role(user, id, AlbumRole::Owner, "album.share").await?;
        check_users(user.id, users)?;
        self.check_accounts(users).await?;
        match self.store().add_album_users(id, users).await {
            Ok(true) => {}
            Ok(false) => return Err(GalleryError::no_access("album.share")),
            Err(error) if error.is_constraint("album_user_pkey") => {
                return Err(GalleryError::Invalid("User already added".into()));
            }
            Err(error) if error.is_constraint("album_user_user_id_fkey") => return Err(no_user()),
            Err(error) => return Err(error.into()),
        }
        self.tell_of_album(id, &[]).await;
        self.album(Viewer::User(user), id).await
    }

    /// Its owner says what somebody may do.
    pub async fn set_album_role(&self, user: &User, id: AlbumId, of: UserId, role: AlbumRole) -> Result<()> {
        self.check_role(user, id, AlbumRole::Owner, "album.share").await?;
        check_users(user.id, &[(of, role)])?;
        match self.store().set_album_role(id, of, role).await? {
            true => self.tell_of_album(id, &[]).await,
            false => return Err(GalleryError::Invalid("Album not shared with user".into())),
        }
        Ok(())
    }

    /// Its owner takes an album from somebody, or somebody gives it up.
    pub async fn leave_album(&self, user: &User, id: AlbumId, who: UserId) -> Result<()> {
        let least = if who == user.id { AlbumRole::Viewer } else { AlbumRole::Owner };
        self.check_role(user, id, least, "album.share").await?;
        match self.store().album_role(who, id).await? {
            Some(AlbumRole::Owner) => return Err(GalleryError::Invalid("Cannot remove album owner".into())),
            Some(_) if self.store().remove_album_user(id, who).await? => {}
            _ => return Err(GalleryError::Invalid("Album not shared with user".into())),
        }
        self.tell_of_album(id, &[who]).await;
        Ok(())
    }

    /// Is there an account behind each of these?
    async fn check_accounts(&self, users: &[(UserId, AlbumRole)]) -> Result<()> {
        for (id, _) in users {
            self.store().user(*id).await?.ok_or_else(no_user)?;
        }
        Ok(())
    }

    /// May they look at the album?
    pub(crate) async fn check_album(&self, viewer: Viewer<'_>, id: AlbumId, permission: &str) -> Result<()> {
        match viewer {
            Viewer::User(user) => self.check_role(user, id, AlbumRole::Viewer, permission).await,
            Viewer::Link(Visit { link, .. }) if link.album == Some(id) => Ok(()),
            Viewer::Link(_) => Err(GalleryError::no_access(permission)),
        }
    }

    /// Have they the album, and may they do with it what `least` may?
    pub(crate) async fn check_role(&self, user: &User, id: AlbumId, least: AlbumRole, permission: &str) -> Result<()> {
        match (self.store().album_role(user.id, id).await?, least) {
            (Some(_), AlbumRole::Viewer)
            | (Some(AlbumRole::Owner | AlbumRole::Editor), AlbumRole::Editor)
            | (Some(AlbumRole::Owner), AlbumRole::Owner) => Ok(()),
            _ => Err(GalleryError::no_access(permission)),
        }
    }

    /// Tells the clients of those who have the album, and of `others`, who had it. What was done is done, whoever hears of it.
    async fn tell_of_album(&self, album: AlbumId, others: &[UserId]) {
        let users = self.store().album_users(album).await.unwrap_or_else(|error| {
            tracing::warn!(album.id = %album, %error, "Nobody is told of a change of an album");
            Vec::new()
        });
        for owner in users.into_iter().chain(others.iter().copied()).collect::<HashSet<UserId>>() {
            self.events().publish(Event::AlbumUpdated { owner, album });
        }
    }
}

fn no_user() -> GalleryError {
    GalleryError::Invalid("User not found".into())
}

fn check_texts(name: Option<&str>, description: Option<&str>) -> Result<()> {
    if name.is_some_and(|name| name.len() > LONGEST_NAME) {
        return Err(GalleryError::Invalid(format!("albumName must have at most {LONGEST_NAME} bytes")));
    }
    if description.is_some_and(|text| text.len() > LONGEST_TEXT) {
        return Err(GalleryError::Invalid(format!("description must have at most {LONGEST_TEXT} bytes")));
    }
    Ok(())
}

/// An album has one owner, from its beginning to its end, and everybody else once.
fn check_users(owner: UserId, users: &[(UserId, AlbumRole)]) -> Result<()> {
    if users.iter().any(|(id, _)| *id == owner) {
        return Err(GalleryError::Invalid("Cannot be shared with owner".into()));
    }
    if users.iter().any(|(_, role)| *role == AlbumRole::Owner) {
        return Err(GalleryError::Invalid("role must be editor or viewer".into()));
    }
    if users.len() > MOST_USERS {
        return Err(GalleryError::Invalid(format!("albumUsers must be at most {MOST_USERS} at once")));
    }
    let different: HashSet<UserId> = users.iter().map(|(id, _)| *id).collect();
    match different.len() == users.len() {
        true => Ok(()),
        false => Err(GalleryError::Invalid("User already added".into())),
    }
}
