//! What clients keep with an asset: a JSON object for each key of theirs.

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use types::{AssetId, UserId};
use uuid::Uuid;

use crate::{Result, Store};

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub asset: AssetId,
    pub key: String,
    pub value: Value,
    pub updated_at: Timestamp,
}

/// What is written: asset, key, object.
pub type NewEntry = (AssetId, String, Value);

fn entry(row: &Row) -> Entry {
    Entry { asset: AssetId(row.get(0)), key: row.get(1), value: row.get(2), updated_at: row.get(3) }
}

impl Store {
    /// All of an asset, by key; or the one of `key`.
    pub async fn asset_metadata(&self, asset: AssetId, key: Option<&str>) -> Result<Vec<Entry>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT asset_id, key, value, updated_at FROM asset_metadata
                 WHERE asset_id = $1 AND ($2::text IS NULL OR key = $2) ORDER BY key",
            )
            .await?;
        Ok(client.query(&statement, &[&asset.0, &key]).await?.iter().map(entry).collect())
    }

    /// Writes entries of assets of this owner, each (asset, key) once; all or none. `None`: not all are this owner's.
    pub async fn set_asset_metadata(&self, owner: UserId, entries: &[NewEntry]) -> Result<Option<Vec<Entry>>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        if !lock_assets(&transaction, owner, entries.iter().map(|(asset, ..)| asset.0)).await? {
            return Ok(None);
        }
        let written = insert_entries(&transaction, entries).await?;
        transaction.commit().await?;
        Ok(Some(written))
    }

    /// Removes entries of assets of this owner; all or none. One that is not there is no error. `false`: not all assets are this
    /// owner's.
    pub async fn delete_asset_metadata(&self, owner: UserId, entries: &[(AssetId, String)]) -> Result<bool> {
        let assets: Vec<Uuid> = entries.iter().map(|(asset, _)| asset.0).collect();
        let keys: Vec<&str> = entries.iter().map(|(_, key)| &**key).collect();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        if !lock_assets(&transaction, owner, assets.iter().copied()).await? {
            return Ok(false);
        }
        let statement = transaction
            .prepare_cached(
                "DELETE FROM asset_metadata m USING unnest($1::uuid[], $2::text[]) d(asset_id, key)
                 WHERE m.asset_id = d.asset_id AND m.key = d.key",
            )
            .await?;
        transaction.execute(&statement, &[&assets, &keys]).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// The entries of a new asset are written in the transaction that inserts it.
pub(crate) async fn insert_entries(transaction: &Transaction<'_>, entries: &[NewEntry]) -> Result<Vec<Entry>> {
    let assets: Vec<Uuid> = entries.iter().map(|(asset, ..)| asset.0).collect();
    let keys: Vec<&str> = entries.iter().map(|(_, key, _)| &**key).collect();
    let values: Vec<&Value> = entries.iter().map(|(.., value)| value).collect();
    let statement = transaction
        .prepare_cached(
            "INSERT INTO asset_metadata (asset_id, key, value) SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[])
             ON CONFLICT (asset_id, key) DO UPDATE SET value = excluded.value
             RETURNING asset_id, key, value, updated_at",
        )
        .await?;
    Ok(transaction.query(&statement, &[&assets, &keys, &values]).await?.iter().map(entry).collect())
}

/// Nobody else writes entries of these assets meanwhile. `false`: not all are this owner's.
async fn lock_assets(transaction: &Transaction<'_>, owner: UserId, assets: impl Iterator<Item = Uuid>) -> Result<bool> {
    let mut assets: Vec<Uuid> = assets.collect();
    assets.sort_unstable();
    assets.dedup();
    let statement = transaction
        .prepare_cached("SELECT FROM asset WHERE owner_id = $1 AND id = ANY($2) ORDER BY id FOR NO KEY UPDATE")
        .await?;
    Ok(transaction.query(&statement, &[&owner.0, &assets]).await?.len() == assets.len())
}
