//! Signed-in clients.

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::Row;
use types::{SessionId, UserId};

use crate::accounts::{Session, USER, user};
use crate::{Result, Store};

/// A session as its user looks at it.
#[derive(Debug, Clone)]
pub struct SessionRow {
    pub id: SessionId,
    pub device_type: String,
    pub device_os: String,
    pub app_version: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub is_pending_sync_reset: bool,
}

/// What a new session begins with.
#[derive(Debug, Clone, Copy)]
pub struct NewSession<'a> {
    pub id: SessionId,
    pub user: UserId,
    pub token_hash: &'a [u8],
    pub device_type: &'a str,
    pub device_os: &'a str,
    pub app_version: Option<&'a str>,
    /// The session that makes this one.
    pub parent: Option<SessionId>,
    pub expires_at: Option<Timestamp>,
}

const SESSION: &str = "s.id, s.device_type, s.device_os, s.app_version, s.created_at, s.updated_at, s.expires_at, \
    s.is_pending_sync_reset";

fn session(row: &Row) -> SessionRow {
    SessionRow {
        id: SessionId(row.get("id")),
        device_type: row.get("device_type"),
        device_os: row.get("device_os"),
        app_version: row.get("app_version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        expires_at: row.get("expires_at"),
        is_pending_sync_reset: row.get("is_pending_sync_reset"),
    }
}

fn ids(rows: &[Row]) -> Vec<SessionId> {
    rows.iter().map(|row| SessionId(row.get(0))).collect()
}

impl Store {
    /// # Errors
    /// The parent is gone (constraint `session_parent_id_fkey`).
    pub async fn insert_session(&self, new: &NewSession<'_>) -> Result<SessionRow> {
        let client = self.client().await?;
        let sql = format!(
            "INSERT INTO session AS s (id, user_id, token_hash, device_type, device_os, app_version, parent_id, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {SESSION}"
        );
        let statement = client.prepare_cached(&sql).await?;
        let parent = new.parent.map(|id| id.0);
        let row = client
            .query_one(
                &statement,
                &[
                    &new.id.0,
                    &new.user.0,
                    &new.token_hash,
                    &new.device_type,
                    &new.device_os,
                    &new.app_version,
                    &parent,
                    &new.expires_at,
                ],
            )
            .await?;
        Ok(session(&row))
    }

    pub async fn session_by_token(&self, token_hash: &[u8], now: Timestamp) -> Result<Option<Session>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT s.id AS session_id, s.expires_at, s.elevated_until, s.updated_at AS seen_at, {USER}
             FROM session s JOIN app_user u ON u.id = s.user_id
             WHERE s.token_hash = $1 AND u.deleted_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > $2)"
        );
        let statement = client.prepare_cached(&sql).await?;
        let row = client.query_opt(&statement, &[&token_hash, &now]).await?;
        Ok(row.map(|row| Session {
            id: SessionId(row.get("session_id")),
            user: user(&row),
            expires_at: row.get("expires_at"),
            elevated_until: row.get("elevated_until"),
            updated_at: row.get("seen_at"),
        }))
    }

    /// Its client was seen.
    pub async fn touch_session(&self, id: SessionId, now: Timestamp) -> Result<()> {
        let client = self.client().await?;
        let statement = client.prepare_cached("UPDATE session SET updated_at = $2 WHERE id = $1").await?;
        client.execute(&statement, &[&id.0, &now]).await?;
        Ok(())
    }

    /// Those that are not over yet, newest first.
    pub async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<SessionRow>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {SESSION} FROM session s WHERE s.user_id = $1 AND (s.expires_at IS NULL OR s.expires_at > $2)
             ORDER BY s.updated_at DESC, s.id DESC"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&user.0, &now]).await?.iter().map(session).collect())
    }

    pub async fn session(&self, user: UserId, id: SessionId) -> Result<Option<SessionRow>> {
        let client = self.client().await?;
        let sql = format!("SELECT {SESSION} FROM session s WHERE s.user_id = $1 AND s.id = $2");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, &[&user.0, &id.0]).await?.as_ref().map(session))
    }

    /// Its client is to forget what it has and to sync from the beginning, or not any more.
    pub async fn set_pending_sync_reset(
        &self,
        user: UserId,
        id: SessionId,
        is_pending: bool,
    ) -> Result<Option<SessionRow>> {
        let client = self.client().await?;
        let sql = format!(
            "UPDATE session s SET is_pending_sync_reset = $3 WHERE s.user_id = $1 AND s.id = $2 RETURNING {SESSION}"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, &[&user.0, &id.0, &is_pending]).await?.as_ref().map(session))
    }

    /// Until when the locked folder is open to a session; `None`: not at all. `false`: no such session of this user.
    pub async fn set_elevation(&self, user: UserId, id: SessionId, until: Option<Timestamp>) -> Result<bool> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("UPDATE session SET elevated_until = $3 WHERE user_id = $1 AND id = $2").await?;
        Ok(client.execute(&statement, &[&user.0, &id.0, &until]).await? == 1)
    }

    /// Only where it is open: one that was locked meanwhile stays so.
    pub async fn renew_elevation(&self, id: SessionId, until: Timestamp) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("UPDATE session SET elevated_until = $2 WHERE id = $1 AND elevated_until < $2")
            .await?;
        client.execute(&statement, &[&id.0, &until]).await?;
        Ok(())
    }

    /// Ends a session of this user with those that it made. Returns which ended.
    pub async fn delete_session(&self, user: UserId, id: SessionId) -> Result<Vec<SessionId>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH RECURSIVE gone (id) AS (
                    SELECT id FROM session WHERE user_id = $1 AND id = $2
                    UNION SELECT s.id FROM session s JOIN gone g ON s.parent_id = g.id
                 )
                 DELETE FROM session s USING gone g WHERE s.id = g.id RETURNING s.id",
            )
            .await?;
        Ok(ids(&client.query(&statement, &[&user.0, &id.0]).await?))
    }

    /// Ends all sessions of a user, but `except`. Returns which ended.
    pub async fn delete_sessions(&self, user: UserId, except: Option<SessionId>) -> Result<Vec<SessionId>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let ended = end_sessions(&transaction, user, except).await?;
        transaction.commit().await?;
        Ok(ended)
    }

    /// Sessions that are over are of no use to anybody. Returns how many went.
    pub async fn delete_expired_sessions(&self, now: Timestamp) -> Result<u64> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM session WHERE expires_at <= $1").await?;
        Ok(client.execute(&statement, &[&now]).await?)
    }
}

pub(crate) async fn end_sessions(
    transaction: &Transaction<'_>,
    user: UserId,
    except: Option<SessionId>,
) -> Result<Vec<SessionId>> {
    let except = except.map(|id| id.0);
    // The one that stays must not go with the one that made it.
    let statement = transaction.prepare_cached("UPDATE session SET parent_id = NULL WHERE id = $1").await?;
    transaction.execute(&statement, &[&except]).await?;
    let statement = transaction
        .prepare_cached("DELETE FROM session WHERE user_id = $1 AND id IS DISTINCT FROM $2 RETURNING id")
        .await?;
    Ok(ids(&transaction.query(&statement, &[&user.0, &except]).await?))
}
