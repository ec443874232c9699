//! What is known of an asset, given to another: for tools that replace a file by a better one.

use deadpool_postgres::Transaction;
use types::{AssetId, UserId};
use uuid::Uuid;

use crate::stacks::lock_things;
use crate::{Result, Store};

/// What is copied.
#[derive(Debug, Clone, Copy)]
pub struct Copied {
    pub albums: bool,
    pub shared_links: bool,
    pub favorite: bool,
    pub stack: bool,
    /// Description and rating: what a file beside the photo says, which is not kept as a file.
    pub sidecar: bool,
}

impl Store {
    /// From one asset of this owner to another. `false`: they are not both this owner's.
    pub async fn copy_asset(&self, owner: UserId, from: AssetId, to: AssetId, what: Copied) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_things(&transaction, owner.0).await?;
        let statement = transaction
            .prepare_cached(
                "SELECT id, stack_id FROM asset WHERE owner_id = $1 AND id = ANY($2) ORDER BY id FOR NO KEY UPDATE",
            )
            .await?;
        let rows = transaction.query(&statement, &[&owner.0, &[from.0, to.0].as_slice()]).await?;
        if rows.len() < 2 {
            return Ok(false);
        }
        let stack = |id: AssetId| -> Option<Uuid> { rows.iter().find(|row| row.get::<_, Uuid>(0) == id.0)?.get(1) };
        if what.favorite {
            let statement = transaction
                .prepare_cached(
                    "UPDATE asset t SET is_favorite = s.is_favorite FROM asset s
                     WHERE s.id = $1 AND t.id = $2 AND t.is_favorite <> s.is_favorite",
                )
                .await?;
            transaction.execute(&statement, &[&from.0, &to.0]).await?;
        }
        copy_places(&transaction, owner, (from, to), what).await?;
        if what.sidecar {
            let statement = transaction
                .prepare_cached(
                    "INSERT INTO asset_exif (asset_id, description, rating)
                     SELECT $2, description, rating FROM asset_exif WHERE asset_id = $1
                     ON CONFLICT (asset_id) DO UPDATE SET description = excluded.description, rating = excluded.rating",
                )
                .await?;
            transaction.execute(&statement, &[&from.0, &to.0]).await?;
        }
        if let Some(into) = stack(from).filter(|into| what.stack && stack(to) != Some(*into)) {
            join_stack(&transaction, (from, to), into, stack(to)).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

/// Albums and shared links that the one is in take the other too.
async fn copy_places(
    transaction: &Transaction<'_>,
    owner: UserId,
    (from, to): (AssetId, AssetId),
    what: Copied,
) -> Result<()> {
    if what.albums {
        let statement = transaction
            .prepare_cached(
                "INSERT INTO album_asset (album_id, asset_id) SELECT album_id, $2 FROM album_asset WHERE asset_id = $1
                 ON CONFLICT DO NOTHING",
            )
            .await?;
        transaction.execute(&statement, &[&from.0, &to.0]).await?;
    }
    if what.shared_links {
        let statement = transaction
            .prepare_cached(
                "INSERT INTO shared_link_asset (link_id, asset_id)
                 SELECT s.link_id, $2 FROM shared_link_asset s JOIN shared_link l ON l.id = s.link_id
                 WHERE s.asset_id = $1 AND l.user_id = $3 ON CONFLICT DO NOTHING",
            )
            .await?;
        transaction.execute(&statement, &[&from.0, &to.0, &owner.0]).await?;
    }
    Ok(())
}

/// `to` comes into the stack `into`, with the whole stack that it has; it is shown where `from` was.
async fn join_stack(
    transaction: &Transaction<'_>,
    (from, to): (AssetId, AssetId),
    into: Uuid,
    old: Option<Uuid>,
) -> Result<()> {
    let statement = transaction.prepare_cached("UPDATE asset SET stack_id = $1 WHERE id = $2 OR stack_id = $3").await?;
    transaction.execute(&statement, &[&into, &to.0, &old]).await?;
    let statement = transaction.prepare_cached("DELETE FROM stack WHERE id = $1").await?;
    transaction.execute(&statement, &[&old]).await?;
    let statement = transaction
        .prepare_cached("UPDATE stack SET primary_asset_id = $3 WHERE id = $1 AND primary_asset_id = $2")
        .await?;
    transaction.execute(&statement, &[&into, &from.0, &to.0]).await?;
    Ok(())
}
