//! What users are told.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use types::{NotificationId, UserId};

use crate::{Result, Store};

/// Something that a user is told, and whether they have read it.
#[derive(Debug, Clone)]
pub struct Notification {
    pub id: NotificationId,
    pub user: UserId,
    /// Immich's word: `AlbumInvite`, `SystemMessage`, ...
    pub kind: String,
    /// `success`, `error`, `warning` or `info`.
    pub level: String,
    pub title: String,
    pub description: Option<String>,
    pub data: Option<Value>,
    pub read_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// Which of them; `None` asks for no such thing.
#[derive(Debug, Clone, Default)]
pub struct NotificationFilter {
    pub id: Option<NotificationId>,
    pub kind: Option<String>,
    pub level: Option<String>,
    pub unread: Option<bool>,
}

/// Of a user at once; the oldest are not shown.
const MOST: i64 = 1_000;

const NOTIFICATION: &str = "n.id, n.user_id, n.type, n.level, n.title, n.description, n.data, n.read_at, n.created_at";

fn notification(row: &Row) -> Notification {
    Notification {
        id: NotificationId(row.get("id")),
        user: UserId(row.get("user_id")),
        kind: row.get("type"),
        level: row.get("level"),
        title: row.get("title"),
        description: row.get("description"),
        data: row.get("data"),
        read_at: row.get("read_at"),
        created_at: row.get("created_at"),
    }
}

fn uuids(ids: &[NotificationId]) -> Vec<uuid::Uuid> {
    ids.iter().map(|id| id.0).collect()
}

impl Store {
    /// # Errors
    /// There is no such user (constraint `notification_user_id_fkey`).
    pub async fn insert_notification(&self, new: &Notification) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO notification (id, user_id, type, level, title, description, data, read_at, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .await?;
        let parameters: [&(dyn ToSql + Sync); 9] = [
            &new.id.0,
            &new.user.0,
            &new.kind,
            &new.level,
            &new.title,
            &new.description,
            &new.data,
            &new.read_at,
            &new.created_at,
        ];
        client.execute(&statement, &parameters).await?;
        Ok(())
    }

    /// Newest first, at most a thousand.
    pub async fn notifications(&self, user: UserId, filter: &NotificationFilter) -> Result<Vec<Notification>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {NOTIFICATION} FROM notification n
             WHERE n.user_id = $1 AND ($2::uuid IS NULL OR n.id = $2) AND ($3::text IS NULL OR n.type = $3)
               AND ($4::text IS NULL OR n.level = $4) AND ($5::boolean IS NULL OR (n.read_at IS NULL) = $5)
             ORDER BY n.created_at DESC, n.id LIMIT $6"
        );
        let statement = client.prepare_cached(&sql).await?;
        let id = filter.id.map(|id| id.0);
        let parameters: [&(dyn ToSql + Sync); 6] = [&user.0, &id, &filter.kind, &filter.level, &filter.unread, &MOST];
        Ok(client.query(&statement, &parameters).await?.iter().map(notification).collect())
    }

    /// Read at this time, or not read. None is changed unless all are this user's: `false`.
    pub async fn set_notifications_read(
        &self,
        user: UserId,
        ids: &[NotificationId],
        read_at: Option<Timestamp>,
    ) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction
            .prepare_cached("UPDATE notification SET read_at = $3 WHERE user_id = $1 AND id = ANY($2)")
            .await?;
        let changed = transaction.execute(&statement, &[&user.0, &uuids(ids), &read_at]).await?;
        if changed != distinct(ids) {
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// None goes unless all are this user's: `false`.
    pub async fn delete_notifications(&self, user: UserId, ids: &[NotificationId]) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement =
            transaction.prepare_cached("DELETE FROM notification WHERE user_id = $1 AND id = ANY($2)").await?;
        let gone = transaction.execute(&statement, &[&user.0, &uuids(ids)]).await?;
        if gone != distinct(ids) {
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// What was read before then, and everything from before `old`. Returns how many went.
    pub async fn forget_notifications(&self, read_before: Timestamp, old: Timestamp) -> Result<u64> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM notification WHERE read_at < $1 OR created_at < $2").await?;
        Ok(client.execute(&statement, &[&read_before, &old]).await?)
    }
}

fn distinct(ids: &[NotificationId]) -> u64 {
    ids.iter().collect::<std::collections::HashSet<_>>().len() as u64
}
