//! Pipeline steps: what has been done with which recipe, what is left to do, and what began without an end.

use types::AssetId;
use uuid::Uuid;

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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    pub step: String,
    pub recipe: String,
}

/// How far a pipeline is with an asset.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    pub results: Vec<StepResult>,
    /// Steps that began and have not ended, and in how many processes.
    pub starts: Vec<(String, i32)>,
    /// Set while there is something left to do: the round that a run may close.
    pub round: Option<i32>,
    /// Nobody has been told of the asset yet.
    pub is_new: bool,
}

impl Store {
    /// How far a pipeline is with an asset.
    pub async fn progress(&self, asset: AssetId, pipeline: &str) -> Result<Progress> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT p.step, p.recipe, p.status, p.starts, o.round, coalesce(o.is_new, false) FROM (VALUES (1)) one
                 LEFT JOIN asset_open o ON o.asset_id = $1 AND o.pipeline = $2
                 LEFT JOIN (
                    (SELECT step, recipe, status FROM step_result WHERE asset_id = $1 AND pipeline = $2) r
                    FULL JOIN (SELECT step, starts FROM step_start WHERE asset_id = $1 AND pipeline = $2) s USING (step)
                 ) p ON true",
            )
            .await?;
        let mut progress = Progress::default();
        for row in client.query(&statement, &[&asset.0, &pipeline]).await? {
            (progress.round, progress.is_new) = (row.get(4), row.get(5));
            let Some(step) = row.get::<_, Option<String>>(0) else { continue };
            if let Some(starts) = row.get(3) {
                progress.starts.push((step.clone(), starts));
            }
            if let (Some(recipe), Some(status)) = (row.get(1), row.get(2)) {
                progress.results.push(StepResult { step, recipe, status });
            }
        }
        Ok(progress)
    }

    /// A step begins, in this process. Returns in how many processes it began and did not end; 0: the asset is gone.
    pub async fn start_step(&self, asset: AssetId, pipeline: &str, step: &str, process: Uuid) -> Result<i32> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO step_start AS s (asset_id, pipeline, step, process)
                 SELECT id, $2, $3, $4 FROM asset WHERE id = $1
                 ON CONFLICT (asset_id, pipeline, step) DO UPDATE
                 SET starts = CASE WHEN s.process = $4 THEN s.starts ELSE s.starts + 1 END, process = $4, at = now()
                 RETURNING starts",
            )
            .await?;
        let row = client.query_opt(&statement, &[&asset.0, &pipeline, &step, &process]).await?;
        Ok(row.map_or(0, |row| row.get(0)))
    }

    /// A step ended without a result, and the process lives: that is no start to be counted. Its error, if there is one, is
    /// written down for the owner to see.
    pub async fn pause_step(&self, asset: AssetId, pipeline: &str, step: &str, error: Option<&str>) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH ended AS (DELETE FROM step_start WHERE asset_id = $1 AND pipeline = $2 AND step = $3)
                 INSERT INTO asset_error (asset_id, step, message, at)
                 SELECT id, $3, $4, now() FROM asset WHERE id = $1 AND $4::text IS NOT NULL
                 ON CONFLICT (asset_id, step) DO UPDATE SET message = excluded.message, at = excluded.at",
            )
            .await?;
        client.execute(&statement, &[&asset.0, &pipeline, &step, &error.map(printable)]).await?;
        Ok(())
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
                 ), ended AS (
                    DELETE FROM step_start WHERE asset_id = $1 AND pipeline = $2 AND step = $3
                 )
                 INSERT INTO asset_error (asset_id, step, message, at)
                 SELECT asset_id, $3, $6, now() FROM saved WHERE $6::text IS NOT NULL
                 ON CONFLICT (asset_id, step) DO UPDATE SET message = excluded.message, at = excluded.at",
            )
            .await?;
        let error = error.map(printable);
        client
            .execute(&statement, &[&asset.0, &pipeline, &result.step, &result.recipe, &result.status, &error])
            .await?;
        Ok(())
    }

    /// Its clients are told of a new asset by whoever gets `true`: once.
    pub async fn announce(&self, asset: AssetId, pipeline: &str) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("UPDATE asset_open SET is_new = false WHERE asset_id = $1 AND pipeline = $2 AND is_new")
            .await?;
        Ok(client.execute(&statement, &[&asset.0, &pipeline]).await? == 1)
    }

    /// There is something to do for these assets (and whether each is new).
    pub async fn open_assets(&self, pipeline: &str, assets: &[(AssetId, bool)]) -> Result<()> {
        let ids: Vec<Uuid> = assets.iter().map(|(id, _)| id.0).collect();
        let new: Vec<bool> = assets.iter().map(|(_, is_new)| *is_new).collect();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO asset_open AS o (pipeline, asset_id, is_new)
                 SELECT $1, a.id, bool_or(n.is_new) FROM unnest($2::uuid[], $3::boolean[]) n(id, is_new)
                 JOIN asset a USING (id) GROUP BY a.id
                 ON CONFLICT (pipeline, asset_id) DO UPDATE SET round = o.round + 1, is_new = o.is_new OR excluded.is_new",
            )
            .await?;
        client.execute(&statement, &[&pipeline, &ids, &new]).await?;
        Ok(())
    }

    /// Nothing is left to do, if that is so and nothing was added since the round was read.
    pub async fn close_asset(&self, asset: AssetId, pipeline: &str, wanted: &[Wanted], round: i32) -> Result<bool> {
        let (steps, recipes) = columns(wanted);
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "DELETE FROM asset_open WHERE asset_id = $1 AND pipeline = $2 AND round = $5
                   AND NOT EXISTS (SELECT FROM unnest($3::text[], $4::text[]) w(step, recipe)
                    WHERE NOT EXISTS (SELECT FROM step_result r WHERE r.asset_id = $1 AND r.pipeline = $2
                        AND r.step = w.step AND r.recipe = w.recipe))",
            )
            .await?;
        Ok(client.execute(&statement, &[&asset.0, &pipeline, &steps, &recipes, &round]).await? == 1)
    }

    /// Compares every asset with what is wanted, and opens those for which something is missing. Reads the whole library: for
    /// when a recipe has changed. Returns how many.
    pub async fn open_due(&self, pipeline: &str, wanted: &[Wanted]) -> Result<u64> {
        let (steps, recipes) = columns(wanted);
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO asset_open (pipeline, asset_id)
                 SELECT $1, a.id FROM asset a
                 LEFT JOIN (
                    SELECT r.asset_id, count(*) AS ended FROM step_result r
                    JOIN unnest($2::text[], $3::text[]) w(step, recipe) ON w.step = r.step AND w.recipe = r.recipe
                    WHERE r.pipeline = $1 GROUP BY r.asset_id
                 ) done ON done.asset_id = a.id
                 WHERE coalesce(done.ended, 0) < cardinality($2::text[])
                 ON CONFLICT (pipeline, asset_id) DO NOTHING",
            )
            .await?;
        Ok(client.execute(&statement, &[&pipeline, &steps, &recipes]).await?)
    }

    /// Open assets, newest first, each with the steps that it is due for, in the order of `wanted` (maybe none any more), and its
    /// round.
    /// `before`: page on from there.
    pub async fn assets_due(
        &self,
        pipeline: &str,
        wanted: &[Wanted],
        before: Option<AssetId>,
        limit: i64,
    ) -> Result<Vec<(AssetId, Vec<String>, i32)>> {
        let (steps, recipes) = columns(wanted);
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT o.asset_id, ARRAY(
                    SELECT w.step FROM unnest($2::text[], $3::text[]) WITH ORDINALITY w(step, recipe, at)
                    WHERE NOT EXISTS (SELECT FROM step_result r WHERE r.asset_id = o.asset_id AND r.pipeline = $1
                        AND r.step = w.step AND r.recipe = w.recipe)
                    ORDER BY w.at), o.round
                 FROM asset_open o WHERE o.pipeline = $1 AND ($4::uuid IS NULL OR o.asset_id < $4)
                 ORDER BY o.asset_id DESC LIMIT $5",
            )
            .await?;
        let rows = client.query(&statement, &[&pipeline, &steps, &recipes, &before.map(|id| id.0), &limit]).await?;
        Ok(rows.iter().map(|row| (AssetId(row.get(0)), row.get(1), row.get(2))).collect())
    }

    /// Something happened to these assets: the pipeline runs on them from its beginning.
    pub async fn reopen_assets(&self, pipeline: &str, assets: &[AssetId]) -> Result<()> {
        let ids: Vec<Uuid> = assets.iter().map(|id| id.0).collect();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH forgotten AS (DELETE FROM step_result WHERE pipeline = $1 AND asset_id = ANY($2))
                 INSERT INTO asset_open AS o (pipeline, asset_id) SELECT $1, id FROM asset WHERE id = ANY($2)
                 ON CONFLICT (pipeline, asset_id) DO UPDATE SET round = o.round + 1",
            )
            .await?;
        client.execute(&statement, &[&pipeline, &ids]).await?;
        Ok(())
    }
}

pub(crate) fn columns(wanted: &[Wanted]) -> (Vec<&str>, Vec<&str>) {
    wanted.iter().map(|wanted| (&*wanted.step, &*wanted.recipe)).unzip()
}

/// PostgreSQL keeps no NUL, and what a broken file says may hold one.
fn printable(text: &str) -> String {
    text.replace('\0', "")
}
