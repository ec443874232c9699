//! The last step of an upload, and an original that moves to where its date says.

use deadpool_postgres::Transaction;
use jiff::{Timestamp, civil};
use types::{AssetId, AssetType, IntentId, UserId, Visibility};

use crate::asset_metadata::{NewEntry, insert_entries};
use crate::corrections::{Said, insert_said};
use crate::{Result, Store};

/// What an upload inserts.
#[derive(Debug, Clone)]
pub struct NewAsset {
    pub id: AssetId,
    pub owner: UserId,
    /// SHA-1, which clients know an asset by.
    pub checksum: [u8; 20],
    pub sha256: [u8; 32],
    pub kind: AssetType,
    pub file_name: String,
    /// `<backend>:<path>`.
    pub location: String,
    pub mime_type: String,
    pub file_size: i64,
    pub created: Timestamp,
    pub modified: Timestamp,
    /// Also what the path was made from.
    pub local: civil::DateTime,
    pub visibility: Visibility,
    pub is_favorite: bool,
    pub duration_ms: Option<i32>,
    pub live_photo_video: Option<AssetId>,
    /// Committed with it: an upload that was acknowledged has lost nothing of what came with it.
    pub said: Said,
    /// The same: what the client keeps with it, by key.
    pub metadata: Vec<(String, serde_json::Value)>,
}

/// How the last step of an upload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    Created,
    /// The owner has these bytes already; the intent is garbage now.
    Duplicate(AssetId),
    /// The sweeper took the intent: its lease was over. Nothing was written.
    IntentLost,
    /// The owner's quota has no room. The intent is garbage now.
    QuotaExceeded,
    /// The owner is being removed. The intent is garbage now.
    OwnerGone,
}

impl Store {
    /// Step 3 of an upload, in one transaction: the quota's row, the asset, the intent live, the outbox.
    pub async fn commit_upload(&self, new: &NewAsset, intent: IntentId) -> Result<Committed> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        // One upload of an owner at a time gets past here.
        let statement = transaction
            .prepare_cached(
                "SELECT quota_bytes, used_bytes FROM app_user WHERE id = $1 AND NOT is_removing FOR NO KEY UPDATE",
            )
            .await?;
        let Some(quota) = transaction.query_opt(&statement, &[&new.owner.0]).await? else {
            transaction.rollback().await?;
            self.intent_to_garbage(intent).await?;
            return Ok(Committed::OwnerGone);
        };
        if !insert_asset(&transaction, new).await? {
            let statement =
                transaction.prepare_cached("SELECT id FROM asset WHERE owner_id = $1 AND checksum = $2").await?;
            let existing = transaction.query_one(&statement, &[&new.owner.0, &&new.checksum[..]]).await?;
            let statement = transaction
                .prepare_cached("UPDATE blob_intent SET state = 'garbage', lease_until = now() WHERE id = $1")
                .await?;
            transaction.execute(&statement, &[&intent.0]).await?;
            transaction.commit().await?;
            return Ok(Committed::Duplicate(AssetId(existing.get(0))));
        }
        insert_said(&transaction, new.id, &new.said).await?;
        if !new.metadata.is_empty() {
            let entries: Vec<NewEntry> =
                new.metadata.iter().map(|(key, value)| (new.id, key.clone(), value.clone())).collect();
            insert_entries(&transaction, &entries).await?;
        }
        let (limit, used): (Option<i64>, i64) = (quota.get(0), quota.get(1));
        if limit.is_some_and(|limit| used + new.file_size > limit) {
            transaction.rollback().await?;
            self.intent_to_garbage(intent).await?;
            return Ok(Committed::QuotaExceeded);
        }
        if !make_live(&transaction, intent, &new.location).await? {
            transaction.rollback().await?;
            return Ok(Committed::IntentLost);
        }
        let statement =
            transaction.prepare_cached("UPDATE app_user SET used_bytes = used_bytes + $2 WHERE id = $1").await?;
        transaction.execute(&statement, &[&new.owner.0, &new.file_size]).await?;
        if let Some(video) = new.live_photo_video {
            // The part that moves is not seen beside its photo.
            let statement = transaction
                .prepare_cached(
                    "UPDATE asset SET visibility = 'hidden' WHERE id = $1 AND owner_id = $2 AND type = 'VIDEO'",
                )
                .await?;
            transaction.execute(&statement, &[&video.0, &new.owner.0]).await?;
        }
        let statement =
            transaction.prepare_cached("INSERT INTO outbox (asset_id, trigger) VALUES ($1, 'asset.created')").await?;
        transaction.execute(&statement, &[&new.id.0]).await?;
        transaction.commit().await?;
        Ok(Committed::Created)
    }

    /// What the path of an original is made from beside its date and name: the owner's label, and the hash.
    pub async fn filing(&self, asset: AssetId) -> Result<Option<(Option<String>, Vec<u8>)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT u.storage_label, a.sha256 FROM asset a JOIN app_user u ON u.id = a.owner_id WHERE a.id = $1",
            )
            .await?;
        Ok(client.query_opt(&statement, &[&asset.0]).await?.map(|row| (row.get(0), row.get(1))))
    }

    /// The original of an asset lies at `to` from now on, if it still was at `from`; what is at `from` becomes garbage. `false`:
    /// it was not, or the intent is lost, and what is at `to` is garbage. `filed_under`: where its path says another date.
    pub async fn move_original(
        &self,
        asset: AssetId,
        intent: IntentId,
        (from, to): (&str, &str),
        filed_under: Option<civil::DateTime>,
    ) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction
            .prepare_cached(
                "UPDATE asset SET original_path = $3, filed_under = coalesce($4, filed_under)
                 WHERE id = $1 AND original_path = $2 RETURNING owner_id",
            )
            .await?;
        let moved = transaction.query_opt(&statement, &[&asset.0, &from, &to, &filed_under]).await?;
        let Some(row) = moved else {
            transaction.rollback().await?;
            self.intent_to_garbage(intent).await?;
            return Ok(false);
        };
        if !make_live(&transaction, intent, to).await? {
            return Ok(false);
        }
        let owner: uuid::Uuid = row.get(0);
        // One of them, where two assets of this owner have one place.
        let statement = transaction
            .prepare_cached(
                "UPDATE blob_intent SET state = 'garbage', lease_until = now() WHERE id = (
                    SELECT id FROM blob_intent WHERE location = $1 AND owner_id = $2 AND state = 'live' AND id <> $3 LIMIT 1)",
            )
            .await?;
        transaction.execute(&statement, &[&from, &owner, &intent.0]).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The original lies where it belongs: its path would be the same. The intent is not needed.
    pub async fn keep_original(&self, asset: AssetId, intent: IntentId, filed_under: civil::DateTime) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH intent AS (DELETE FROM blob_intent WHERE id = $2 AND state <> 'live')
                 UPDATE asset SET filed_under = $3 WHERE id = $1",
            )
            .await?;
        client.execute(&statement, &[&asset.0, &intent.0, &filed_under]).await?;
        Ok(())
    }
}

/// `false`: the owner has these bytes.
async fn insert_asset(transaction: &Transaction<'_>, new: &NewAsset) -> Result<bool> {
    let statement = transaction
        .prepare_cached(
            "INSERT INTO asset (id, owner_id, checksum, sha256, type, original_file_name, original_path, mime_type,
                file_size, file_created_at, file_modified_at, local_date_time, filed_under, visibility, is_favorite,
                duration_ms, live_photo_video_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14, $15,
                (SELECT id FROM asset WHERE id = $16 AND owner_id = $2))
             ON CONFLICT (owner_id, checksum) DO NOTHING",
        )
        .await?;
    let inserted = transaction
        .execute(
            &statement,
            &[
                &new.id.0,
                &new.owner.0,
                &&new.checksum[..],
                &&new.sha256[..],
                &new.kind.as_str(),
                &new.file_name,
                &new.location,
                &new.mime_type,
                &new.file_size,
                &new.created,
                &new.modified,
                &new.local,
                &new.visibility.as_str(),
                &new.is_favorite,
                &new.duration_ms,
                &new.live_photo_video.map(|id| id.0),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// `false`: the sweeper was faster.
async fn make_live(transaction: &Transaction<'_>, intent: IntentId, location: &str) -> Result<bool> {
    let statement = transaction
        .prepare_cached("UPDATE blob_intent SET state = 'live', location = $2 WHERE id = $1 AND state = 'pending'")
        .await?;
    Ok(transaction.execute(&statement, &[&intent.0, &location]).await? == 1)
}
