//! Runs of a pipeline over many assets: what they are due for, and how far they are.

use jiff::Timestamp;
use tokio_postgres::Row;
use types::{AssetId, RunId};
use uuid::Uuid;

use crate::steps::{Wanted, columns};
use crate::{Result, Store};

/// Runs of one pipeline that are kept.
const KEPT: i64 = 50;

/// A run.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: RunId,
    pub pipeline: String,
    /// `manual`, `schedule` or `queue`.
    pub cause: String,
    pub steps: Vec<String>,
    /// Also where there was a result already.
    pub force: bool,
    /// Assets that it was due for when it began.
    pub total: i64,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// What was left a while ago.
    pub sample: Option<(Timestamp, i64)>,
}

/// What a run is to do.
#[derive(Debug, Clone, Copy)]
pub struct NewRun<'a> {
    pub pipeline: &'a str,
    pub cause: &'a str,
    /// The steps, with the recipes that they have now.
    pub wanted: &'a [Wanted],
    /// Also where there is a result already; otherwise where one is missing or has failed.
    pub force: bool,
    /// `None`: all.
    pub assets: Option<&'a [AssetId]>,
}

/// So many assets have a result of a step by this recipe, with this status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepState {
    pub step: String,
    pub recipe: String,
    pub status: String,
    pub assets: i64,
}

const COLUMNS: &str = "id, pipeline, cause, steps, force, total, started_at, ended_at, sample_at, sample_left";

fn run(row: &Row) -> Run {
    let sample: (Option<Timestamp>, Option<i64>) = (row.get("sample_at"), row.get("sample_left"));
    Run {
        id: RunId(row.get("id")),
        pipeline: row.get("pipeline"),
        cause: row.get("cause"),
        steps: row.get("steps"),
        force: row.get("force"),
        total: row.get("total"),
        started_at: row.get("started_at"),
        ended_at: row.get("ended_at"),
        sample: sample.0.zip(sample.1),
    }
}

fn ids(assets: Option<&[AssetId]>) -> Option<Vec<Uuid>> {
    assets.map(|assets| assets.iter().map(|id| id.0).collect())
}

impl Store {
    /// Begins a run, in one transaction: results are forgotten, assets that lack one are open and belong to it. One that is due
    /// for nothing has ended.
    pub async fn start_run(&self, new: &NewRun<'_>) -> Result<Run> {
        let (steps, recipes) = columns(new.wanted);
        let (id, assets) = (RunId::generate(), ids(new.assets));
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction
            .prepare_cached("INSERT INTO pipeline_run (id, pipeline, cause, steps, force) VALUES ($1, $2, $3, $4, $5)")
            .await?;
        transaction.execute(&statement, &[&id.0, &new.pipeline, &new.cause, &steps, &new.force]).await?;
        let statement = transaction
            .prepare_cached(
                "DELETE FROM step_result WHERE pipeline = $1 AND step = ANY($2) AND (status = 'failed' OR $3)
                   AND ($4::uuid[] IS NULL OR asset_id = ANY($4))",
            )
            .await?;
        transaction.execute(&statement, &[&new.pipeline, &steps, &new.force, &assets]).await?;
        let statement = transaction
            .prepare_cached(
                "INSERT INTO asset_open AS o (pipeline, asset_id, run_id)
                 SELECT $1, a.id, $5::uuid FROM asset a
                 LEFT JOIN (
                    SELECT r.asset_id, count(*) AS ended FROM step_result r
                    JOIN unnest($2::text[], $3::text[]) w(step, recipe) ON w.step = r.step AND w.recipe = r.recipe
                    WHERE r.pipeline = $1 AND ($4::uuid[] IS NULL OR r.asset_id = ANY($4)) GROUP BY r.asset_id
                 ) done ON done.asset_id = a.id
                 WHERE coalesce(done.ended, 0) < cardinality($2::text[]) AND ($4::uuid[] IS NULL OR a.id = ANY($4))
                 ON CONFLICT (pipeline, asset_id) DO UPDATE SET run_id = excluded.run_id, round = o.round + 1",
            )
            .await?;
        let total = transaction.execute(&statement, &[&new.pipeline, &steps, &recipes, &assets, &id.0]).await?;
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        let sql = format!(
            "UPDATE pipeline_run SET total = $2::bigint, ended_at = CASE WHEN $2::bigint = 0 THEN now() END WHERE id = $1 RETURNING {COLUMNS}"
        );
        let statement = transaction.prepare_cached(&sql).await?;
        let begun = run(&transaction.query_one(&statement, &[&id.0, &total]).await?);
        let statement = transaction
            .prepare_cached(
                "DELETE FROM pipeline_run WHERE pipeline = $1 AND ended_at IS NOT NULL AND id NOT IN (
                    SELECT id FROM pipeline_run WHERE pipeline = $1 ORDER BY started_at DESC LIMIT $2)",
            )
            .await?;
        transaction.execute(&statement, &[&new.pipeline, &KEPT]).await?;
        transaction.commit().await?;
        Ok(begun)
    }

    /// How many assets such a run would be due for now.
    pub async fn count_due(&self, new: &NewRun<'_>) -> Result<i64> {
        let (steps, recipes) = columns(new.wanted);
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT count(*) FROM asset a
                 LEFT JOIN (
                    SELECT r.asset_id, count(*) AS ended FROM step_result r
                    JOIN unnest($2::text[], $3::text[]) w(step, recipe) ON w.step = r.step AND w.recipe = r.recipe
                    WHERE r.pipeline = $1 AND r.status <> 'failed' GROUP BY r.asset_id
                 ) done ON done.asset_id = a.id
                 WHERE cardinality($2::text[]) > 0 AND ($4 OR coalesce(done.ended, 0) < cardinality($2::text[]))
                   AND ($5::uuid[] IS NULL OR a.id = ANY($5))",
            )
            .await?;
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&new.pipeline, &steps, &recipes, &new.force, &ids(new.assets)];
        Ok(client.query_one(&statement, &parameters).await?.get(0))
    }

    /// The newest runs, at most so many.
    pub async fn runs(&self, limit: i64) -> Result<Vec<Run>> {
        let client = self.client().await?;
        let sql = format!("SELECT {COLUMNS} FROM pipeline_run ORDER BY started_at DESC, id DESC LIMIT $1");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&limit]).await?.iter().map(run).collect())
    }

    pub async fn run(&self, id: RunId) -> Result<Option<Run>> {
        let client = self.client().await?;
        let sql = format!("SELECT {COLUMNS} FROM pipeline_run WHERE id = $1");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, &[&id.0]).await?.as_ref().map(run))
    }

    /// Those that have not ended.
    pub async fn active_runs(&self) -> Result<Vec<Run>> {
        let client = self.client().await?;
        let sql = format!("SELECT {COLUMNS} FROM pipeline_run WHERE ended_at IS NULL ORDER BY started_at");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[]).await?.iter().map(run).collect())
    }

    /// Tells a process that another one has begun a run.
    pub async fn newest_run(&self) -> Result<Option<RunId>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT id FROM pipeline_run WHERE ended_at IS NULL ORDER BY started_at DESC LIMIT 1")
            .await?;
        Ok(client.query_opt(&statement, &[]).await?.map(|row| RunId(row.get(0))))
    }

    /// How many assets of a run lack a result of these, and how many steps have failed since it began.
    pub async fn run_left(&self, run: &Run, wanted: &[Wanted]) -> Result<(i64, i64)> {
        let (steps, recipes) = columns(wanted);
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT (SELECT count(*) FROM asset_open o WHERE o.run_id = $1
                    AND EXISTS (SELECT FROM unnest($2::text[], $3::text[]) w(step, recipe)
                        WHERE NOT EXISTS (SELECT FROM step_result r WHERE r.asset_id = o.asset_id
                            AND r.pipeline = o.pipeline AND r.step = w.step AND r.recipe = w.recipe))),
                 (SELECT count(*) FROM step_result WHERE pipeline = $4 AND step = ANY($2) AND status = 'failed' AND at >= $5
                    AND at <= coalesce($6::timestamptz, now()))",
            )
            .await?;
        let row = client
            .query_one(&statement, &[&run.id.0, &steps, &recipes, &run.pipeline, &run.started_at, &run.ended_at])
            .await?;
        Ok((row.get(0), row.get(1)))
    }

    /// Does any asset of a run lack a result of these?
    pub async fn is_run_open(&self, run: RunId, wanted: &[Wanted]) -> Result<bool> {
        let (steps, recipes) = columns(wanted);
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT EXISTS (SELECT FROM asset_open o WHERE o.run_id = $1
                    AND EXISTS (SELECT FROM unnest($2::text[], $3::text[]) w(step, recipe)
                        WHERE NOT EXISTS (SELECT FROM step_result r WHERE r.asset_id = o.asset_id
                            AND r.pipeline = o.pipeline AND r.step = w.step AND r.recipe = w.recipe)))",
            )
            .await?;
        Ok(client.query_one(&statement, &[&run.0, &steps, &recipes]).await?.get(0))
    }

    pub async fn end_run(&self, run: RunId) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("UPDATE pipeline_run SET ended_at = now() WHERE id = $1 AND ended_at IS NULL")
            .await?;
        client.execute(&statement, &[&run.0]).await?;
        Ok(())
    }

    /// Notes what is left of a run, for its pace.
    pub async fn sample_run(&self, run: RunId, at: Timestamp, left: i64) -> Result<()> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("UPDATE pipeline_run SET sample_at = $2, sample_left = $3 WHERE id = $1").await?;
        client.execute(&statement, &[&run.0, &at, &left]).await?;
        Ok(())
    }

    /// How the steps of a pipeline stand, and how many assets there are.
    pub async fn step_states(&self, pipeline: &str) -> Result<(Vec<StepState>, i64)> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT step, recipe, status, count(*) FROM step_result WHERE pipeline = $1
                 GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 2, 3",
            )
            .await?;
        let rows = client.query(&statement, &[&pipeline]).await?;
        let state =
            |row: &Row| StepState { step: row.get(0), recipe: row.get(1), status: row.get(2), assets: row.get(3) };
        let statement = client.prepare_cached("SELECT count(*) FROM asset").await?;
        Ok((rows.iter().map(state).collect(), client.query_one(&statement, &[]).await?.get(0)))
    }

    /// Assets for which a pipeline has something left to do.
    pub async fn count_open(&self, pipeline: &str) -> Result<i64> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT (SELECT count(*) FROM asset_open WHERE pipeline = $1)
                    + (SELECT count(*) FROM deleted_open WHERE pipeline = $1)",
            )
            .await?;
        Ok(client.query_one(&statement, &[&pipeline]).await?.get(0))
    }
}
