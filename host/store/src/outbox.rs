//! The outbox: what has been committed and not yet been handed to Redis.

use types::AssetId;

use crate::{Result, Store};

/// A committed event.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub id: i64,
    pub asset: AssetId,
    /// `asset.created`, ...
    pub trigger: String,
    /// Nobody has been told of the asset yet.
    pub is_new: bool,
}

impl Store {
    /// The oldest ones.
    pub async fn outbox(&self, limit: i64) -> Result<Vec<Outgoing>> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("SELECT id, asset_id, trigger, is_new FROM outbox ORDER BY id LIMIT $1").await?;
        let rows = client.query(&statement, &[&limit]).await?;
        Ok(rows
            .iter()
            .map(|row| Outgoing { id: row.get(0), asset: AssetId(row.get(1)), trigger: row.get(2), is_new: row.get(3) })
            .collect())
    }

    /// Redis has them.
    pub async fn delete_outbox(&self, ids: &[i64]) -> Result<()> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM outbox WHERE id = ANY($1)").await?;
        client.execute(&statement, &[&ids]).await?;
        Ok(())
    }
}
