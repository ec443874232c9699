//! Other looks at a library than the timeline: by folder, and by day.

use jiff::civil::Date;
use types::{AssetId, UserId};

use crate::{Result, Store};

/// What a calendar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// By the day on the wall there when they were taken.
    Taken,
    /// By the day (UTC) they came.
    Uploaded,
}

impl Store {
    /// The folders in which originals of this owner lie, sorted. It steps from one to the next in the index `asset_folder`,
    /// however many assets each has.
    pub async fn folders(&self, owner: UserId) -> Result<Vec<String>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH RECURSIVE folder(path) AS (
                    (SELECT regexp_replace(original_path, '/[^/]*$', '') FROM asset
                     WHERE owner_id = $1 AND deleted_at IS NULL AND visibility = 'timeline'
                     ORDER BY owner_id, regexp_replace(original_path, '/[^/]*$', '') LIMIT 1)
                    UNION ALL
                    SELECT (SELECT regexp_replace(a.original_path, '/[^/]*$', '') FROM asset a
                     WHERE a.owner_id = $1 AND a.deleted_at IS NULL AND a.visibility = 'timeline'
                       AND regexp_replace(a.original_path, '/[^/]*$', '') > folder.path
                     ORDER BY a.owner_id, regexp_replace(a.original_path, '/[^/]*$', '') LIMIT 1)
                    FROM folder WHERE folder.path IS NOT NULL)
                 SELECT path FROM folder WHERE path IS NOT NULL",
            )
            .await?;
        Ok(client.query(&statement, &[&owner.0]).await?.iter().map(|row| row.get(0)).collect())
    }

    /// The assets of this owner whose originals lie in this very folder, in order of when they were taken.
    pub async fn in_folder(&self, owner: UserId, folder: &str) -> Result<Vec<AssetId>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT id FROM asset
                 WHERE owner_id = $1 AND deleted_at IS NULL AND visibility = 'timeline'
                   AND regexp_replace(original_path, '/[^/]*$', '') = $2 ORDER BY file_created_at, id",
            )
            .await?;
        Ok(client.query(&statement, &[&owner.0, &folder]).await?.iter().map(|row| AssetId(row.get(0))).collect())
    }

    /// How many assets of this owner each day from the first to the last has; days without are left out.
    pub async fn by_day(&self, owner: UserId, counted: Counted, (from, to): (Date, Date)) -> Result<Vec<(Date, i64)>> {
        let client = self.client().await?;
        // The month is what the timeline's index begins with.
        let statement = match counted {
            Counted::Taken => {
                client
                    .prepare_cached(
                        "SELECT local_date_time::date AS day, count(*) FROM asset
                         WHERE owner_id = $1 AND deleted_at IS NULL AND visibility = 'timeline'
                           AND date_trunc('month', local_date_time) >= date_trunc('month', $2::date::timestamp)
                           AND local_date_time >= $2::date AND local_date_time < $3::date + 1
                         GROUP BY day ORDER BY day",
                    )
                    .await?
            }
            Counted::Uploaded => {
                client
                    .prepare_cached(
                        "SELECT (created_at AT TIME ZONE 'UTC')::date AS day, count(*) FROM asset
                         WHERE owner_id = $1 AND deleted_at IS NULL AND visibility = 'timeline'
                           AND created_at >= $2::date::timestamp AT TIME ZONE 'UTC'
                           AND created_at < ($3::date + 1)::timestamp AT TIME ZONE 'UTC'
                         GROUP BY day ORDER BY day",
                    )
                    .await?
            }
        };
        let rows = client.query(&statement, &[&owner.0, &from, &to]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}
