//! What clients keep with an asset: a JSON object for each key of theirs.

use std::collections::HashSet;

use serde_json::Value;
use store::accounts::User;
use store::asset_metadata::{Entry, NewEntry};
use types::AssetId;

use crate::{Gallery, GalleryError, Result};

/// Bytes of a key at most: it is indexed.
const LONGEST_KEY: usize = 255;
/// Entries written at once.
const MOST: usize = 5_000;

impl Gallery {
    /// All of an asset of this user, by key.
    pub async fn asset_metadata(&self, user: &User, asset: AssetId) -> Result<Vec<Entry>> {
        self.check_owned(user, &[asset], "asset.read").await?;
        Ok(self.store().asset_metadata(asset, None).await?)
    }

    pub async fn asset_metadata_of(&self, user: &User, asset: AssetId, key: &str) -> Result<Entry> {
        self.check_owned(user, &[asset], "asset.read").await?;
        let found = self.store().asset_metadata(asset, Some(key)).await?;
        found.into_iter().next().ok_or_else(|| GalleryError::Invalid(format!("Asset metadata {key:?} not found")))
    }

    /// Writes entries; all or none.
    pub async fn set_asset_metadata(&self, user: &User, entries: &[NewEntry]) -> Result<Vec<Entry>> {
        check_entries(entries.iter().map(|(asset, key, value)| (*asset, &**key, Some(value))))?;
        let written = self.store().set_asset_metadata(user.id, entries).await?;
        written.ok_or_else(|| GalleryError::no_access("asset.update"))
    }

    /// Removes entries; all or none. One that is not there is no error.
    pub async fn delete_asset_metadata(&self, user: &User, entries: &[(AssetId, String)]) -> Result<()> {
        match self.store().delete_asset_metadata(user.id, entries).await? {
            true => Ok(()),
            false => Err(GalleryError::no_access("asset.update")),
        }
    }
}

/// Keys that can be kept, each once for an asset, with objects.
pub(crate) fn check_entries<'a, A: std::hash::Hash + Eq>(
    entries: impl Iterator<Item = (A, &'a str, Option<&'a Value>)>,
) -> Result<()> {
    let wrong = |what: String| Err(GalleryError::Invalid(what));
    let mut seen = HashSet::new();
    for (asset, key, value) in entries {
        if key.is_empty() || key.len() > LONGEST_KEY || key.contains('\0') {
            return wrong(format!("key must have 1 to {LONGEST_KEY} bytes, and no NUL"));
        }
        if value.is_some_and(|value| !value.is_object()) {
            return wrong(format!("value of {key:?} must be an object"));
        }
        if !seen.insert((asset, key)) {
            return wrong(format!("items names the key {key:?} of an asset twice"));
        }
        if seen.len() > MOST {
            return wrong(format!("items must be at most {MOST}"));
        }
    }
    Ok(())
}
