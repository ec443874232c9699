//! Migrations, forward only, under an advisory lock; and whether the server is one that can carry them.

use deadpool_postgres::Object;

use crate::error::{Result, StoreError, chain};

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// Any number that nobody else uses: "latent" as bytes.
const LOCK: i64 = 0x6c61_7465_6e74;

const OLDEST_SERVER: i32 = 14;
/// The first with iterative scans.
const OLDEST_VECTOR: (u32, u32) = (0, 8);

pub async fn run(client: &mut Object) -> Result<()> {
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    let migrated = locked(client).await;
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await?;
    migrated
}

async fn locked(client: &mut Object) -> Result<()> {
    let major = check_server(client).await?;
    check_vector(client, major).await?;
    if major < 18 {
        client.batch_execute(UUIDV7).await?;
    }
    let report = embedded::migrations::runner().run_async(&mut ***client).await;
    let report = report.map_err(|error| StoreError::Migration(chain(&error)))?;
    for migration in report.applied_migrations() {
        tracing::info!(%migration, "Migrated the database");
    }
    Ok(())
}

async fn check_server(client: &Object) -> Result<i32> {
    let row = client.query_one("SELECT current_setting('server_version_num')::int4", &[]).await?;
    let major = row.get::<_, i32>(0) / 10_000;
    if major < OLDEST_SERVER {
        return Err(StoreError::Unfit(format!(
            "the database is PostgreSQL {major}, and Latent needs {OLDEST_SERVER} or newer: upgrade it, or leave \
             database.url empty for an embedded one"
        )));
    }
    Ok(major)
}

/// There, new enough, and as new as the library that the server has.
async fn check_vector(client: &Object, major: i32) -> Result<()> {
    let query = "SELECT e.extversion, a.default_version FROM pg_available_extensions a
                 LEFT JOIN pg_extension e ON e.extname = a.name WHERE a.name = 'vector'";
    let Some(row) = client.query_opt(query, &[]).await? else {
        return Err(StoreError::Unfit(format!(
            "the database server has no pgvector: install it there (Debian and Ubuntu: apt install \
             postgresql-{major}-pgvector), or leave database.url empty for an embedded PostgreSQL"
        )));
    };
    let (installed, library): (Option<String>, Option<String>) = (row.get(0), row.get(1));
    let library = library.unwrap_or_default();
    if version(&library) < OLDEST_VECTOR {
        return Err(StoreError::Unfit(format!(
            "the database server has pgvector {library}, and Latent needs 0.8 or newer: upgrade the package there \
             (postgresql-{major}-pgvector), or leave database.url empty for an embedded PostgreSQL"
        )));
    }
    match installed {
        Some(installed) if installed != library => {
            let updated = client.batch_execute("ALTER EXTENSION vector UPDATE").await.map_err(StoreError::from);
            match updated {
                Ok(()) => tracing::info!(from = installed, to = library, "Updated the extension vector"),
                Err(error) if version(&installed) < OLDEST_VECTOR => {
                    return Err(StoreError::Unfit(format!(
                        "the database uses pgvector {installed}, and Latent needs 0.8 or newer; {library} is installed on the \
                         server, but we may not take it ({error}): run ALTER EXTENSION vector UPDATE as the extension's owner"
                    )));
                }
                Err(error) => tracing::warn!(%error, installed, library, "Cannot update the extension vector"),
            }
        }
        _ => {}
    }
    Ok(())
}

fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// PostgreSQL 18 has it. Milliseconds, then their 4096ths, then chance: as there, ids of one session ascend.
const UUIDV7: &str = "
DO $make$ BEGIN
    IF to_regprocedure('uuidv7()') IS NULL THEN
        CREATE FUNCTION uuidv7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $body$
            SELECT encode(
                overlay(overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send(us / 1000) FROM 3) FROM 1 FOR 6)
                    PLACING int2send((28672 + us % 1000 * 4096 / 1000)::int2) FROM 7 FOR 2),
                'hex')::uuid
            FROM (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::int8 AS us) AS now
        $body$;
    END IF;
END $make$";
