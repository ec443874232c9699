//! Small state of plugins, within a quota.

use deadpool_postgres::Transaction;
use jiff::Timestamp;

use crate::{Result, Store};

/// What a row takes beside key and value, as it is counted.
const ROW: i64 = 32;

/// Whose state, and how many bytes of it there may be.
#[derive(Debug, Clone, Copy)]
pub struct KvSpace<'a> {
    pub plugin: &'a str,
    pub scope: &'a str,
    pub quota: u64,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvWrite<T> {
    Written(T),
    /// The quota has no room for it.
    Full,
    /// There is something that is no number, or the sum is none.
    NoNumber(String),
}

impl Store {
    /// What stands under a key at `now`.
    pub async fn plugin_value(&self, space: KvSpace<'_>, key: &str, now: Timestamp) -> Result<Option<Vec<u8>>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT value FROM plugin_kv
                 WHERE plugin = $1 AND scope = $2 AND key = $3 AND (expires IS NULL OR expires > $4)",
            )
            .await?;
        let row = client.query_opt(&statement, &[&space.plugin, &space.scope, &key, &now]).await?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Writes a value if the quota has room for it.
    pub async fn set_plugin_value(
        &self,
        space: KvSpace<'_>,
        key: &str,
        value: &[u8],
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<KvWrite<()>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock(&transaction, space).await?;
        let written = write(&transaction, space, key, value, expires, now).await?;
        transaction.commit().await?;
        Ok(if written { KvWrite::Written(()) } else { KvWrite::Full })
    }

    /// Adds to the number under a key, which keeps its end.
    pub async fn add_to_plugin_value(
        &self,
        space: KvSpace<'_>,
        key: &str,
        by: i64,
        now: Timestamp,
    ) -> Result<KvWrite<i64>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock(&transaction, space).await?;
        let statement = transaction
            .prepare_cached(
                "SELECT value, expires FROM plugin_kv
                 WHERE plugin = $1 AND scope = $2 AND key = $3 AND (expires IS NULL OR expires > $4)",
            )
            .await?;
        let row = transaction.query_opt(&statement, &[&space.plugin, &space.scope, &key, &now]).await?;
        let (there, expires): (Vec<u8>, Option<Timestamp>) =
            row.map_or((b"0".to_vec(), None), |row| (row.get(0), row.get(1)));
        let number = std::str::from_utf8(&there).ok().and_then(|text| text.parse::<i64>().ok());
        let Some(number) = number else {
            return Ok(KvWrite::NoNumber("what stands there is no number".into()));
        };
        let Some(sum) = number.checked_add(by) else {
            return Ok(KvWrite::NoNumber(format!("{number} + {by} is too large a number")));
        };
        let written = write(&transaction, space, key, sum.to_string().as_bytes(), expires, now).await?;
        transaction.commit().await?;
        Ok(if written { KvWrite::Written(sum) } else { KvWrite::Full })
    }

    /// Success where nothing is.
    pub async fn delete_plugin_value(&self, space: KvSpace<'_>, key: &str) -> Result<()> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("DELETE FROM plugin_kv WHERE plugin = $1 AND scope = $2 AND key = $3").await?;
        client.execute(&statement, &[&space.plugin, &space.scope, &key]).await?;
        Ok(())
    }

    /// Takes away what has expired, of all plugins. Returns how much.
    pub async fn sweep_plugin_values(&self) -> Result<u64> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM plugin_kv WHERE expires <= now()").await?;
        Ok(client.execute(&statement, &[]).await?)
    }
}

/// One writer of a space at a time, or two of them would both find the same room.
async fn lock(transaction: &Transaction<'_>, space: KvSpace<'_>) -> Result<()> {
    let statement =
        transaction.prepare_cached("SELECT pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 12))").await?;
    transaction.execute(&statement, &[&space.plugin, &space.scope]).await?;
    Ok(())
}

/// `false`: the quota has no room. What has expired makes room.
async fn write(
    transaction: &Transaction<'_>,
    space: KvSpace<'_>,
    key: &str,
    value: &[u8],
    expires: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool> {
    let statement = transaction
        .prepare_cached(
            "WITH gone AS (DELETE FROM plugin_kv WHERE plugin = $1 AND scope = $2 AND expires <= $4)
             SELECT coalesce(sum(octet_length(key) + octet_length(value) + $5), 0)::bigint FROM plugin_kv
             WHERE plugin = $1 AND scope = $2 AND key <> $3 AND (expires IS NULL OR expires > $4)",
        )
        .await?;
    let others: i64 = transaction.query_one(&statement, &[&space.plugin, &space.scope, &key, &now, &ROW]).await?.get(0);
    let own = (key.len() + value.len()) as i64 + ROW;
    if others.saturating_add(own) > i64::try_from(space.quota).unwrap_or(i64::MAX) {
        return Ok(false);
    }
    let statement = transaction
        .prepare_cached(
            "INSERT INTO plugin_kv (plugin, scope, key, value, expires) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (plugin, scope, key) DO UPDATE SET value = excluded.value, expires = excluded.expires",
        )
        .await?;
    transaction.execute(&statement, &[&space.plugin, &space.scope, &key, &value, &expires]).await?;
    Ok(true)
}
