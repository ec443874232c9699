//! Results of pipeline steps: what has been done with which recipe, so that nothing is done twice or forgotten.

use types::AssetId;

use crate::{Result, Store};

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepResult {
    pub step: String,
    pub recipe: String,
    /// `done`, `skipped` or `failed`.
    pub status: String,
}

/// A step that an asset is due for, as the reconciler asks for it.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub step: String,
    pub recipe: String,
}

impl Store {
    pub async fn step_results(&self, asset: AssetId, pipeline: &str) -> Result<Vec<StepResult>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT step, recipe, status FROM step_result WHERE asset_id = $1 AND pipeline = $2")
            .await?;
        let rows = client.query(&statement, &[&asset.0, &pipeline]).await?;
        Ok(rows.iter().map(|row| StepResult { step: row.get(0), recipe: row.get(1), status: row.get(2) }).collect())
    }

    /// Writes how a step ended, and its error for the owner to see (or takes an old one away). An asset that is gone is no error.
    pub async fn save_step(
        &self,
        asset: AssetId,
        pipeline: &str,
        result: &StepResult,
        error: Option<&str>,
    ) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH saved AS (
                    INSERT INTO step_result (asset_id, pipeline, step, recipe, status)
                    SELECT $1, $2, $3, $4, $5 FROM asset WHERE id = $1
                    ON CONFLICT (asset_id, pipeline, step) DO UPDATE
                    SET recipe = excluded.recipe, status = excluded.status, at = now() RETURNING asset_id
                 ), cleared AS (
                    DELETE FROM asset_error WHERE asset_id = $1 AND step = $3 AND $6::text IS NULL
                 )
                 INSERT INTO asset_error (asset_id, step, message, at)
                 SELECT asset_id, $3, $6, now() FROM saved WHERE $6::text IS NOT NULL
                 ON CONFLICT (asset_id, step) DO UPDATE SET message = excluded.message, at = excluded.at",
            )
            .await?;
        client
            .execute(&statement, &[&asset.0, &pipeline, &result.step, &result.recipe, &result.status, &error])
            .await?;
        Ok(())
    }

    /// Forgets results, so that the steps run again: of every asset, or of those that failed.
    pub async fn forget_steps(&self, pipeline: &str, step: &str, only_failed: bool) -> Result<u64> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "DELETE FROM step_result WHERE pipeline = $1 AND step = $2 AND (status = 'failed' OR NOT $3)",
            )
            .await?;
        Ok(client.execute(&statement, &[&pipeline, &step, &only_failed]).await?)
    }

    /// Assets, newest first, for which one of the wanted steps was never finished with its present recipe. `after`: page on from
    /// there.
    pub async fn assets_due(
        &self,
        pipeline: &str,
        wanted: &[Wanted],
        before: Option<AssetId>,
        limit: i64,
    ) -> Result<Vec<AssetId>> {
        let steps: Vec<&str> = wanted.iter().map(|wanted| &*wanted.step).collect();
        let recipes: Vec<&str> = wanted.iter().map(|wanted| &*wanted.recipe).collect();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT a.id FROM asset a
                 WHERE ($4::uuid IS NULL OR a.id < $4)
                   AND (SELECT count(*) FROM step_result r JOIN unnest($2::text[], $3::text[]) w(step, recipe)
                            ON w.step = r.step AND w.recipe = r.recipe
                        WHERE r.asset_id = a.id AND r.pipeline = $1) < cardinality($2::text[])
                 ORDER BY a.id DESC LIMIT $5",
            )
            .await?;
        let rows = client.query(&statement, &[&pipeline, &steps, &recipes, &before.map(|id| id.0), &limit]).await?;
        Ok(rows.iter().map(|row| AssetId(row.get(0))).collect())
    }

    /// Every asset, newest first, for a forced run.
    pub async fn asset_ids(&self, before: Option<AssetId>, limit: i64) -> Result<Vec<AssetId>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT id FROM asset WHERE ($1::uuid IS NULL OR id < $1) ORDER BY id DESC LIMIT $2")
            .await?;
        let rows = client.query(&statement, &[&before.map(|id| id.0), &limit]).await?;
        Ok(rows.iter().map(|row| AssetId(row.get(0))).collect())
    }
}
