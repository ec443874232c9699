//! Facts about this installation.

use serde_json::Value;

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
}
