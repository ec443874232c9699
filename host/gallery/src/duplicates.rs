//! Duplicates: assets of one owner that look the same, found as they are embedded.

use std::cmp::Reverse;

use store::accounts::User;
use store::assets::Asset;
use store::duplicates::{Decided, Decision};
use types::{AssetId, DuplicateId};

use crate::{Event, Gallery, GalleryError, Result};

/// Assets that look the same, in order of when they were taken.
#[derive(Debug, Clone)]
pub struct Group {
    pub id: DuplicateId,
    pub assets: Vec<Asset>,
    /// What is best kept: the largest file, and of those the one of which most is known.
    pub best: Vec<AssetId>,
}

impl Gallery {
    /// What this user has not decided about yet.
    pub async fn duplicates(&self, user: &User) -> Result<Vec<Group>> {
        let groups = self.store().duplicates(user.id).await?;
        let ids: Vec<AssetId> = groups.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
        let mut assets = self.by_id(&ids).await?;
        let group = |(id, ids): (DuplicateId, Vec<AssetId>)| {
            let assets: Vec<Asset> = ids.iter().filter_map(|id| assets.remove(id)).collect();
            let best = assets.iter().max_by_key(|asset| (asset.file_size, known_of(asset), Reverse(asset.id)));
            Group { id, best: best.map(|asset| asset.id).into_iter().collect(), assets }
        };
        Ok(groups.into_iter().map(group).collect())
    }

    /// They are no duplicates, and are not grouped with one another again. An id that is not theirs does nothing at all.
    pub async fn dismiss_duplicates(&self, user: &User, groups: &[DuplicateId]) -> Result<()> {
        let changed = self.store().dismiss_duplicates(user.id, groups).await?;
        for asset in changed.ok_or_else(|| GalleryError::no_access("duplicate.delete"))? {
            self.events().publish(Event::AssetUpdated { owner: user.id, asset });
        }
        Ok(())
    }

    /// Keeps some of a group and moves others into the trash; see [`store::Store::resolve_duplicates`].
    pub async fn resolve_duplicates(&self, user: &User, decision: &Decision) -> Result<Decided> {
        let decided = self.store().resolve_duplicates(user.id, decision, self.now()).await?;
        if let Decided::Done { kept, trashed } = &decided {
            if !trashed.is_empty() {
                self.events().publish(Event::AssetsTrashed { owner: user.id, assets: trashed.clone() });
            }
            for asset in kept {
                self.events().publish(Event::AssetUpdated { owner: user.id, asset: *asset });
            }
        }
        Ok(decided)
    }
}

/// How much is known of an asset that a worse copy may have lost.
fn known_of(asset: &Asset) -> usize {
    let Some(exif) = &asset.exif else { return 0 };
    let texts = [&exif.make, &exif.model, &exif.lens_model, &exif.exposure_time, &exif.time_zone];
    let numbers = [exif.f_number, exif.focal_length, exif.latitude];
    texts.iter().filter(|text| text.is_some()).count()
        + numbers.iter().filter(|number| number.is_some()).count()
        + usize::from(!exif.description.is_empty())
        + usize::from(exif.rating.is_some())
}
