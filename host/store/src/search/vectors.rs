//! Vectors: saved, and ranked by how near they are to another.

use half::f16;
use pgvector::HalfVector;
use types::AssetId;

use super::filter::{AssetFilter, Query};
use super::spaces::Space;
use crate::{Result, Store};

/// How vectors are ranked. The defaults were measured; the benches vary them.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Up to how many candidates, as the planner estimates them, every one is looked at.
    pub exact_up_to: i64,
    /// Candidates that HNSW keeps while it searches, at least; it is never fewer than the limit.
    pub ef: i64,
    /// A scan that finds too few that pass the filter gives up after so many.
    pub max_scanned: i64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { exact_up_to: 12_000, ef: 120, max_scanned: 20_000 }
    }
}

/// 16-bit floats, as the tables have them.
pub(crate) fn half_vector(embedding: &[f32]) -> HalfVector {
    HalfVector::from(embedding.iter().map(|value| f16::from_f32(*value)).collect::<Vec<_>>())
}

impl Store {
    /// Saves the vector of an asset, of unit length. `false`: the asset is gone.
    pub async fn save_embedding(&self, space: &Space, asset: AssetId, embedding: &[f32]) -> Result<bool> {
        let client = self.client().await?;
        let sql = format!(
            "INSERT INTO {} (asset_id, owner_id, embedding) SELECT id, owner_id, $2 FROM asset WHERE id = $1
             ON CONFLICT (asset_id) DO UPDATE SET embedding = excluded.embedding",
            space.table()
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.execute(&statement, &[&asset.0, &half_vector(embedding)]).await? == 1)
    }

    /// Assets that have a vector, in order of their ids.
    pub async fn embedded(&self, space: &Space, after: Option<AssetId>, limit: i64) -> Result<Vec<AssetId>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT asset_id FROM {} WHERE asset_id > coalesce($1, '00000000-0000-0000-0000-000000000000')
             ORDER BY asset_id LIMIT $2",
            space.table()
        );
        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &[&after.map(|id| id.0), &limit]).await?;
        Ok(rows.iter().map(|row| AssetId(row.get(0))).collect())
    }

    pub async fn embedding(&self, space: &Space, asset: AssetId) -> Result<Option<Vec<f32>>> {
        let client = self.client().await?;
        let sql = format!("SELECT embedding FROM {} WHERE asset_id = $1", space.table());
        let statement = client.prepare_cached(&sql).await?;
        let row = client.query_opt(&statement, &[&asset.0]).await?;
        Ok(row.map(|row| row.get::<_, HalfVector>(0).as_slice().iter().map(|value| value.to_f32()).collect()))
    }

    /// The assets that pass the filter and are nearest to `wanted` (unit length), with their cosine, best first. `estimate`:
    /// about how many pass the filter, see [`Store::estimate_found`].
    pub async fn nearest(
        &self,
        space: &Space,
        filter: &AssetFilter,
        wanted: &[f32],
        limit: i64,
        estimate: i64,
        tuning: &Tuning,
    ) -> Result<Vec<(AssetId, f32)>> {
        if estimate <= tuning.exact_up_to {
            return self.rank(space, filter, wanted, limit, None).await;
        }
        let found = self.rank(space, filter, wanted, limit, Some(tuning)).await?;
        // The scan gave up early: there are more that pass the filter, but far away. Few enough to look at each?
        if (found.len() as i64) < limit.min(estimate) && estimate <= 8 * tuning.exact_up_to {
            return self.rank(space, filter, wanted, limit, None).await;
        }
        Ok(found)
    }

    /// `hnsw`: by the index; otherwise every vector that passes is compared. There is no tie-breaker in the order: it would
    /// defeat the index.
    async fn rank(
        &self,
        space: &Space,
        filter: &AssetFilter,
        wanted: &[f32],
        limit: i64,
        hnsw: Option<&Tuning>,
    ) -> Result<Vec<(AssetId, f32)>> {
        let mut query = Query::default();
        let vector = query.bind(half_vector(wanted));
        let mut conditions = filter.conditions(&mut query);
        if let Some(owner) = filter.only_owner() {
            conditions += &format!(" AND e.owner_id = {}", query.bind(owner.0));
        }
        let candidates = format!(
            "SELECT e.asset_id, e.embedding <#> {vector} AS distance
             FROM {} JOIN {} e ON e.asset_id = a.id WHERE {conditions}",
            filter.tables(),
            space.table()
        );
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let sql = match hnsw {
            Some(tuning) => {
                let ef = tuning.ef.max(limit).min(1000);
                transaction.batch_execute(&settings(ef, tuning.max_scanned.max(limit * 4))).await?;
                format!(
                    // `+ 0`: a relaxed scan is nearly in order, and the planner would take its word for it.
                    "WITH near AS MATERIALIZED ({candidates} ORDER BY e.embedding <#> {vector} LIMIT {limit})
                     SELECT asset_id, (-distance)::real FROM near ORDER BY distance + 0"
                )
            }
            None => {
                // Starting a parallel worker costs more than it saves here.
                transaction.batch_execute("SET LOCAL max_parallel_workers_per_gather = 0").await?;
                format!(
                    "WITH few AS MATERIALIZED ({candidates})
                     SELECT asset_id, (-distance)::real FROM few ORDER BY distance LIMIT {limit}"
                )
            }
        };
        let statement = transaction.prepare_cached(&sql).await?;
        let rows = transaction.query(&statement, &query.arguments()).await?;
        transaction.commit().await?;
        Ok(rows.iter().map(|row| (AssetId(row.get(0)), row.get(1))).collect())
    }

    /// How many assets pass the filter, as the planner thinks: a glance at statistics, whatever the library's size.
    pub async fn estimate_found(&self, filter: &AssetFilter) -> Result<i64> {
        let mut query = Query::default();
        let conditions = filter.conditions(&mut query);
        let sql = format!("EXPLAIN (FORMAT JSON) SELECT 1 FROM {} WHERE {conditions}", filter.tables());
        let client = self.client().await?;
        let statement = client.prepare_cached(&sql).await?;
        let plan: serde_json::Value = client.query_one(&statement, &query.arguments()).await?.get(0);
        Ok(plan[0]["Plan"]["Plan Rows"].as_f64().map_or(i64::MAX, |rows| rows as i64))
    }
}

/// For one transaction: the index leads (there is one plan, so it is made once), filters are
/// looked up row by row behind it, and it goes on until enough pass.
pub(crate) fn settings(ef: i64, max_scanned: i64) -> String {
    format!(
        "SET LOCAL hnsw.ef_search = {ef}; SET LOCAL hnsw.iterative_scan = relaxed_order;
         SET LOCAL hnsw.max_scan_tuples = {max_scanned}; SET LOCAL plan_cache_mode = force_generic_plan;
         SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off;
         SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
    )
}
