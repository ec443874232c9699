//! Installed plugins: their bytes, which of them run, what was approved, and whose signatures count.

use bytes::Bytes;
use deadpool_postgres::Transaction;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::{Result, Store};

/// A plugin that was installed.
#[derive(Debug, Clone, PartialEq)]
pub struct Installed {
    pub id: String,
    pub enabled: bool,
    /// As it was read; a change says which state it is of.
    pub revision: i64,
    /// What runs.
    pub active: Option<Release>,
    /// What ran before it.
    pub previous: Option<Release>,
    /// What waits for an approval.
    pub staged: Option<Release>,
    pub installed_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A version of a plugin, and what was approved for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// SHA-256 in hex.
    pub digest: String,
    pub manifest: Value,
    /// The text of the minisign signature.
    pub signature: Option<String>,
    /// The public key that the signature holds for; `None`: unsigned, which an operator allowed.
    pub signed_by: Option<String>,
    /// Where it came from.
    pub source: String,
    pub grants: Value,
    pub settings: Value,
    pub added_at: Timestamp,
}

/// A key whose signature counts for a prefix of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginKey {
    /// Base64, as minisign writes it.
    pub public_key: String,
    /// `org.example`: that id, and all that begin with `org.example.`.
    pub prefix: String,
    pub added_at: Timestamp,
}

const PLUGINS: &str = "SELECT id, enabled, revision, active, previous, staged, installed_at, updated_at FROM plugin
    WHERE $1::text IS NULL OR id = $1 ORDER BY id";
const RELEASES: &str = "SELECT plugin_id, digest, manifest, signature, signed_by, source, grants, settings, added_at
    FROM plugin_release WHERE $1::text IS NULL OR plugin_id = $1";

impl Store {
    /// Counts the changes of plugins.
    pub async fn plugin_generation(&self) -> Result<i64> {
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT generation FROM plugin_generation").await?;
        Ok(client.query_one(&statement, &[]).await?.get(0))
    }

    /// All that are installed, by id, and the generation that they are of.
    pub async fn installed_plugins(&self) -> Result<(i64, Vec<Installed>)> {
        // Read first: what changes meanwhile is read again with the next generation.
        let generation = self.plugin_generation().await?;
        Ok((generation, self.read_plugins(None).await?))
    }

    pub async fn installed_plugin(&self, id: &str) -> Result<Option<Installed>> {
        Ok(self.read_plugins(Some(id)).await?.pop())
    }

    async fn read_plugins(&self, id: Option<&str>) -> Result<Vec<Installed>> {
        let mut client = self.client().await?;
        // Both statements see one state.
        let transaction =
            client.build_transaction().isolation_level(tokio_postgres::IsolationLevel::RepeatableRead).start().await?;
        let statement = transaction.prepare_cached(PLUGINS).await?;
        let plugins = transaction.query(&statement, &[&id]).await?;
        let statement = transaction.prepare_cached(RELEASES).await?;
        let releases = transaction.query(&statement, &[&id]).await?;
        transaction.commit().await?;
        Ok(plugins.iter().map(|row| installed(row, &releases)).collect())
    }

    /// The bytes of a component.
    pub async fn plugin_component(&self, digest: &str) -> Result<Option<Bytes>> {
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT wasm FROM plugin_component WHERE digest = $1").await?;
        let row = client.query_opt(&statement, &[&digest]).await?;
        Ok(row.map(|row| Bytes::from(row.get::<_, Vec<u8>>(0))))
    }

    /// Writes a plugin as it is to be: a new one (`revision` 0), or a later state of one that was read. `wasm`: the bytes of a
    /// release that the database may not have. What no plugin names any more is deleted. `None`: somebody else changed it since
    /// it was read, or installed it. Otherwise the new generation.
    pub async fn save_plugin(&self, plugin: &Installed, wasm: Option<(&str, &[u8])>) -> Result<Option<i64>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let generation = next_generation(&transaction).await?;
        if let Some((digest, wasm)) = wasm {
            let statement = transaction
                .prepare_cached(
                    "INSERT INTO plugin_component (digest, wasm) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING",
                )
                .await?;
            transaction.execute(&statement, &[&digest, &wasm]).await?;
        }
        if write_plugin(&transaction, plugin).await? == 0 {
            return Ok(None);
        }
        let releases = [&plugin.active, &plugin.previous, &plugin.staged];
        for release in releases.into_iter().flatten() {
            write_release(&transaction, &plugin.id, release).await?;
        }
        delete_unnamed(&transaction).await?;
        transaction.commit().await?;
        Ok(Some(generation))
    }

    /// `None`: it is not there, or somebody changed it since it was read.
    pub async fn delete_plugin(&self, id: &str, revision: i64) -> Result<Option<i64>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let generation = next_generation(&transaction).await?;
        let statement = transaction.prepare_cached("DELETE FROM plugin WHERE id = $1 AND revision = $2").await?;
        if transaction.execute(&statement, &[&id, &revision]).await? == 0 {
            return Ok(None);
        }
        delete_unnamed(&transaction).await?;
        let statement = transaction.prepare_cached("DELETE FROM plugin_kv WHERE plugin = $1").await?;
        transaction.execute(&statement, &[&id]).await?;
        let statement = transaction.prepare_cached("DELETE FROM plugin_quarantine WHERE plugin = $1").await?;
        transaction.execute(&statement, &[&id]).await?;
        transaction.commit().await?;
        Ok(Some(generation))
    }

    /// Those whose signature counts, by prefix.
    pub async fn plugin_keys(&self) -> Result<Vec<PluginKey>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT public_key, prefix, added_at FROM plugin_key ORDER BY prefix, public_key")
            .await?;
        let rows = client.query(&statement, &[]).await?;
        Ok(rows
            .iter()
            .map(|row| PluginKey { public_key: row.get(0), prefix: row.get(1), added_at: row.get(2) })
            .collect())
    }

    /// Trusts a key. It may be trusted already.
    pub async fn insert_plugin_key(&self, public_key: &str, prefix: &str) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO plugin_key (public_key, prefix) VALUES ($1, $2) ON CONFLICT (public_key, prefix) DO NOTHING",
            )
            .await?;
        client.execute(&statement, &[&public_key, &prefix]).await?;
        Ok(())
    }

    /// Trusts it no more: for one prefix, or for none. How many lines that took out.
    pub async fn delete_plugin_key(&self, public_key: &str, prefix: Option<&str>) -> Result<u64> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("DELETE FROM plugin_key WHERE public_key = $1 AND ($2::text IS NULL OR prefix = $2)")
            .await?;
        Ok(client.execute(&statement, &[&public_key, &prefix]).await?)
    }
}

/// The row is locked until the end of the transaction: changes follow one another.
async fn next_generation(transaction: &Transaction<'_>) -> Result<i64> {
    let statement = transaction
        .prepare_cached("UPDATE plugin_generation SET generation = generation + 1 RETURNING generation")
        .await?;
    Ok(transaction.query_one(&statement, &[]).await?.get(0))
}

async fn write_plugin(transaction: &Transaction<'_>, plugin: &Installed) -> Result<u64> {
    let digest = |release: &Option<Release>| release.as_ref().map(|release| release.digest.clone());
    let (active, previous, staged) = (digest(&plugin.active), digest(&plugin.previous), digest(&plugin.staged));
    if plugin.revision == 0 {
        let statement = transaction
            .prepare_cached(
                "INSERT INTO plugin (id, enabled, active, previous, staged) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (id) DO NOTHING",
            )
            .await?;
        let parameters: [&(dyn ToSql + Sync); 5] = [&plugin.id, &plugin.enabled, &active, &previous, &staged];
        return Ok(transaction.execute(&statement, &parameters).await?);
    }
    let statement = transaction
        .prepare_cached(
            "UPDATE plugin SET enabled = $2, active = $3, previous = $4, staged = $5, revision = revision + 1,
                updated_at = now()
             WHERE id = $1 AND revision = $6",
        )
        .await?;
    let parameters: [&(dyn ToSql + Sync); 6] =
        [&plugin.id, &plugin.enabled, &active, &previous, &staged, &plugin.revision];
    Ok(transaction.execute(&statement, &parameters).await?)
}

async fn write_release(transaction: &Transaction<'_>, plugin: &str, release: &Release) -> Result<()> {
    let statement = transaction
        .prepare_cached(
            "INSERT INTO plugin_release (plugin_id, digest, manifest, signature, signed_by, source, grants, settings)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (plugin_id, digest) DO UPDATE
             SET grants = excluded.grants, settings = excluded.settings, source = excluded.source,
                signature = excluded.signature, signed_by = excluded.signed_by",
        )
        .await?;
    let Release { digest, manifest, signature, signed_by, source, grants, settings, .. } = release;
    let parameters: [&(dyn ToSql + Sync); 8] =
        [&plugin, digest, manifest, signature, signed_by, source, grants, settings];
    transaction.execute(&statement, &parameters).await?;
    Ok(())
}

/// Releases that their plugin does not name, then components of no release.
async fn delete_unnamed(transaction: &Transaction<'_>) -> Result<()> {
    let statement = transaction
        .prepare_cached(
            "DELETE FROM plugin_release r USING plugin p WHERE p.id = r.plugin_id
                AND r.digest IS DISTINCT FROM p.active AND r.digest IS DISTINCT FROM p.previous
                AND r.digest IS DISTINCT FROM p.staged",
        )
        .await?;
    transaction.execute(&statement, &[]).await?;
    let statement = transaction
        .prepare_cached(
            "DELETE FROM plugin_component c WHERE NOT EXISTS (SELECT FROM plugin_release r WHERE r.digest = c.digest)",
        )
        .await?;
    transaction.execute(&statement, &[]).await?;
    Ok(())
}

fn installed(row: &Row, releases: &[Row]) -> Installed {
    let id: String = row.get("id");
    let named = |column: &str| {
        let digest: Option<String> = row.get(column);
        let is_meant = |release: &&Row| {
            release.get::<_, &str>("plugin_id") == id && digest.as_deref() == Some(release.get::<_, &str>("digest"))
        };
        releases.iter().find(is_meant).map(release)
    };
    Installed {
        enabled: row.get("enabled"),
        revision: row.get("revision"),
        active: named("active"),
        previous: named("previous"),
        staged: named("staged"),
        installed_at: row.get("installed_at"),
        updated_at: row.get("updated_at"),
        id,
    }
}

fn release(row: &Row) -> Release {
    Release {
        digest: row.get("digest"),
        manifest: row.get("manifest"),
        signature: row.get("signature"),
        signed_by: row.get("signed_by"),
        source: row.get("source"),
        grants: row.get("grants"),
        settings: row.get("settings"),
        added_at: row.get("added_at"),
    }
}
