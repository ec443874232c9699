//! What was made from originals.

use deadpool_postgres::Transaction;
use types::AssetId;

use crate::intents::{not_garbage, to_garbage};
use crate::{Result, Store};

/// A derivative to be recorded.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// `preview`, `thumbnail`, `fullsize`, or one of them after `edited-`.
    pub kind: &'static str,
    pub location: String,
    /// Bytes. A file of another length is not what was made.
    pub size: i64,
}

impl Store {
    /// Records derivatives and what was seen while making them; those that they replace become garbage. `false`: the asset is
    /// gone, and so are they. What is edited goes on looking as its edits leave it.
    pub async fn save_derivatives(
        &self,
        id: AssetId,
        files: &[NewFile],
        thumbhash: &[u8],
        (width, height): (i32, i32),
    ) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction
            .prepare_cached(
                "UPDATE asset SET thumbhash = CASE WHEN is_edited THEN thumbhash ELSE $2 END,
                    width = CASE WHEN is_edited THEN width ELSE $3 END,
                    height = CASE WHEN is_edited THEN height ELSE $4 END
                 WHERE id = $1 RETURNING owner_id",
            )
            .await?;
        let Some(row) = transaction.query_opt(&statement, &[&id.0, &thumbhash, &width, &height]).await? else {
            return Ok(false);
        };
        let owner: uuid::Uuid = row.get(0);
        record_files(&transaction, id, owner, files).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Forgets derivatives of an asset, of which the storage has lost one, and the results of the steps whose recipes begin so, and
    /// hands the asset to the pipelines again. What the storage still has becomes garbage, until the same is made again.
    pub async fn forget_derivatives(&self, id: AssetId, kinds: &[&str], recipes: &str) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction
            .prepare_cached(
                "DELETE FROM asset_file f USING asset a WHERE f.asset_id = $1 AND a.id = f.asset_id AND f.kind = ANY($2)
                 RETURNING f.location, a.owner_id",
            )
            .await?;
        let gone = transaction.query(&statement, &[&id.0, &kinds]).await?;
        if let Some(first) = gone.first() {
            let locations: Vec<String> = gone.iter().map(|row| row.get(0)).collect();
            to_garbage(&transaction, first.get(1), &locations).await?;
        }
        let statement = transaction
            .prepare_cached("DELETE FROM step_result WHERE asset_id = $1 AND starts_with(recipe, $2)")
            .await?;
        transaction.execute(&statement, &[&id.0, &recipes]).await?;
        let statement = transaction
            .prepare_cached(
                "INSERT INTO outbox (asset_id, trigger, is_new) SELECT id, 'asset.created', false FROM asset WHERE id = $1",
            )
            .await?;
        transaction.execute(&statement, &[&id.0]).await?;
        Ok(transaction.commit().await?)
    }
}

/// Records files of an asset; those that they replace become garbage.
pub(crate) async fn record_files(
    transaction: &Transaction<'_>,
    id: AssetId,
    owner: uuid::Uuid,
    files: &[NewFile],
) -> Result<()> {
    let kinds: Vec<&str> = files.iter().map(|file| file.kind).collect();
    let locations: Vec<&str> = files.iter().map(|file| &*file.location).collect();
    let sizes: Vec<i64> = files.iter().map(|file| file.size).collect();
    let statement = transaction
        .prepare_cached(
            "SELECT f.location FROM asset_file f JOIN unnest($2::text[], $3::text[]) n(kind, location) USING (kind)
             WHERE f.asset_id = $1 AND f.location <> n.location",
        )
        .await?;
    let replaced = transaction.query(&statement, &[&id.0, &kinds, &locations]).await?;
    let replaced: Vec<String> = replaced.iter().map(|row| row.get(0)).collect();
    let statement = transaction
        .prepare_cached(
            "INSERT INTO asset_file (asset_id, kind, location, size)
             SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[])
             ON CONFLICT (asset_id, kind) DO UPDATE SET location = excluded.location, size = excluded.size",
        )
        .await?;
    transaction.execute(&statement, &[&id.0, &kinds, &locations, &sizes]).await?;
    not_garbage(transaction, &locations).await?;
    to_garbage(transaction, owner, &replaced).await?;
    Ok(())
}
