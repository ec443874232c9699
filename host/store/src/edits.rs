//! What is done to an original when it is shown.

use deadpool_postgres::Transaction;
use serde_json::Value;
use types::{AssetId, EditId};
use uuid::Uuid;

use crate::derivatives::{NewFile, record_files};
use crate::intents::to_garbage;
use crate::{Result, Store};

/// One edit; an asset's are done in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    pub id: EditId,
    /// `crop`, `rotate` or `mirror`.
    pub action: String,
    pub parameters: Value,
}

/// How a picture looks: its thumbhash, and its width and height in pixels.
pub type Looks<'a> = (&'a [u8], (i32, i32));

impl Store {
    /// In order.
    pub async fn edits(&self, asset: AssetId) -> Result<Vec<Edit>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT id, action, parameters FROM asset_edit WHERE asset_id = $1 ORDER BY sequence")
            .await?;
        let rows = client.query(&statement, &[&asset.0]).await?;
        let edit =
            |row: &tokio_postgres::Row| Edit { id: EditId(row.get(0)), action: row.get(1), parameters: row.get(2) };
        Ok(rows.iter().map(edit).collect())
    }

    /// Replaces the edits of an asset, with what was made by them. `false`: the asset is gone.
    pub async fn save_edits(
        &self,
        asset: AssetId,
        edits: &[Edit],
        files: &[NewFile],
        looks: Looks<'_>,
    ) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let Some(owner) = show(&transaction, asset, true, looks).await? else { return Ok(false) };
        forget(&transaction, asset).await?;
        let ids: Vec<Uuid> = edits.iter().map(|edit| edit.id.0).collect();
        let actions: Vec<&str> = edits.iter().map(|edit| &*edit.action).collect();
        let parameters: Vec<&Value> = edits.iter().map(|edit| &edit.parameters).collect();
        let statement = transaction
            .prepare_cached(
                "INSERT INTO asset_edit (id, asset_id, sequence, action, parameters)
                 SELECT e.id, $1, e.at - 1, e.action, e.parameters
                 FROM unnest($2::uuid[], $3::text[], $4::jsonb[]) WITH ORDINALITY e(id, action, parameters, at)",
            )
            .await?;
        transaction.execute(&statement, &[&asset.0, &ids, &actions, &parameters]).await?;
        record_files(&transaction, asset, owner, files).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The original is shown again, which looks like this; what was made by edits becomes garbage. `false`: the asset is gone.
    pub async fn remove_edits(&self, asset: AssetId, looks: Looks<'_>) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let Some(owner) = show(&transaction, asset, false, looks).await? else { return Ok(false) };
        forget(&transaction, asset).await?;
        let statement = transaction
            .prepare_cached(
                "DELETE FROM asset_file WHERE asset_id = $1 AND starts_with(kind, 'edited-') RETURNING location",
            )
            .await?;
        let gone = transaction.query(&statement, &[&asset.0]).await?;
        let gone: Vec<String> = gone.iter().map(|row| row.get(0)).collect();
        to_garbage(&transaction, owner, &gone).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// Returns the owner; `None`: the asset is gone. Its row is locked from here on: one set of edits at a time.
async fn show(
    transaction: &Transaction<'_>,
    asset: AssetId,
    is_edited: bool,
    (thumbhash, (width, height)): Looks<'_>,
) -> Result<Option<Uuid>> {
    let statement = transaction
        .prepare_cached(
            "UPDATE asset SET is_edited = $2, thumbhash = $3, width = $4, height = $5 WHERE id = $1 RETURNING owner_id",
        )
        .await?;
    let row = transaction.query_opt(&statement, &[&asset.0, &is_edited, &thumbhash, &width, &height]).await?;
    Ok(row.map(|row| row.get(0)))
}

async fn forget(transaction: &Transaction<'_>, asset: AssetId) -> Result<()> {
    let statement = transaction.prepare_cached("DELETE FROM asset_edit WHERE asset_id = $1").await?;
    transaction.execute(&statement, &[&asset.0]).await?;
    Ok(())
}
