//! Tags: words in a tree, and the assets that have them.

use std::collections::HashSet;

use store::accounts::User;
use store::tags::{SAME_VALUE, Tag, TagChanges};
use types::{AssetId, TagId};

use crate::bulk::{LeftOut, Outcomes, outcomes};
use crate::{Event, Gallery, GalleryError, Result};

/// Bytes of a whole path at most: it is indexed.
const LONGEST: usize = 1_000;
/// Parts of a path at most.
const DEEPEST: usize = 32;

impl Gallery {
    /// All tags of this user, by value.
    pub async fn tags(&self, user: &User) -> Result<Vec<Tag>> {
        Ok(self.store().tags(user.id).await?)
    }

    pub async fn tag(&self, user: &User, id: TagId, permission: &str) -> Result<Tag> {
        self.store().tag(user.id, id).await?.ok_or_else(|| GalleryError::no_access(permission))
    }

    /// A new tag, below another where `parent` names one.
    pub async fn create_tag(&self, user: &User, name: &str, parent: Option<TagId>, color: Option<&str>) -> Result<Tag> {
        let name = part(name)?;
        if let Some(parent) = parent {
            let parent = self.tag(user, parent, "tag.read").await?;
            path(&format!("{}/{name}", parent.value))?;
        }
        let made = self.store().create_tag(user.id, name, parent, color).await?;
        made.ok_or_else(same_name)
    }

    /// The tags of these paths ("a/b/c"), made with all above them where they are new.
    pub async fn upsert_tags(&self, user: &User, values: &[String]) -> Result<Vec<Tag>> {
        let values = values.iter().map(|value| path(value)).collect::<Result<Vec<_>>>()?;
        Ok(self.store().upsert_tags(user.id, &values).await?)
    }

    /// A new name is also in the values of all below it.
    pub async fn update_tag(&self, user: &User, id: TagId, mut changes: TagChanges) -> Result<Tag> {
        let tag = self.tag(user, id, "tag.update").await?;
        if let Some(name) = &changes.name {
            let name = part(name)?.to_owned();
            let longer = name.len().saturating_sub(tag.name().len());
            let below = self.store().tags(user.id).await?;
            let below = below.iter().filter(|other| other.value.starts_with(&tag.value));
            if below.map(|other| other.value.len() + longer).max().is_some_and(|len| len > LONGEST) {
                return Err(too_long());
            }
            changes.name = Some(name);
        }
        match self.store().update_tag(user.id, id, &changes).await {
            Err(error) if error.is_constraint(SAME_VALUE) => Err(same_name()),
            other => other?.ok_or_else(|| GalleryError::no_access("tag.update")),
        }
    }

    /// With all below it.
    pub async fn delete_tag(&self, user: &User, id: TagId) -> Result<()> {
        match self.store().delete_tag(user.id, id).await? {
            true => Ok(()),
            false => Err(GalleryError::no_access("tag.delete")),
        }
    }

    pub async fn tag_assets(&self, user: &User, id: TagId, assets: &[AssetId]) -> Result<Outcomes<AssetId>> {
        self.tag(user, id, "tag.asset").await?;
        let owned = self.store().owned(user.id, assets, user.sees_locked).await?.into_iter().collect();
        let fresh = self.store().tag_assets(user.id, &[id], assets).await?;
        let fresh: HashSet<AssetId> = fresh.into_iter().map(|(_, asset)| asset).collect();
        self.told(user, &fresh);
        Ok(outcomes(assets, &owned, &fresh, LeftOut::Duplicate))
    }

    pub async fn untag_assets(&self, user: &User, id: TagId, assets: &[AssetId]) -> Result<Outcomes<AssetId>> {
        self.tag(user, id, "tag.asset").await?;
        let owned = self.store().owned(user.id, assets, user.sees_locked).await?.into_iter().collect();
        let gone = self.store().untag_assets(user.id, id, assets).await?;
        self.told(user, &gone);
        Ok(outcomes(assets, &owned, &gone, LeftOut::NotFound))
    }

    /// Gives every tag to every asset; what is not theirs is left out, as Immich does. Returns how many pairs are new.
    pub async fn bulk_tag_assets(&self, user: &User, tags: &[TagId], assets: &[AssetId]) -> Result<usize> {
        let fresh = self.store().tag_assets(user.id, tags, assets).await?;
        self.told(user, &fresh.iter().map(|(_, asset)| *asset).collect());
        Ok(fresh.len())
    }

    fn told(&self, user: &User, assets: &HashSet<AssetId>) {
        for asset in assets {
            self.events().publish(Event::AssetUpdated { owner: user.id, asset: *asset });
        }
    }
}

/// One part of a path.
fn part(name: &str) -> Result<&str> {
    let name = name.trim();
    if name.is_empty() || name.contains('/') {
        return Err(GalleryError::Invalid("name must be a word or some, without a slash".into()));
    }
    if name.len() > LONGEST { Err(too_long()) } else { Ok(name) }
}

/// A whole path, without what is empty in it.
fn path(value: &str) -> Result<String> {
    let parts: Vec<&str> = value.split('/').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(GalleryError::Invalid("tags must not be empty".into()));
    }
    if parts.len() > DEEPEST {
        return Err(GalleryError::Invalid(format!("tags must have at most {DEEPEST} parts")));
    }
    let path = parts.join("/");
    if path.len() > LONGEST { Err(too_long()) } else { Ok(path) }
}

fn too_long() -> GalleryError {
    GalleryError::Invalid(format!("a tag must have at most {LONGEST} bytes with all above it"))
}

fn same_name() -> GalleryError {
    GalleryError::Invalid("A tag with that name already exists".into())
}
