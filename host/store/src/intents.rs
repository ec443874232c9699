//! Intents: what is on its way into the storage, and what is to leave it (DESIGN 3).

use jiff::Timestamp;
use types::{AssetId, IntentId, UserId};

use crate::{Result, Store};

/// Something that the sweeper may delete.
#[derive(Debug, Clone)]
pub struct Garbage {
    pub id: IntentId,
    /// `<backend>:<path>`; `None`: the storage may or may not have it, so `object` says what to look for.
    pub location: Option<String>,
    pub object_key: String,
    /// What the storage was asked to put.
    pub object: serde_json::Value,
}

/// Uploads of one owner's same bytes and the sweeper take turns.
const LOCK_KEY: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 7))";

impl Store {
    /// Step 1 of an upload: what follows may leave bytes behind, and this row is how they are found. Waits for a sweeper that is
    /// just deleting the same bytes.
    pub async fn insert_intent(
        &self,
        id: IntentId,
        owner: UserId,
        object_key: &str,
        object: &serde_json::Value,
        lease_until: Timestamp,
    ) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction.prepare_cached(LOCK_KEY).await?;
        transaction.execute(&statement, &[&object_key]).await?;
        let statement = transaction
            .prepare_cached(
                "INSERT INTO blob_intent (id, state, object_key, object, owner_id, lease_until)
                 VALUES ($1, 'pending', $2, $3, $4, $5)",
            )
            .await?;
        transaction.execute(&statement, &[&id.0, &object_key, &object, &owner.0, &lease_until]).await?;
        Ok(transaction.commit().await?)
    }

    /// The storage said where. From here the sweeper can delete it.
    pub async fn set_intent_location(&self, id: IntentId, location: &str) -> Result<()> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("UPDATE blob_intent SET location = $2 WHERE id = $1 AND state = 'pending'").await?;
        client.execute(&statement, &[&id.0, &location]).await?;
        Ok(())
    }

    /// The bytes are not wanted after all.
    pub async fn intent_to_garbage(&self, id: IntentId) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("UPDATE blob_intent SET state = 'garbage', lease_until = now() WHERE id = $1")
            .await?;
        client.execute(&statement, &[&id.0]).await?;
        Ok(())
    }

    /// Claims up to `limit` garbage or expired intents for this sweeper: expired ones become garbage, so that their upload, if it
    /// still runs, finds no pending row when it commits.
    pub async fn claim_garbage(&self, limit: i64) -> Result<Vec<Garbage>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE blob_intent SET state = 'garbage', lease_until = now() + interval '10 minutes'
                 WHERE id IN (SELECT id FROM blob_intent WHERE state <> 'live' AND lease_until <= now()
                              ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED)
                 RETURNING id, location, object_key, object",
            )
            .await?;
        let rows = client.query(&statement, &[&limit]).await?;
        Ok(rows
            .iter()
            .map(|row| Garbage {
                id: IntentId(row.get(0)),
                location: row.get(1),
                object_key: row.get(2),
                object: row.get(3),
            })
            .collect())
    }

    /// Ends one piece of garbage. `delete` is called only where no other intent means the same bytes; while it runs, an upload of
    /// the same bytes waits. Its failure leaves the garbage for the next sweep.
    pub async fn end_garbage<E>(
        &self,
        garbage: &Garbage,
        delete: impl Future<Output = std::result::Result<(), E>>,
    ) -> Result<std::result::Result<(), E>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction.prepare_cached(LOCK_KEY).await?;
        transaction.execute(&statement, &[&garbage.object_key]).await?;
        let statement = transaction
            .prepare_cached(
                "SELECT EXISTS (SELECT FROM blob_intent
                    WHERE id <> $1 AND state <> 'garbage' AND (object_key = $2 OR location = $3))",
            )
            .await?;
        let wanted: bool =
            transaction.query_one(&statement, &[&garbage.id.0, &garbage.object_key, &garbage.location]).await?.get(0);
        if !wanted && let Err(error) = delete.await {
            return Ok(Err(error));
        }
        let statement =
            transaction.prepare_cached("DELETE FROM blob_intent WHERE id = $1 AND state = 'garbage'").await?;
        transaction.execute(&statement, &[&garbage.id.0]).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Marks the originals of these assets as garbage, removes the assets, gives the quota back and returns the locations of
    /// their derivatives. One transaction.
    pub async fn delete_assets_forever(&self, owner: UserId, assets: &[AssetId]) -> Result<Vec<String>> {
        let ids: Vec<uuid::Uuid> = assets.iter().map(|id| id.0).collect();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction.prepare_cached("SELECT 1 FROM app_user WHERE id = $1 FOR UPDATE").await?;
        transaction.execute(&statement, &[&owner.0]).await?;
        let statement = transaction
            .prepare_cached("SELECT location FROM asset_file f JOIN asset a ON a.id = f.asset_id WHERE a.owner_id = $1 AND a.id = ANY($2)")
            .await?;
        let derivatives = transaction.query(&statement, &[&owner.0, &ids]).await?;
        let statement = transaction
            .prepare_cached("DELETE FROM asset WHERE owner_id = $1 AND id = ANY($2) RETURNING original_path, file_size")
            .await?;
        let gone = transaction.query(&statement, &[&owner.0, &ids]).await?;
        let paths: Vec<String> = gone.iter().map(|row| row.get(0)).collect();
        let freed: i64 = gone.iter().map(|row| row.get::<_, i64>(1)).sum();
        let statement = transaction
            .prepare_cached("UPDATE blob_intent SET state = 'garbage', lease_until = now() WHERE location = ANY($1)")
            .await?;
        transaction.execute(&statement, &[&paths]).await?;
        let statement = transaction
            .prepare_cached("UPDATE app_user SET used_bytes = greatest(used_bytes - $2, 0) WHERE id = $1")
            .await?;
        transaction.execute(&statement, &[&owner.0, &freed]).await?;
        transaction.commit().await?;
        Ok(derivatives.iter().map(|row| row.get(0)).collect())
    }
}
