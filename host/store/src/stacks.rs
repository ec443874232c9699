//! Stacks: several takes of one moment, shown as one of them.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use types::{AssetId, StackId, UserId};
use uuid::Uuid;

use crate::{Result, Store};

/// A stack, with what does not lie in the trash; the one that is shown comes first, wherever it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    pub id: StackId,
    pub primary: AssetId,
    pub assets: Vec<AssetId>,
}

/// How taking an asset out of a stack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenOut {
    Done,
    /// There is no such asset in such a stack of this owner.
    Unknown,
    /// It is the one that is shown.
    IsPrimary,
}

const STACKS: &str = "SELECT s.id, s.primary_asset_id, ARRAY(
        SELECT a.id FROM asset a WHERE a.stack_id = s.id AND (a.deleted_at IS NULL OR a.id = s.primary_asset_id)
        ORDER BY a.id <> s.primary_asset_id, a.file_created_at, a.id) AS assets
     FROM stack s";

fn stack(row: &Row) -> Stack {
    let assets: Vec<Uuid> = row.get("assets");
    Stack {
        id: StackId(row.get("id")),
        primary: AssetId(row.get("primary_asset_id")),
        assets: assets.into_iter().map(AssetId).collect(),
    }
}

/// What changes how the assets of an owner belong together (stacks, tags, duplicates) is done one at a time.
pub(crate) async fn lock_things(transaction: &Transaction<'_>, owner: Uuid) -> Result<()> {
    let statement = transaction.prepare_cached("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").await?;
    transaction.execute(&statement, &[&format!("things:{owner}")]).await?;
    Ok(())
}

impl Store {
    /// Stacks assets of this owner; the first is the one that is shown. A stack whose shown asset is among them comes along as a
    /// whole; of another stack that loses an asset nothing is left where it has fewer than two. `None`: not all are this
    /// owner's.
    pub async fn create_stack(&self, owner: UserId, assets: &[AssetId]) -> Result<Option<StackId>> {
        let Some(primary) = assets.first() else { return Ok(None) };
        let ids: HashSet<Uuid> = assets.iter().map(|id| id.0).collect();
        let named: Vec<Uuid> = ids.iter().copied().collect();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_things(&transaction, owner.0).await?;
        let statement = transaction
            .prepare_cached(
                "SELECT id, stack_id FROM asset WHERE owner_id = $1 AND (id = ANY($2)
                    OR stack_id IN (SELECT id FROM stack WHERE owner_id = $1 AND primary_asset_id = ANY($2)))
                 ORDER BY id FOR NO KEY UPDATE",
            )
            .await?;
        let rows = transaction.query(&statement, &[&owner.0, &named]).await?;
        let all: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        let old: Vec<Uuid> = rows.iter().filter_map(|row| row.get(1)).collect();
        if all.iter().filter(|id| ids.contains(id)).count() < ids.len() {
            return Ok(None);
        }
        let statement =
            transaction.prepare_cached("DELETE FROM stack WHERE owner_id = $1 AND primary_asset_id = ANY($2)").await?;
        transaction.execute(&statement, &[&owner.0, &named]).await?;
        let stack = StackId::generate();
        let statement = transaction
            .prepare_cached("INSERT INTO stack (id, owner_id, primary_asset_id) VALUES ($1, $2, $3)")
            .await?;
        transaction.execute(&statement, &[&stack.0, &owner.0, &primary.0]).await?;
        let statement = transaction.prepare_cached("UPDATE asset SET stack_id = $1 WHERE id = ANY($2)").await?;
        transaction.execute(&statement, &[&stack.0, &all]).await?;
        let statement = transaction
            .prepare_cached(
                "DELETE FROM stack s WHERE s.id = ANY($1)
                   AND (SELECT count(*) FROM asset a WHERE a.stack_id = s.id) < 2",
            )
            .await?;
        transaction.execute(&statement, &[&old]).await?;
        transaction.commit().await?;
        Ok(Some(stack))
    }

    /// Stacks of this owner by their ids; those of others are left out.
    pub async fn stacks(&self, owner: UserId, ids: &[StackId]) -> Result<Vec<Stack>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let client = self.client().await?;
        let sql = format!("{STACKS} WHERE s.owner_id = $1 AND s.id = ANY($2) ORDER BY s.id");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&owner.0, &ids]).await?.iter().map(stack).collect())
    }

    /// All stacks of this owner, or the one that shows `primary`.
    pub async fn stacks_of(&self, owner: UserId, primary: Option<AssetId>) -> Result<Vec<Stack>> {
        let client = self.client().await?;
        let sql = format!(
            "{STACKS} WHERE s.owner_id = $1 AND ($2::uuid IS NULL OR s.primary_asset_id = $2)
             ORDER BY s.id"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&owner.0, &primary.map(|id| id.0)]).await?.iter().map(stack).collect())
    }

    /// Another asset of the stack is shown from now on. `false`: it is not in such a stack of this owner.
    pub async fn set_primary(&self, owner: UserId, stack: StackId, primary: AssetId) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_things(&transaction, owner.0).await?;
        // Assets before their stack, as where an asset goes.
        let statement = transaction
            .prepare_cached("SELECT FROM asset WHERE id = $3 AND stack_id = $2 AND owner_id = $1 FOR KEY SHARE")
            .await?;
        if transaction.query_opt(&statement, &[&owner.0, &stack.0, &primary.0]).await?.is_none() {
            return Ok(false);
        }
        let statement = transaction
            .prepare_cached("UPDATE stack SET primary_asset_id = $3 WHERE id = $2 AND owner_id = $1")
            .await?;
        let changed = transaction.execute(&statement, &[&owner.0, &stack.0, &primary.0]).await?;
        transaction.commit().await?;
        Ok(changed == 1)
    }

    /// Its assets stay. `false`: not all are this owner's, and nothing was done.
    pub async fn delete_stacks(&self, owner: UserId, stacks: &[StackId]) -> Result<bool> {
        let ids: HashSet<Uuid> = stacks.iter().map(|id| id.0).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_things(&transaction, owner.0).await?;
        // Assets before their stack, as where an asset goes.
        let statement = transaction
            .prepare_cached(
                "SELECT FROM asset WHERE owner_id = $1 AND stack_id = ANY($2) ORDER BY id FOR NO KEY UPDATE",
            )
            .await?;
        transaction.execute(&statement, &[&owner.0, &ids]).await?;
        let statement = transaction.prepare_cached("DELETE FROM stack WHERE owner_id = $1 AND id = ANY($2)").await?;
        let gone = transaction.execute(&statement, &[&owner.0, &ids]).await?;
        if gone < ids.len() as u64 {
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// The stack stays, also where one asset is left of it: the page reads it again at once (Immich web 3.1).
    pub async fn take_out_of_stack(&self, owner: UserId, stack: StackId, asset: AssetId) -> Result<TakenOut> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_things(&transaction, owner.0).await?;
        let statement = transaction
            .prepare_cached(
                "UPDATE asset a SET stack_id = NULL FROM stack s
                 WHERE a.id = $3 AND a.stack_id = $2 AND s.id = $2 AND s.owner_id = $1 AND s.primary_asset_id <> $3",
            )
            .await?;
        if transaction.execute(&statement, &[&owner.0, &stack.0, &asset.0]).await? == 1 {
            transaction.commit().await?;
            return Ok(TakenOut::Done);
        }
        let statement = transaction
            .prepare_cached("SELECT FROM stack WHERE id = $2 AND owner_id = $1 AND primary_asset_id = $3")
            .await?;
        let is_primary = transaction.query_opt(&statement, &[&owner.0, &stack.0, &asset.0]).await?.is_some();
        Ok(if is_primary { TakenOut::IsPrimary } else { TakenOut::Unknown })
    }
}
