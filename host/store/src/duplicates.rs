//! Duplicates: assets of one owner that look the same share an id until their owner has decided about them.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use types::{AssetId, DuplicateId, UserId};
use uuid::Uuid;

use crate::assets::trash;
use crate::stacks::lock_things;
use crate::{Result, Store};

/// What an owner decides about a group.
#[derive(Debug, Clone)]
pub struct Decision {
    pub group: DuplicateId,
    pub keep: Vec<AssetId>,
    pub trash: Vec<AssetId>,
}

/// How a decision ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// What went into the trash, with videos that belong to photos.
    Done { kept: Vec<AssetId>, trashed: Vec<AssetId> },
    /// There is no such group of this owner.
    Unknown,
    /// An asset that was named is not in the group.
    NotOfIt(AssetId),
}

impl Store {
    /// `asset` looks the same as `near`: they share a group from now on, with whoever shares one with them already; except those
    /// of which their owner said that they are no duplicates. Returns what changed.
    pub async fn group_duplicates(&self, owner: UserId, asset: AssetId, near: &[AssetId]) -> Result<Vec<AssetId>> {
        let near: Vec<Uuid> = near.iter().map(|id| id.0).collect();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_things(&transaction, owner.0).await?;
        let statement = transaction
            .prepare_cached(
                "SELECT a.id, a.duplicate_id FROM asset a
                 WHERE a.owner_id = $1 AND (a.id = $2 OR a.id = ANY($3)) AND a.deleted_at IS NULL
                   AND NOT EXISTS (SELECT FROM duplicate_kept k JOIN duplicate_kept o ON o.group_id = k.group_id
                     WHERE k.asset_id = a.id AND o.asset_id = $2 AND a.id <> $2)
                 ORDER BY a.id FOR NO KEY UPDATE OF a",
            )
            .await?;
        let rows = transaction.query(&statement, &[&owner.0, &asset.0, &near]).await?;
        let alike: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        if alike.len() < 2 || !alike.contains(&asset.0) {
            return Ok(Vec::new());
        }
        let groups: Vec<Uuid> = rows.iter().filter_map(|row| row.get(1)).collect();
        let group = groups.iter().min().copied().unwrap_or_else(|| DuplicateId::generate().0);
        let statement = transaction
            .prepare_cached(
                "UPDATE asset SET duplicate_id = $2 WHERE owner_id = $1 AND (id = ANY($3) OR duplicate_id = ANY($4))
                   AND duplicate_id IS DISTINCT FROM $2 RETURNING id",
            )
            .await?;
        let changed = transaction.query(&statement, &[&owner.0, &group, &alike, &groups]).await?;
        transaction.commit().await?;
        Ok(changed.iter().map(|row| AssetId(row.get(0))).collect())
    }

    /// Has this owner such a group?
    pub async fn has_duplicates(&self, owner: UserId, group: DuplicateId) -> Result<bool> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("SELECT FROM asset WHERE owner_id = $1 AND duplicate_id = $2 LIMIT 1").await?;
        Ok(client.query_opt(&statement, &[&owner.0, &group.0]).await?.is_some())
    }

    /// The groups of this owner, each with at least two assets that do not lie in the trash, in order of when they were taken.
    pub async fn duplicates(&self, owner: UserId) -> Result<Vec<(DuplicateId, Vec<AssetId>)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT duplicate_id, array_agg(id ORDER BY file_created_at, id) FROM asset
                 WHERE owner_id = $1 AND duplicate_id IS NOT NULL AND deleted_at IS NULL
                   AND visibility IN ('timeline', 'archive')
                 GROUP BY duplicate_id HAVING count(*) > 1 ORDER BY duplicate_id",
            )
            .await?;
        let rows = client.query(&statement, &[&owner.0]).await?;
        let ids = |ids: Vec<Uuid>| ids.into_iter().map(AssetId).collect();
        Ok(rows.iter().map(|row| (DuplicateId(row.get(0)), ids(row.get(1)))).collect())
    }

    /// These are no duplicates: they stay as they are, and are not grouped with one another again. `None`: not all groups are
    /// this owner's, and nothing was done.
    pub async fn dismiss_duplicates(&self, owner: UserId, groups: &[DuplicateId]) -> Result<Option<Vec<AssetId>>> {
        let groups: HashSet<Uuid> = groups.iter().map(|id| id.0).collect();
        let all: Vec<Uuid> = groups.iter().copied().collect();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_things(&transaction, owner.0).await?;
        let statement = transaction
            .prepare_cached(
                "SELECT id, duplicate_id FROM asset WHERE owner_id = $1 AND duplicate_id = ANY($2)
                 ORDER BY id FOR NO KEY UPDATE",
            )
            .await?;
        let rows = transaction.query(&statement, &[&owner.0, &all]).await?;
        let found: HashSet<Uuid> = rows.iter().map(|row| row.get(1)).collect();
        if found != groups {
            return Ok(None);
        }
        let ids: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        set_duplicate(&transaction, owner, &ids, None).await?;
        transaction.commit().await?;
        Ok(Some(ids.into_iter().map(AssetId).collect()))
    }

    /// Keeps some of a group and moves others into the trash. What is kept has the albums and tags of those that go, and is a
    /// favourite where one of them is. The group is no more.
    pub async fn resolve_duplicates(&self, owner: UserId, decision: &Decision, at: Timestamp) -> Result<Decided> {
        let uuids = |ids: &[AssetId]| ids.iter().map(|id| id.0).collect::<Vec<Uuid>>();
        let (keep, gone) = (uuids(&decision.keep), uuids(&decision.trash));
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_things(&transaction, owner.0).await?;
        let statement = transaction
            .prepare_cached(
                "SELECT id FROM asset WHERE owner_id = $1 AND duplicate_id = $2 ORDER BY id FOR NO KEY UPDATE",
            )
            .await?;
        let rows = transaction.query(&statement, &[&owner.0, &decision.group.0]).await?;
        let all: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        if all.is_empty() {
            return Ok(Decided::Unknown);
        }
        if let Some(other) = keep.iter().chain(&gone).find(|id| !all.contains(id)) {
            return Ok(Decided::NotOfIt(AssetId(*other)));
        }
        inherit(&transaction, owner, &gone, &keep).await?;
        set_duplicate(&transaction, owner, &all, None).await?;
        let trashed = trash(&transaction, owner, &gone, Some(at)).await?;
        transaction.commit().await?;
        Ok(Decided::Done { kept: decision.keep.clone(), trashed })
    }
}

/// Sets or takes away the group of assets of this owner. Those that leave the same group are not grouped with one another again.
pub(crate) async fn set_duplicate(
    transaction: &Transaction<'_>,
    owner: UserId,
    assets: &[Uuid],
    group: Option<DuplicateId>,
) -> Result<()> {
    if group.is_none() {
        let statement = transaction
            .prepare_cached(
                "INSERT INTO duplicate_kept (asset_id, group_id)
                 SELECT id, duplicate_id FROM asset
                 WHERE owner_id = $1 AND id = ANY($2) AND duplicate_id IS NOT NULL ORDER BY id
                 ON CONFLICT (asset_id) DO UPDATE SET group_id = excluded.group_id",
            )
            .await?;
        transaction.execute(&statement, &[&owner.0, &assets]).await?;
    }
    let statement = transaction
        .prepare_cached(
            "UPDATE asset SET duplicate_id = $3
             WHERE owner_id = $1 AND id = ANY($2) AND duplicate_id IS DISTINCT FROM $3",
        )
        .await?;
    transaction.execute(&statement, &[&owner.0, &assets, &group.map(|id| id.0)]).await?;
    Ok(())
}

/// What is kept takes over the albums, tags and the favourite of what goes.
async fn inherit(transaction: &Transaction<'_>, owner: UserId, from: &[Uuid], to: &[Uuid]) -> Result<()> {
    let statement = transaction
        .prepare_cached(
            "WITH albums AS (
                INSERT INTO album_asset (album_id, asset_id) SELECT DISTINCT o.album_id, k.id
                FROM album_asset o, unnest($3::uuid[]) k(id) WHERE o.asset_id = ANY($2) ON CONFLICT DO NOTHING),
             tags AS (
                INSERT INTO tag_asset (tag_id, asset_id) SELECT DISTINCT o.tag_id, k.id
                FROM tag_asset o, unnest($3::uuid[]) k(id) WHERE o.asset_id = ANY($2) ON CONFLICT DO NOTHING)
             UPDATE asset SET is_favorite = true WHERE owner_id = $1 AND id = ANY($3) AND NOT is_favorite
               AND EXISTS (SELECT FROM asset o WHERE o.id = ANY($2) AND o.is_favorite)",
        )
        .await?;
    transaction.execute(&statement, &[&owner.0, &from, &to]).await?;
    Ok(())
}
