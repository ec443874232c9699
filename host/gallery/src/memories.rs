//! Memories: photos that are shown again on a day to remember. What was taken on this day of earlier years is remembered by
//! itself: made before the day comes, wherever it is that day already.

use std::collections::HashSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use store::accounts::User;
use store::assets::Asset;
use store::memories::{Memory, MemoryChanges, MemoryFilter, MemoryOrder, NewMemory};
use types::{AssetId, MemoryId};

use crate::bulk::{LeftOut, Outcomes, outcomes};
use crate::{Gallery, GalleryError, Result};

/// A memory with its assets, in order of when they were taken.
#[derive(Debug, Clone)]
pub struct WholeMemory {
    pub memory: Memory,
    pub assets: Vec<Asset>,
}

/// Where the last day is noted for which everybody's memories were made.
const MADE_UNTIL: &str = "memories.made-until";
/// How long after its day a memory stays that nobody saved.
const KEPT_DAYS: i64 = 30;

impl Gallery {
    /// `page`: from 1, and its size.
    pub async fn memories(
        &self,
        user: &User,
        filter: &MemoryFilter,
        order: MemoryOrder,
        page: Option<(u32, u32)>,
    ) -> Result<Vec<WholeMemory>> {
        let (offset, limit) = match page {
            Some((page, size)) => (i64::from(page.max(1) - 1) * i64::from(size), Some(i64::from(size))),
            None => (0, None),
        };
        let found = self.store().memories(user.id, filter, order, (offset, limit)).await?;
        let ids: HashSet<AssetId> = found.iter().flat_map(|memory| memory.assets.iter().copied()).collect();
        let assets = self.by_id(&ids.into_iter().collect::<Vec<_>>()).await?;
        let whole = |memory: Memory| {
            let assets = memory.assets.iter().filter_map(|id| assets.get(id).cloned()).collect();
            WholeMemory { memory, assets }
        };
        Ok(found.into_iter().map(whole).collect())
    }

    pub async fn count_memories(&self, user: &User, filter: &MemoryFilter) -> Result<i64> {
        Ok(self.store().count_memories(user.id, filter).await?)
    }

    pub async fn memory(&self, user: &User, id: MemoryId) -> Result<WholeMemory> {
        let memory = self.store().memory(user.id, id).await?.ok_or_else(|| GalleryError::no_access("memory.read"))?;
        let assets = self.store().assets(&memory.assets).await?;
        Ok(WholeMemory { memory, assets })
    }

    /// One that the user makes. What of its assets is not theirs is left out, as Immich does.
    pub async fn create_memory(&self, user: &User, new: &NewMemory) -> Result<WholeMemory> {
        let id = self.store().create_memory(user.id, new).await?;
        self.memory(user, id).await
    }

    pub async fn update_memory(&self, user: &User, id: MemoryId, changes: &MemoryChanges) -> Result<WholeMemory> {
        match self.store().update_memory(user.id, id, changes).await? {
            true => self.memory(user, id).await,
            false => Err(GalleryError::no_access("memory.update")),
        }
    }

    /// Its assets stay. One that the server made does not come back.
    pub async fn delete_memory(&self, user: &User, id: MemoryId) -> Result<()> {
        match self.store().delete_memory(user.id, id).await? {
            true => Ok(()),
            false => Err(GalleryError::no_access("memory.delete")),
        }
    }

    pub async fn add_to_memory(&self, user: &User, id: MemoryId, assets: &[AssetId]) -> Result<Outcomes<AssetId>> {
        let owned = self.store().owned(user.id, assets, user.sees_locked).await?.into_iter().collect();
        let added = self.store().add_to_memory(user.id, id, assets).await?;
        let added = added.ok_or_else(|| GalleryError::no_access("memory.read"))?;
        Ok(outcomes(assets, &owned, &added, LeftOut::Duplicate))
    }

    pub async fn take_from_memory(&self, user: &User, id: MemoryId, assets: &[AssetId]) -> Result<Outcomes<AssetId>> {
        let owned = self.store().owned(user.id, assets, user.sees_locked).await?.into_iter().collect();
        let gone = self.store().take_from_memory(user.id, id, assets).await?;
        let gone = gone.ok_or_else(|| GalleryError::no_access("memory.update"))?;
        Ok(outcomes(assets, &owned, &gone, LeftOut::NotFound))
    }

    /// Makes everybody's memories as far as they are due, and removes old ones. Returns how many were made. By one node at a time.
    pub async fn keep_memories(&self) -> Result<usize> {
        let days = self.days_to_remember();
        let last = days[days.len() - 1].to_string();
        if self.store().fact(MADE_UNTIL).await?.is_some_and(|made| made == *last) {
            return Ok(0);
        }
        let mut made = 0;
        for owner in self.store().who_remembers().await? {
            for day in days {
                made += self.store().make_memories(owner, day).await?;
            }
        }
        let gone = self.store().forget_memories(self.now() - (KEPT_DAYS * 24).hours()).await?;
        self.store().set_fact(MADE_UNTIL, &last.into()).await?;
        tracing::info!(made, gone, "Made the memories of the day");
        Ok(made)
    }

    /// A photo of this day of an earlier year that only comes now is remembered today.
    pub(crate) async fn remember_late(&self, asset: &Asset) -> Result<()> {
        let taken = asset.local_date_time.date();
        for day in self.days_to_remember() {
            let is_of_it = (taken.month(), taken.day()) == (day.month(), day.day()) && taken.year() < day.year();
            if is_of_it && self.store().make_memories(asset.owner, day).await? == 0 {
                self.store().join_memory(asset.id, day).await?;
            }
        }
        Ok(())
    }

    /// Today by UTC, and tomorrow, which it is already in the east.
    fn days_to_remember(&self) -> [Date; 2] {
        let today = date(self.now());
        [today, today.tomorrow().unwrap_or(today)]
    }
}

fn date(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}
