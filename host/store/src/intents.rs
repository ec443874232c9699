//! Intents: what is on its way into the storage, and what is to leave it (DESIGN 3).

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use types::{IntentId, UserId};
use uuid::Uuid;

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

/// How the turn of a piece of garbage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept {
    /// The storage does not hold it any more, or somebody else answers for it.
    Gone,
    /// An upload of the same bytes is under way and may come to lie there: later.
    Postponed,
}

/// Uploads of the same bytes and the sweeper take turns.
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

    /// Blobs that no row names any more.
    pub async fn add_garbage(&self, owner: UserId, locations: &[String]) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        to_garbage(&transaction, owner.0, locations).await?;
        Ok(transaction.commit().await?)
    }

    /// Claims up to `limit` garbage or expired intents for this sweeper: expired ones become garbage, so that their upload, if it
    /// still runs, finds no pending row when it commits.
    pub async fn claim_garbage(&self, limit: i64) -> Result<Vec<Garbage>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE blob_intent SET state = 'garbage', lease_until = now() + interval '1 minute'
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

    /// Ends one piece of garbage. `find` says where it lies, if nobody noted that; `delete` is called only where nothing else
    /// means the same place. While they run, an upload of the same bytes waits. Their failure leaves the garbage for a later
    /// sweep.
    pub async fn end_garbage<E>(
        &self,
        garbage: &Garbage,
        find: impl Future<Output = std::result::Result<Option<String>, E>>,
        delete: impl AsyncFnOnce(&str) -> std::result::Result<(), E>,
    ) -> Result<std::result::Result<Swept, E>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction.prepare_cached(LOCK_KEY).await?;
        transaction.execute(&statement, &[&garbage.object_key]).await?;
        // A derivative that was made again with the same bytes has taken its row away meanwhile.
        let statement = transaction
            .prepare_cached("SELECT FROM blob_intent WHERE id = $1 AND state = 'garbage' FOR UPDATE")
            .await?;
        if transaction.query_opt(&statement, &[&garbage.id.0]).await?.is_none() {
            return Ok(Ok(Swept::Gone));
        }
        let location = match &garbage.location {
            Some(location) => Some(location.clone()),
            None => match find.await {
                Ok(location) => location,
                Err(error) => return Ok(Err(error)),
            },
        };
        if let Some(location) = &location {
            match claims_of_others(&transaction, garbage, location).await? {
                (true, _) => {}
                (false, true) => return Ok(Ok(Swept::Postponed)),
                (false, false) => {
                    if let Err(error) = delete(location).await {
                        return Ok(Err(error));
                    }
                }
            }
        }
        let statement =
            transaction.prepare_cached("DELETE FROM blob_intent WHERE id = $1 AND state = 'garbage'").await?;
        transaction.execute(&statement, &[&garbage.id.0]).await?;
        transaction.commit().await?;
        Ok(Ok(Swept::Gone))
    }
}

/// Does another upload, an asset, or what was made of it mean this very place? And may one come to mean it, that does not know yet where it lies?
async fn claims_of_others(transaction: &Transaction<'_>, garbage: &Garbage, location: &str) -> Result<(bool, bool)> {
    let statement = transaction
        .prepare_cached(
            "SELECT EXISTS (SELECT FROM blob_intent WHERE id <> $1 AND state <> 'garbage' AND location = $2)
                    OR EXISTS (SELECT FROM asset_file WHERE asset_id = $4 AND location = $2)
                    OR EXISTS (SELECT FROM person WHERE id = $4 AND thumbnail_location = $2)
                    OR EXISTS (SELECT FROM app_user WHERE profile_location = $2),
                EXISTS (SELECT FROM blob_intent
                    WHERE id <> $1 AND state = 'pending' AND location IS NULL AND object_key = $3)",
        )
        .await?;
    // Of what is made from photos, the key is the id of the row that names it; it has no intent once it is named.
    let named_by = garbage.object["key"].as_str().and_then(|key| key.parse::<Uuid>().ok());
    let row = transaction.query_one(&statement, &[&garbage.id.0, &location, &garbage.object_key, &named_by]).await?;
    Ok((row.get(0), row.get(1)))
}

/// Blobs that no row names any more from this transaction on: derivatives and the thumbnails of people.
pub(crate) async fn to_garbage(transaction: &Transaction<'_>, owner: Uuid, locations: &[String]) -> Result<()> {
    if locations.is_empty() {
        return Ok(());
    }
    let statement = transaction
        .prepare_cached(
            "INSERT INTO blob_intent (id, state, object_key, object, location, owner_id, lease_until)
             SELECT uuidv7(), 'garbage', location, 'null'::jsonb, location, $1, now() FROM unnest($2::text[]) location",
        )
        .await?;
    transaction.execute(&statement, &[&owner, &locations]).await?;
    Ok(())
}

/// These are named again from this transaction on. Where the sweeper is just deleting one, its row is locked: this waits, and
/// the next view makes the blob anew.
pub(crate) async fn not_garbage(transaction: &Transaction<'_>, locations: &[&str]) -> Result<()> {
    let statement =
        transaction.prepare_cached("DELETE FROM blob_intent WHERE location = ANY($1) AND state = 'garbage'").await?;
    transaction.execute(&statement, &[&locations]).await?;
    Ok(())
}
