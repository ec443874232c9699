//! Users, sessions and API keys.

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use types::{ApiKeyId, SessionId, UserId};

use crate::{Result, Store};

/// Somebody with an account.
#[derive(Debug, Clone)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub name: String,
    pub is_admin: bool,
    pub password_hash: Option<String>,
    pub storage_label: Option<String>,
    /// Bytes; `None`: as many as there are.
    pub quota_bytes: Option<i64>,
    pub used_bytes: i64,
    pub avatar_color: String,
    pub should_change_password: bool,
    pub onboarded: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// `None` leaves a field as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct UserChanges<'a> {
    pub name: Option<&'a str>,
    pub email: Option<&'a str>,
    pub avatar_color: Option<&'a str>,
}

/// A signed-in client and its user.
#[derive(Debug, Clone)]
pub struct Session {
    pub id: SessionId,
    pub user: User,
}

/// A key that a tool signs in with.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    pub permissions: Vec<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

const USER: &str = "u.id, u.email, u.name, u.is_admin, u.password_hash, u.storage_label, u.quota_bytes, u.used_bytes, \
    u.avatar_color, u.should_change_password, \
    EXISTS (SELECT FROM user_metadata m WHERE m.user_id = u.id AND m.key = 'onboarding') AS onboarded, u.created_at, u.updated_at";

fn user(row: &Row) -> User {
    User {
        id: UserId(row.get("id")),
        email: row.get("email"),
        name: row.get("name"),
        is_admin: row.get("is_admin"),
        password_hash: row.get("password_hash"),
        storage_label: row.get("storage_label"),
        quota_bytes: row.get("quota_bytes"),
        used_bytes: row.get("used_bytes"),
        avatar_color: row.get("avatar_color"),
        should_change_password: row.get("should_change_password"),
        onboarded: row.get("onboarded"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}

fn api_key(row: &Row) -> ApiKey {
    ApiKey {
        id: ApiKeyId(row.get("key_id")),
        name: row.get("key_name"),
        permissions: row.get("permissions"),
        created_at: row.get("key_created_at"),
        updated_at: row.get("key_updated_at"),
    }
}

const API_KEY: &str = "k.id AS key_id, k.name AS key_name, k.permissions, k.created_at AS key_created_at, \
    k.updated_at AS key_updated_at";

impl Store {
    /// Is there an administrator yet?
    pub async fn has_admin(&self) -> Result<bool> {
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT EXISTS (SELECT FROM app_user WHERE is_admin)").await?;
        Ok(client.query_one(&statement, &[]).await?.get(0))
    }

    /// Inserts the first account. The label `admin` makes a second one break the constraint `app_user_first_admin`.
    pub async fn insert_first_admin(&self, id: UserId, email: &str, name: &str, password_hash: &str) -> Result<User> {
        let client = self.client().await?;
        let sql = format!(
            "INSERT INTO app_user AS u (id, email, name, is_admin, password_hash, storage_label)
             VALUES ($1, $2, $3, true, $4, 'admin') RETURNING {USER}"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(user(&client.query_one(&statement, &[&id.0, &email, &name, &password_hash]).await?))
    }

    pub async fn insert_user(&self, id: UserId, email: &str, name: &str, password_hash: &str) -> Result<User> {
        let client = self.client().await?;
        let sql = format!(
            "INSERT INTO app_user AS u (id, email, name, password_hash) VALUES ($1, $2, $3, $4) RETURNING {USER}"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(user(&client.query_one(&statement, &[&id.0, &email, &name, &password_hash]).await?))
    }

    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        let client = self.client().await?;
        let sql = format!("SELECT {USER} FROM app_user u WHERE lower(u.email) = lower($1) AND u.deleted_at IS NULL");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, &[&email]).await?.as_ref().map(user))
    }

    pub async fn user(&self, id: UserId) -> Result<Option<User>> {
        let client = self.client().await?;
        let sql = format!("SELECT {USER} FROM app_user u WHERE u.id = $1 AND u.deleted_at IS NULL");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, &[&id.0]).await?.as_ref().map(user))
    }

    pub async fn users(&self) -> Result<Vec<User>> {
        let client = self.client().await?;
        let sql = format!("SELECT {USER} FROM app_user u WHERE u.deleted_at IS NULL ORDER BY u.created_at");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[]).await?.iter().map(user).collect())
    }

    /// `None` leaves a field as it is.
    pub async fn update_user(
        &self,
        id: UserId,
        changes: UserChanges<'_>,
        password_hash: Option<&str>,
    ) -> Result<Option<User>> {
        let client = self.client().await?;
        let sql = format!(
            "UPDATE app_user u SET name = coalesce($2, name), email = coalesce($3, email),
                avatar_color = coalesce($5, avatar_color), password_hash = coalesce($4, password_hash),
                should_change_password = should_change_password AND $4::text IS NULL
             WHERE id = $1 RETURNING {USER}"
        );
        let statement = client.prepare_cached(&sql).await?;
        let UserChanges { name, email, avatar_color } = changes;
        let parameters: [&(dyn ToSql + Sync); 5] = [&id.0, &name, &email, &password_hash, &avatar_color];
        Ok(client.query_opt(&statement, &parameters).await?.as_ref().map(user))
    }

    pub async fn insert_session(
        &self,
        id: SessionId,
        user: UserId,
        token_hash: &[u8],
        device_type: &str,
        device_os: &str,
    ) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO session (id, user_id, token_hash, device_type, device_os) VALUES ($1, $2, $3, $4, $5)",
            )
            .await?;
        client.execute(&statement, &[&id.0, &user.0, &token_hash, &device_type, &device_os]).await?;
        Ok(())
    }

    pub async fn session_by_token(&self, token_hash: &[u8]) -> Result<Option<Session>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT s.id AS session_id, {USER} FROM session s JOIN app_user u ON u.id = s.user_id
             WHERE s.token_hash = $1 AND u.deleted_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > now())"
        );
        let statement = client.prepare_cached(&sql).await?;
        let row = client.query_opt(&statement, &[&token_hash]).await?;
        Ok(row.map(|row| Session { id: SessionId(row.get("session_id")), user: user(&row) }))
    }

    pub async fn delete_session(&self, id: SessionId) -> Result<bool> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM session WHERE id = $1").await?;
        Ok(client.execute(&statement, &[&id.0]).await? == 1)
    }

    pub async fn insert_api_key(
        &self,
        id: ApiKeyId,
        user: UserId,
        name: &str,
        key_hash: &[u8],
        permissions: &[String],
    ) -> Result<ApiKey> {
        let client = self.client().await?;
        let sql = format!(
            "INSERT INTO api_key AS k (id, user_id, name, key_hash, permissions) VALUES ($1, $2, $3, $4, $5)
             RETURNING {API_KEY}"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(api_key(&client.query_one(&statement, &[&id.0, &user.0, &name, &key_hash, &permissions]).await?))
    }

    /// The key and its user.
    pub async fn api_key_by_hash(&self, key_hash: &[u8]) -> Result<Option<(ApiKey, User)>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {API_KEY}, {USER} FROM api_key k JOIN app_user u ON u.id = k.user_id
             WHERE k.key_hash = $1 AND u.deleted_at IS NULL"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, &[&key_hash]).await?.map(|row| (api_key(&row), user(&row))))
    }

    pub async fn api_keys(&self, user: UserId) -> Result<Vec<ApiKey>> {
        let client = self.client().await?;
        let sql = format!("SELECT {API_KEY} FROM api_key k WHERE k.user_id = $1 ORDER BY k.created_at DESC");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&user.0]).await?.iter().map(api_key).collect())
    }

    pub async fn delete_api_key(&self, user: UserId, id: ApiKeyId) -> Result<bool> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM api_key WHERE user_id = $1 AND id = $2").await?;
        Ok(client.execute(&statement, &[&user.0, &id.0]).await? == 1)
    }
}
