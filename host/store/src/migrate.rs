//! Migrations, forward only, under an advisory lock.

use deadpool_postgres::Object;

use crate::error::{Result, StoreError, chain};

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// Any number that nobody else uses: "latent" as bytes.
const LOCK: i64 = 0x6c61_7465_6e74;

pub async fn run(client: &mut Object) -> Result<()> {
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    let report = embedded::migrations::runner().run_async(&mut ***client).await;
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await?;
    let report = report.map_err(|error| StoreError::Migration(chain(&error)))?;
    for migration in report.applied_migrations() {
        tracing::info!(%migration, "Migrated the database");
    }
    Ok(())
}
