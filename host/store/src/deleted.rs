//! Assets that are gone for good, as far as pipelines still have to hear of them.

use serde_json::Value;
use types::AssetId;
use uuid::Uuid;

use crate::{Result, Store};

/// What a pipeline still has to do about an asset that is gone.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// What was known of it.
    pub facts: Value,
    /// How steps ended, by their ids.
    pub ended: Value,
}

impl Store {
    /// The oldest events that the pipelines do not have yet.
    pub async fn deleted_outbox(&self, limit: i64) -> Result<Vec<(i64, AssetId)>> {
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT id, asset_id FROM deleted_outbox ORDER BY id LIMIT $1").await?;
        let rows = client.query(&statement, &[&limit]).await?;
        Ok(rows.iter().map(|row| (row.get(0), AssetId(row.get(1)))).collect())
    }

    /// Hands these events to `pipelines`.
    pub async fn open_deleted(&self, events: &[i64], pipelines: &[String]) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO deleted_open (pipeline, asset_id, facts)
                 SELECT p.name, d.asset_id, d.facts FROM deleted_outbox d, unnest($2::text[]) p(name) WHERE d.id = ANY($1)
                 ON CONFLICT (pipeline, asset_id) DO NOTHING",
            )
            .await?;
        client.execute(&statement, &[&events, &pipelines]).await?;
        Ok(())
    }

    /// The pipelines have them.
    pub async fn delete_deleted_outbox(&self, events: &[i64]) -> Result<()> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM deleted_outbox WHERE id = ANY($1)").await?;
        client.execute(&statement, &[&events]).await?;
        Ok(())
    }

    /// Assets that are gone and for which a pipeline has something left to do.
    pub async fn deleted_due(&self, pipeline: &str, limit: i64) -> Result<Vec<AssetId>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT asset_id FROM deleted_open WHERE pipeline = $1 ORDER BY asset_id DESC LIMIT $2")
            .await?;
        let rows = client.query(&statement, &[&pipeline, &limit]).await?;
        Ok(rows.iter().map(|row| AssetId(row.get(0))).collect())
    }

    /// `None`: nothing is left to do.
    pub async fn deleted(&self, pipeline: &str, asset: AssetId) -> Result<Option<Deleted>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT facts, ended FROM deleted_open WHERE pipeline = $1 AND asset_id = $2")
            .await?;
        let row = client.query_opt(&statement, &[&pipeline, &asset.0]).await?;
        Ok(row.map(|row| Deleted { facts: row.get(0), ended: row.get(1) }))
    }

    /// Writes how a step ended.
    pub async fn save_deleted_step(&self, pipeline: &str, asset: AssetId, step: &str, status: &str) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE deleted_open SET ended = ended || jsonb_build_object($3::text, $4::text)
                 WHERE pipeline = $1 AND asset_id = $2",
            )
            .await?;
        client.execute(&statement, &[&pipeline, &asset.0, &step, &status]).await?;
        Ok(())
    }

    /// Nothing is left to do.
    pub async fn close_deleted(&self, pipeline: &str, asset: AssetId) -> Result<()> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM deleted_open WHERE pipeline = $1 AND asset_id = $2").await?;
        client.execute(&statement, &[&pipeline, &asset.0]).await?;
        Ok(())
    }

    /// What is left to do of pipelines that have not been there for a month will never be done.
    pub async fn forget_deleted_of_others(&self, pipelines: &[String]) -> Result<u64> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("DELETE FROM deleted_open WHERE pipeline <> ALL($1) AND at < now() - interval '30 days'")
            .await?;
        Ok(client.execute(&statement, &[&pipelines]).await?)
    }
}

/// Of those that were deleted in this transaction.
pub(crate) async fn to_outbox(
    transaction: &deadpool_postgres::Transaction<'_>,
    gone: &[Uuid],
    facts: &[(AssetId, Value)],
) -> Result<()> {
    let facts: Vec<&(AssetId, Value)> = facts.iter().filter(|(id, _)| gone.contains(&id.0)).collect();
    let ids: Vec<Uuid> = facts.iter().map(|(id, _)| id.0).collect();
    let values: Vec<&Value> = facts.iter().map(|(_, value)| value).collect();
    let statement = transaction
        .prepare_cached("INSERT INTO deleted_outbox (asset_id, facts) SELECT * FROM unnest($1::uuid[], $2::jsonb[])")
        .await?;
    transaction.execute(&statement, &[&ids, &values]).await?;
    Ok(())
}
