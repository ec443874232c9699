//! Plugins that are left alone because they kept breaking.

use jiff::Timestamp;

use crate::{Result, Store};

/// A version of a plugin that is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    pub plugin: String,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    pub reason: String,
    pub since: Timestamp,
}

impl Store {
    /// Notes that this version is to be left alone. The first reason stays.
    pub async fn quarantine(&self, plugin: &str, digest: &str, reason: &str) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO plugin_quarantine (plugin, digest, reason) VALUES ($1, $2, $3)
                 ON CONFLICT (plugin, digest) DO NOTHING",
            )
            .await?;
        client.execute(&statement, &[&plugin, &digest, &reason.replace('\0', "")]).await?;
        Ok(())
    }

    /// All of them, by plugin.
    pub async fn quarantined(&self) -> Result<Vec<Quarantined>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT plugin, digest, reason, at FROM plugin_quarantine ORDER BY plugin, at")
            .await?;
        let rows = client.query(&statement, &[]).await?;
        Ok(rows
            .iter()
            .map(|row| Quarantined { plugin: row.get(0), digest: row.get(1), reason: row.get(2), since: row.get(3) })
            .collect())
    }

    /// Gives a plugin another chance, whatever its version. Was there something to give?
    pub async fn release(&self, plugin: &str) -> Result<bool> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM plugin_quarantine WHERE plugin = $1").await?;
        Ok(client.execute(&statement, &[&plugin]).await? > 0)
    }
}
