//! The sync stream: everything that a client keeps a copy of, as JSON lines, from where the client is.
//!
//! A stream is one snapshot. Before it was opened the horizon was read: whatever is not in the snapshot has a greater id, so that
//! acks up to the horizon lose nothing. What is in the snapshot beyond it is sent as well, because others may hang on it, and is
//! acked as the horizon: it comes once more the next time.

mod families;
mod line;
mod sharing;
mod stream;

use std::collections::{BTreeMap, HashMap};

use deadpool_postgres::Transaction;
use types::{SessionId, UserId};
use uuid::Uuid;

use crate::{Result, Store};

pub use families::{FAMILIES, Family, family};

/// Where a client is: acks by entity type.
pub type Checkpoints = HashMap<String, String>;

/// What a stream begins with.
#[derive(Debug, Clone, Default)]
pub struct SyncState {
    pub checkpoints: Checkpoints,
    /// The client is to forget what it has.
    pub is_reset_pending: bool,
    /// The last complete stream, or where there is none the first ack, is older than deletes are remembered for.
    pub is_outdated: bool,
}

/// Who syncs what, and from where.
#[derive(Debug)]
pub struct SyncOf<'a> {
    pub user: UserId,
    pub checkpoints: &'a Checkpoints,
    /// In the order of [`FAMILIES`].
    pub families: &'a [&'static Family],
}

/// The entity type of the line that ends a stream.
pub const COMPLETE: &str = "SyncCompleteV1";

/// Days after which a client that was away begins anew.
const REMEMBERED_DAYS: i32 = 30;
/// Days after which the audit forgets: nobody asks for these any more.
const AUDIT_DAYS: i32 = 100;

impl Store {
    /// Where a session is. `None`: there is no such session.
    pub async fn sync_state(&self, session: SessionId) -> Result<Option<SyncState>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT s.is_pending_sync_reset, c.type, c.ack, CASE WHEN c.type = 'SyncCompleteV1'
                    THEN split_part(c.ack, '|', 2)::uuid < sync_floor(now() - make_interval(days => $2))
                    ELSE c.updated_at < now() - make_interval(days => $2) END AS is_old
                 FROM session s LEFT JOIN sync_checkpoint c ON c.session_id = s.id WHERE s.id = $1",
            )
            .await?;
        let rows = client.query(&statement, &[&session.0, &REMEMBERED_DAYS]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut state = SyncState { is_reset_pending: first.get(0), ..SyncState::default() };
        let mut is_complete_old = None;
        for row in &rows {
            let (Some(kind), Some(is_old)) = (row.get::<_, Option<String>>(1), row.get::<_, Option<bool>>(3)) else {
                continue;
            };
            if kind == COMPLETE {
                is_complete_old = Some(is_old);
            }
            state.is_outdated |= is_old;
            state.checkpoints.insert(kind, row.get(2));
        }
        state.is_outdated = is_complete_old.unwrap_or(state.is_outdated);
        Ok(Some(state))
    }

    /// Acks of a session, in order of their type.
    pub async fn sync_acks(&self, session: SessionId) -> Result<Vec<(String, String)>> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("SELECT type, ack FROM sync_checkpoint WHERE session_id = $1 ORDER BY type").await?;
        Ok(client.query(&statement, &[&session.0]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Keeps acks by their type. With `reset` those from before are forgotten first: the client has nothing any more.
    /// A session that ended meanwhile breaks the constraint `sync_checkpoint_session_id_fkey`.
    pub async fn set_sync_acks(&self, session: SessionId, acks: &BTreeMap<String, String>, reset: bool) -> Result<()> {
        // Sorted, so that two at once wait for each other in one order.
        let (types, acks): (Vec<&String>, Vec<&String>) = acks.iter().unzip();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        if reset {
            forget(&transaction, session).await?;
        }
        let statement = transaction
            .prepare_cached(
                "INSERT INTO sync_checkpoint (session_id, type, ack) SELECT $1, t.type, t.ack
                 FROM unnest($2::text[], $3::text[]) t(type, ack)
                 ON CONFLICT (session_id, type) DO UPDATE SET ack = excluded.ack, updated_at = clock_timestamp()",
            )
            .await?;
        transaction.execute(&statement, &[&session.0, &types, &acks]).await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets acks of these types; `None`: all.
    pub async fn delete_sync_acks(&self, session: SessionId, types: Option<&[String]>) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "DELETE FROM sync_checkpoint WHERE session_id = $1 AND ($2::text[] IS NULL OR type = ANY($2))",
            )
            .await?;
        client.execute(&statement, &[&session.0, &types]).await?;
        Ok(())
    }

    /// A session begins anew.
    pub async fn reset_sync(&self, session: SessionId) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        forget(&transaction, session).await?;
        Ok(transaction.commit().await?)
    }

    /// The audit forgets deletes that no client asks for any more.
    pub async fn prune_audits(&self) -> Result<()> {
        let client = self.client().await?;
        for table in AUDITS {
            let sql = format!("DELETE FROM {table} WHERE id < sync_floor(now() - make_interval(days => $1))");
            let statement = client.prepare_cached(&sql).await?;
            client.execute(&statement, &[&AUDIT_DAYS]).await?;
        }
        Ok(())
    }
}

const AUDITS: [&str; 14] = [
    "user_audit",
    "asset_audit",
    "person_audit",
    "face_audit",
    "partner_audit",
    "album_audit",
    "album_user_audit",
    "album_asset_audit",
    "stack_audit",
    "memory_audit",
    "memory_asset_audit",
    "asset_metadata_audit",
    "asset_edit_audit",
    "user_metadata_audit",
];

async fn forget(transaction: &Transaction<'_>, session: SessionId) -> Result<()> {
    let statement =
        transaction.prepare_cached("UPDATE session SET is_pending_sync_reset = false WHERE id = $1").await?;
    transaction.execute(&statement, &[&session.0]).await?;
    let statement = transaction.prepare_cached("DELETE FROM sync_checkpoint WHERE session_id = $1").await?;
    transaction.execute(&statement, &[&session.0]).await?;
    Ok(())
}

/// The id of an update in an ack, and what comes behind it: `AssetV2|<id>`, `AlbumUserBackfillV1|<id>|<more>`.
pub fn parse_ack(ack: &str) -> Option<(&str, Uuid, Option<&str>)> {
    let mut parts = ack.splitn(3, '|');
    let (kind, id) = (parts.next()?, parts.next()?);
    Some((kind, Uuid::try_parse(id).ok()?, parts.next()))
}
