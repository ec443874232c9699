//! Stacks: several takes of one moment, shown as one of them.

use std::collections::HashMap;

use store::accounts::User;
use store::assets::Asset;
use store::stacks::{Stack, TakenOut};
use types::{AssetId, StackId};

use crate::{Event, Gallery, GalleryError, Result};

/// A stack with its assets, the one that is shown first.
#[derive(Debug, Clone)]
pub struct WholeStack {
    pub stack: Stack,
    pub assets: Vec<Asset>,
}

/// What one stack takes.
pub const MOST_STACKED: usize = 1_000;

impl Gallery {
    /// Stacks assets of this user, the first on top.
    pub async fn create_stack(&self, user: &User, assets: &[AssetId]) -> Result<WholeStack> {
        let id = self.store().create_stack(user.id, assets).await?;
        let id = id.ok_or_else(|| GalleryError::no_access("asset.update"))?;
        self.events().publish(Event::StacksChanged { owner: user.id });
        self.stack_of(user, id).await
    }

    /// A stack of this user.
    pub async fn stack_of(&self, user: &User, id: StackId) -> Result<WholeStack> {
        let found = self.whole(self.store().stacks(user.id, &[id]).await?).await?;
        found.into_iter().next().ok_or_else(|| GalleryError::no_access("stack.read"))
    }

    /// All stacks of this user, or the one that shows `primary`.
    pub async fn stacks_of(&self, user: &User, primary: Option<AssetId>) -> Result<Vec<WholeStack>> {
        self.whole(self.store().stacks_of(user.id, primary).await?).await
    }

    /// Shows another asset of a stack.
    pub async fn update_stack(&self, user: &User, id: StackId, primary: Option<AssetId>) -> Result<WholeStack> {
        if self.store().stacks(user.id, &[id]).await?.is_empty() {
            return Err(GalleryError::no_access("stack.update"));
        }
        if let Some(primary) = primary {
            if !self.store().set_primary(user.id, id, primary).await? {
                return Err(GalleryError::Invalid("Primary asset must be in the stack".into()));
            }
            self.events().publish(Event::StacksChanged { owner: user.id });
        }
        self.stack_of(user, id).await
    }

    /// The assets stay. An id that is not theirs deletes nothing at all.
    pub async fn delete_stacks(&self, user: &User, ids: &[StackId]) -> Result<()> {
        if !self.store().delete_stacks(user.id, ids).await? {
            return Err(GalleryError::no_access("stack.delete"));
        }
        self.events().publish(Event::StacksChanged { owner: user.id });
        Ok(())
    }

    /// The asset stays, by itself.
    pub async fn take_out_of_stack(&self, user: &User, id: StackId, asset: AssetId) -> Result<()> {
        match self.store().take_out_of_stack(user.id, id, asset).await? {
            TakenOut::Done => {
                self.events().publish(Event::StacksChanged { owner: user.id });
                Ok(())
            }
            TakenOut::IsPrimary => Err(GalleryError::Invalid("Cannot remove the primary asset of a stack".into())),
            TakenOut::Unknown => Err(GalleryError::no_access("stack.update")),
        }
    }

    /// The stacks of these assets.
    pub async fn stacks_with(&self, assets: &[Asset]) -> Result<HashMap<StackId, Stack>> {
        let mut found = HashMap::new();
        // Assets of one answer may be of several owners.
        let mut by_owner: HashMap<_, Vec<StackId>> = HashMap::new();
        for asset in assets {
            if let Some(stack) = asset.stack {
                by_owner.entry(asset.owner).or_default().push(stack);
            }
        }
        for (owner, ids) in by_owner {
            found.extend(self.store().stacks(owner, &ids).await?.into_iter().map(|stack| (stack.id, stack)));
        }
        Ok(found)
    }

    async fn whole(&self, stacks: Vec<Stack>) -> Result<Vec<WholeStack>> {
        let ids: Vec<AssetId> = stacks.iter().flat_map(|stack| stack.assets.clone()).collect();
        let mut assets = self.by_id(&ids).await?;
        let whole = |stack: Stack| {
            let assets = stack.assets.iter().filter_map(|id| assets.remove(id)).collect();
            WholeStack { stack, assets }
        };
        Ok(stacks.into_iter().map(whole).collect())
    }

    /// Assets, for those who know that they may be seen.
    pub(crate) async fn by_id(&self, ids: &[AssetId]) -> Result<HashMap<AssetId, Asset>> {
        Ok(self.store().assets(ids).await?.into_iter().map(|asset| (asset.id, asset)).collect())
    }
}
