//! The trash, and what goes for ever.

use std::collections::{BTreeMap, HashSet};

use jiff::ToSpan as _;
use store::accounts::User;
use types::{AssetId, UserId};

use crate::{Event, Gallery, Result, failpoint};

/// Assets that go in one transaction.
const AT_ONCE: usize = 500;

impl Gallery {
    /// Into the trash, or (`force`) for ever.
    pub async fn delete_assets(&self, user: &User, ids: &[AssetId], force: bool) -> Result<()> {
        self.check_owned(user, ids, "asset.delete").await?;
        if force {
            return self.delete_forever(user.id, ids).await;
        }
        let assets = self.store().set_trashed(user.id, ids, Some(self.now())).await?;
        self.events().publish(Event::AssetsTrashed { owner: user.id, assets });
        Ok(())
    }

    /// Out of the trash; `None`: everything. Returns how many.
    pub async fn restore(&self, user: &User, ids: Option<&[AssetId]>) -> Result<usize> {
        let all;
        let ids = match ids {
            Some(ids) => {
                self.check_owned(user, ids, "asset.delete").await?;
                ids
            }
            None => {
                all = self.store().trashed(user.id).await?;
                &all
            }
        };
        let assets = self.store().set_trashed(user.id, ids, None).await?;
        // The videos of photos that move come back with them, and are not counted.
        let asked: HashSet<&AssetId> = ids.iter().collect();
        let count = assets.iter().filter(|asset| asked.contains(asset)).count();
        self.events().publish(Event::AssetsRestored { owner: user.id, assets });
        Ok(count)
    }

    /// Everything in the trash goes for ever. Returns how many.
    pub async fn empty_trash(&self, user: &User) -> Result<usize> {
        let ids = self.store().trashed(user.id).await?;
        self.delete_forever(user.id, &ids).await?;
        Ok(ids.len())
    }

    /// What lies in anybody's trash for longer than the settings allow goes for ever. Returns how many.
    pub async fn empty_old_trash(&self) -> Result<usize> {
        let days = i64::from(self.running_config().await?.trash_days);
        let then = self.now() - (days * 24).hours();
        let mut gone = 0;
        loop {
            let old = self.store().trashed_before(then, AT_ONCE as i64).await?;
            let mut by_owner: BTreeMap<UserId, Vec<AssetId>> = BTreeMap::new();
            for (owner, asset) in &old {
                by_owner.entry(*owner).or_default().push(*asset);
            }
            for (owner, assets) in by_owner {
                self.delete_forever(owner, &assets).await?;
            }
            gone += old.len();
            if old.len() < AT_ONCE {
                return Ok(gone);
            }
        }
    }

    /// The rows go first, in transactions that leave every blob of theirs as garbage; then the blobs. What a crash or a storage
    /// that is down leaves, the sweeper ends: once the rows are gone, this has succeeded.
    pub(crate) async fn delete_forever(&self, owner: UserId, ids: &[AssetId]) -> Result<()> {
        for some in ids.chunks(AT_ONCE) {
            let facts = self.facts_before_deletion(owner, some).await?;
            let removed = self.store().delete_assets_forever(owner, some, &facts).await?;
            self.0.outbox.notify_one();
            failpoint::hit("delete.committed");
            for asset in removed.assets {
                self.events().publish(Event::AssetDeleted { owner, asset });
            }
            if let Err(error) = self.people().make_thumbnails(&removed.people).await {
                tracing::warn!(%error, "People get their other thumbnails when somebody looks");
            }
        }
        self.sweep_now().await;
        Ok(())
    }
}
