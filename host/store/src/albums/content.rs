//! What is in an album.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use types::{AlbumId, AlbumRole, AssetId, UserId};
use uuid::Uuid;

use super::{LISTED, lock, role, uuids};
use crate::{Result, Store};

/// How assets came into an album, in no particular order. What is in neither list was not the one's who put them there.
#[derive(Debug, Clone, Default)]
pub struct Added {
    pub added: HashSet<AssetId>,
    /// They were in it.
    pub present: HashSet<AssetId>,
}

/// Where an asset was taken.
#[derive(Debug, Clone)]
pub struct Marker {
    pub asset: AssetId,
    /// Degrees.
    pub latitude: f64,
    pub longitude: f64,
    pub city: Option<String>,
    pub state: Option<String>,
    pub country: Option<String>,
}

impl Store {
    /// Puts assets of `by`, who owns or edits the album, into it. `None`: they do not (any more).
    pub async fn add_to_album(&self, by: UserId, album: AlbumId, assets: &[AssetId]) -> Result<Option<Added>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let own = lock_own(&transaction, by, assets).await?;
        if !may_edit(&transaction, by, album).await? {
            return Ok(None);
        }
        let added: HashSet<AssetId> = insert(&transaction, album, &own).await?.into_iter().collect();
        transaction.commit().await?;
        let present = own.into_iter().map(AssetId).filter(|id| !added.contains(id)).collect();
        Ok(Some(Added { added, present }))
    }

    /// Takes assets out of an album that `by` owns or edits; returns those that were in it. `None`: they do not (any more).
    pub async fn remove_from_album(
        &self,
        by: UserId,
        album: AlbumId,
        assets: &[AssetId],
    ) -> Result<Option<HashSet<AssetId>>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        // Whoever deletes one of them, or puts it behind the PIN, has its row before that of the album.
        let statement =
            transaction.prepare_cached("SELECT FROM asset WHERE id = ANY($1) ORDER BY id FOR SHARE").await?;
        transaction.query(&statement, &[&uuids(assets)]).await?;
        if !may_edit(&transaction, by, album).await? {
            return Ok(None);
        }
        let statement = transaction
            .prepare_cached("DELETE FROM album_asset WHERE album_id = $1 AND asset_id = ANY($2) RETURNING asset_id")
            .await?;
        let gone = transaction.query(&statement, &[&album.0, &uuids(assets)]).await?;
        if !gone.is_empty() {
            touch(&transaction, album).await?;
        }
        transaction.commit().await?;
        Ok(Some(gone.iter().map(|row| AssetId(row.get(0))).collect()))
    }

    /// How many of what an album shows belong to whom, most first.
    pub async fn album_contributors(&self, album: AlbumId) -> Result<Vec<(UserId, i64)>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT a.owner_id, count(*) FROM album_asset m JOIN asset a ON a.id = m.asset_id
             WHERE m.album_id = $1 AND {LISTED} GROUP BY a.owner_id ORDER BY count(*) DESC, a.owner_id"
        );
        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &[&album.0]).await?;
        Ok(rows.iter().map(|row| (UserId(row.get(0)), row.get(1))).collect())
    }

    /// Where what an album shows was taken, as far as that is known; newest first.
    pub async fn album_markers(&self, album: AlbumId) -> Result<Vec<Marker>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT a.id, x.latitude, x.longitude, x.city, x.state, x.country
             FROM album_asset m JOIN asset a ON a.id = m.asset_id JOIN asset_exif x ON x.asset_id = a.id
             WHERE m.album_id = $1 AND {LISTED} AND x.latitude IS NOT NULL AND x.longitude IS NOT NULL
             ORDER BY a.local_date_time DESC, a.id DESC"
        );
        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &[&album.0]).await?;
        Ok(rows
            .iter()
            .map(|row| Marker {
                asset: AssetId(row.get(0)),
                latitude: row.get(1),
                longitude: row.get(2),
                city: row.get(3),
                state: row.get(4),
                country: row.get(5),
            })
            .collect())
    }

    /// Is this asset in the album, and shown there?
    pub async fn album_shows(&self, album: AlbumId, asset: AssetId) -> Result<bool> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT EXISTS (SELECT FROM album_asset m JOIN asset a ON a.id = m.asset_id
             WHERE m.album_id = $1 AND m.asset_id = $2 AND {LISTED})"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_one(&statement, &[&album.0, &asset.0]).await?.get(0))
    }
}

/// Those that belong to this owner and do not lie behind the PIN, in order; none of them goes before the transaction ends.
pub(super) async fn lock_own(transaction: &Transaction<'_>, owner: UserId, assets: &[AssetId]) -> Result<Vec<Uuid>> {
    let statement = transaction
        .prepare_cached(
            "SELECT id FROM asset WHERE owner_id = $1 AND id = ANY($2) AND visibility <> 'locked' ORDER BY id
             FOR KEY SHARE",
        )
        .await?;
    let rows = transaction.query(&statement, &[&owner.0, &uuids(assets)]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Whoever is taken out of the album meanwhile waits, or has gone.
async fn may_edit(transaction: &Transaction<'_>, user: UserId, album: AlbumId) -> Result<bool> {
    if !lock(transaction, album).await? {
        return Ok(false);
    }
    let statement = transaction
        .prepare_cached("SELECT role FROM album_user WHERE album_id = $1 AND user_id = $2 FOR SHARE")
        .await?;
    let row = transaction.query_opt(&statement, &[&album.0, &user.0]).await?;
    Ok(row.is_some_and(|row| role(row.get(0)) != AlbumRole::Viewer))
}

/// Puts assets that are locked into an album that is; the first ones of it give it a thumbnail. Returns those that were not in it.
pub(super) async fn insert(transaction: &Transaction<'_>, album: AlbumId, assets: &[Uuid]) -> Result<Vec<AssetId>> {
    let statement = transaction
        .prepare_cached(
            "INSERT INTO album_asset (album_id, asset_id) SELECT $1, id FROM unnest($2::uuid[]) id
             ON CONFLICT (album_id, asset_id) DO NOTHING RETURNING asset_id",
        )
        .await?;
    let added: Vec<Uuid> =
        transaction.query(&statement, &[&album.0, &assets]).await?.iter().map(|row| row.get(0)).collect();
    if !added.is_empty() {
        let statement = transaction
            .prepare_cached(
                "UPDATE album SET thumbnail_asset_id = coalesce(thumbnail_asset_id, (
                    SELECT id FROM asset WHERE id = ANY($2) ORDER BY local_date_time DESC, id DESC LIMIT 1))
                 WHERE id = $1",
            )
            .await?;
        transaction.execute(&statement, &[&album.0, &added]).await?;
    }
    Ok(added.into_iter().map(AssetId).collect())
}

/// It was changed: the sync stream tells of it again.
async fn touch(transaction: &Transaction<'_>, album: AlbumId) -> Result<()> {
    let statement = transaction.prepare_cached("UPDATE album SET updated_at = clock_timestamp() WHERE id = $1").await?;
    transaction.execute(&statement, &[&album.0]).await?;
    Ok(())
}
