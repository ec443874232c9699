//! Facts about this installation.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::{Result, Store};

impl Store {
    /// What was noted under `key`.
    pub async fn fact(&self, key: &str) -> Result<Option<Value>> {
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT value FROM system_metadata WHERE key = $1").await?;
        Ok(client.query_opt(&statement, &[&key]).await?.map(|row| row.get(0)))
    }

    /// Notes `value` under `key`.
    pub async fn set_fact(&self, key: &str, value: &Value) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO system_metadata (key, value) VALUES ($1, $2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )
            .await?;
        client.execute(&statement, &[&key, &value]).await?;
        Ok(())
    }
    /// What was noted under `key`; `value`, which is noted, where nothing was. Processes that ask at once get the same.
    pub async fn fact_or(&self, key: &str, value: &Value) -> Result<Value> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("INSERT INTO system_metadata (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING")
            .await?;
        client.execute(&statement, &[&key, &value]).await?;
        Ok(self.fact(key).await?.unwrap_or_else(|| value.clone()))
    }

    /// Nothing is noted under `key` any more.
    pub async fn delete_fact(&self, key: &str) -> Result<()> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM system_metadata WHERE key = $1").await?;
        client.execute(&statement, &[&key]).await?;
        Ok(())
    }

    /// Notes that this version runs here, unless it did before.
    pub async fn note_version(&self, version: &str, at: Timestamp) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO version_history (id, version, created_at) VALUES (uuidv7(), $1, $2)
                 ON CONFLICT (version) DO NOTHING",
            )
            .await?;
        client.execute(&statement, &[&version, &at]).await?;
        Ok(())
    }

    /// Which versions ran here and since when, newest first.
    pub async fn version_history(&self) -> Result<Vec<(Uuid, String, Timestamp)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT id, version, created_at FROM version_history ORDER BY created_at DESC, id DESC")
            .await?;
        let rows = client.query(&statement, &[]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }
}
