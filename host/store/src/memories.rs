//! Memories: photos that are shown again on a day to remember. Most are made by the server: what was taken on this day of
//! earlier years.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use tokio_postgres::Row;
use types::{AssetId, MemoryId, UserId};
use uuid::Uuid;

use crate::stacks::lock_things;
use crate::{Result, Store};

/// A memory, with those of its assets that the timeline shows, in order of when they were taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    pub id: MemoryId,
    pub owner: UserId,
    /// `on_this_day`.
    pub kind: String,
    /// `{"year": …}`.
    pub data: Value,
    pub is_saved: bool,
    pub memory_at: Timestamp,
    pub seen_at: Option<Timestamp>,
    pub show_at: Option<Timestamp>,
    pub hide_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    pub assets: Vec<AssetId>,
}

/// What a memory is made of.
#[derive(Debug, Clone)]
pub struct NewMemory {
    pub kind: String,
    pub data: Value,
    pub is_saved: bool,
    pub memory_at: Timestamp,
    pub seen_at: Option<Timestamp>,
    pub show_at: Option<Timestamp>,
    pub hide_at: Option<Timestamp>,
    pub assets: Vec<AssetId>,
}

/// `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct MemoryChanges {
    pub is_saved: Option<bool>,
    pub memory_at: Option<Timestamp>,
    pub seen_at: Option<Timestamp>,
}

/// The order of memories, by the day they are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MemoryOrder {
    #[default]
    NewestFirst,
    OldestFirst,
    Random,
}

/// Which memories; `None`: whatever.
#[derive(Debug, Clone, Default)]
pub struct MemoryFilter {
    pub id: Option<MemoryId>,
    pub kind: Option<String>,
    pub is_saved: Option<bool>,
    pub is_trashed: bool,
    /// Those that are shown then.
    pub shown_at: Option<Timestamp>,
    /// Not shown yet, as of this instant (`true`), or already (`false`).
    pub is_upcoming: Option<(bool, Timestamp)>,
}

/// Photos in a memory that the server makes.
pub const MOST_REMEMBERED: i64 = 50;

const MEMORIES: &str = "SELECT m.*, ARRAY(
        SELECT a.id FROM memory_asset ma JOIN asset a ON a.id = ma.asset_id
        WHERE ma.memory_id = m.id AND a.deleted_at IS NULL AND a.visibility = 'timeline'
        ORDER BY a.local_date_time, a.id) AS assets
     FROM memory m";

/// $1 to $8. One that the server made and of which no photo is left is not there.
const FILTERED: &str = "m.owner_id = $1 AND ($2::uuid IS NULL OR m.id = $2) AND ($3::text IS NULL OR m.type = $3)
    AND ($4::boolean IS NULL OR m.is_saved = $4) AND (m.deleted_at IS NOT NULL) = $5::boolean
    AND ($6::timestamptz IS NULL OR coalesce(m.show_at <= $6, true) AND coalesce(m.hide_at >= $6, true))
    AND ($7::boolean IS NULL OR coalesce(m.show_at > $8::timestamptz, false) = $7)
    AND (NOT EXISTS (SELECT FROM memory_made d WHERE d.memory_id = m.id)
        OR EXISTS (SELECT FROM memory_asset ma JOIN asset a ON a.id = ma.asset_id
            WHERE ma.memory_id = m.id AND a.deleted_at IS NULL AND a.visibility = 'timeline'))";

fn memory(row: &Row) -> Memory {
    let assets: Vec<Uuid> = row.get("assets");
    Memory {
        id: MemoryId(row.get("id")),
        owner: UserId(row.get("owner_id")),
        kind: row.get("type"),
        data: row.get("data"),
        is_saved: row.get("is_saved"),
        memory_at: row.get("memory_at"),
        seen_at: row.get("seen_at"),
        show_at: row.get("show_at"),
        hide_at: row.get("hide_at"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        deleted_at: row.get("deleted_at"),
        assets: assets.into_iter().map(AssetId).collect(),
    }
}

impl Store {
    /// `limit` `None`: all from `offset` on.
    pub async fn memories(
        &self,
        owner: UserId,
        filter: &MemoryFilter,
        order: MemoryOrder,
        (offset, limit): (i64, Option<i64>),
    ) -> Result<Vec<Memory>> {
        let (upcoming, now) = filter.is_upcoming.unzip();
        let (id, is_random) = (filter.id.map(|id| id.0), order == MemoryOrder::Random);
        let client = self.client().await?;
        let sql = format!(
            "{MEMORIES} WHERE {FILTERED} ORDER BY CASE WHEN $9 THEN random() END,
                CASE WHEN $10 THEN m.memory_at END, m.memory_at DESC, m.id OFFSET $11 LIMIT $12"
        );
        let statement = client.prepare_cached(&sql).await?;
        let rows = client
            .query(
                &statement,
                &[
                    &owner.0,
                    &id,
                    &filter.kind,
                    &filter.is_saved,
                    &filter.is_trashed,
                    &filter.shown_at,
                    &upcoming,
                    &now,
                    &is_random,
                    &(order == MemoryOrder::OldestFirst),
                    &offset,
                    &limit,
                ],
            )
            .await?;
        Ok(rows.iter().map(memory).collect())
    }

    pub async fn count_memories(&self, owner: UserId, filter: &MemoryFilter) -> Result<i64> {
        let (upcoming, now) = filter.is_upcoming.unzip();
        let client = self.client().await?;
        let sql = format!("SELECT count(*) FROM memory m WHERE {FILTERED}");
        let statement = client.prepare_cached(&sql).await?;
        let row = client
            .query_one(
                &statement,
                &[
                    &owner.0,
                    &filter.id.map(|id| id.0),
                    &filter.kind,
                    &filter.is_saved,
                    &filter.is_trashed,
                    &filter.shown_at,
                    &upcoming,
                    &now,
                ],
            )
            .await?;
        Ok(row.get(0))
    }

    /// A memory of this owner.
    pub async fn memory(&self, owner: UserId, id: MemoryId) -> Result<Option<Memory>> {
        let client = self.client().await?;
        let sql = format!("{MEMORIES} WHERE m.id = $2 AND m.owner_id = $1");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, &[&owner.0, &id.0]).await?.as_ref().map(memory))
    }

    /// A memory that its owner makes. What of its assets is another's is left out.
    pub async fn create_memory(&self, owner: UserId, new: &NewMemory) -> Result<MemoryId> {
        let id = MemoryId::generate();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction
            .prepare_cached(
                "INSERT INTO memory (id, owner_id, type, data, is_saved, memory_at, seen_at, show_at, hide_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .await?;
        let NewMemory { kind, data, is_saved, memory_at, seen_at, show_at, hide_at, assets } = new;
        transaction
            .execute(&statement, &[&id.0, &owner.0, kind, data, is_saved, memory_at, seen_at, show_at, hide_at])
            .await?;
        remember(&transaction, owner, id, assets).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// `false`: there is no such memory of this owner.
    pub async fn update_memory(&self, owner: UserId, id: MemoryId, changes: &MemoryChanges) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE memory SET is_saved = coalesce($3, is_saved), memory_at = coalesce($4, memory_at),
                    seen_at = coalesce($5, seen_at)
                 WHERE id = $2 AND owner_id = $1",
            )
            .await?;
        let MemoryChanges { is_saved, memory_at, seen_at } = changes;
        Ok(client.execute(&statement, &[&owner.0, &id.0, is_saved, memory_at, seen_at]).await? == 1)
    }

    /// Its assets stay. `false`: there is no such memory of this owner.
    pub async fn delete_memory(&self, owner: UserId, id: MemoryId) -> Result<bool> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM memory WHERE id = $2 AND owner_id = $1").await?;
        Ok(client.execute(&statement, &[&owner.0, &id.0]).await? == 1)
    }

    /// Puts assets of this owner into a memory of theirs; returns those that were not in it. `None`: there is no such memory.
    pub async fn add_to_memory(
        &self,
        owner: UserId,
        id: MemoryId,
        assets: &[AssetId],
    ) -> Result<Option<HashSet<AssetId>>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        if !touch(&transaction, owner, id).await? {
            return Ok(None);
        }
        let added = remember(&transaction, owner, id, assets).await?;
        transaction.commit().await?;
        Ok(Some(added))
    }

    /// Takes assets out of a memory; returns those that were in it. `None`: there is no such memory of this owner.
    pub async fn take_from_memory(
        &self,
        owner: UserId,
        id: MemoryId,
        assets: &[AssetId],
    ) -> Result<Option<HashSet<AssetId>>> {
        let assets: Vec<Uuid> = assets.iter().map(|id| id.0).collect();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        if !touch(&transaction, owner, id).await? {
            return Ok(None);
        }
        let statement = transaction
            .prepare_cached("DELETE FROM memory_asset WHERE memory_id = $1 AND asset_id = ANY($2) RETURNING asset_id")
            .await?;
        let gone = transaction.query(&statement, &[&id.0, &assets]).await?;
        transaction.commit().await?;
        Ok(Some(gone.iter().map(|row| AssetId(row.get(0))).collect()))
    }

    /// Makes what this owner is to remember on `day`: a memory for each earlier year with photos of that day, unless there was
    /// one before. Returns how many.
    pub async fn make_memories(&self, owner: UserId, day: Date) -> Result<usize> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_things(&transaction, owner.0).await?;
        let statement = transaction
            .prepare_cached(
                "WITH found AS (
                    SELECT id, extract(year FROM local_date_time)::integer AS year, row_number() OVER (
                        PARTITION BY extract(year FROM local_date_time) ORDER BY is_favorite DESC, local_date_time, id) AS n
                    FROM asset WHERE owner_id = $1 AND deleted_at IS NULL AND visibility = 'timeline'
                      AND extract(month FROM local_date_time) * 100 + extract(day FROM local_date_time)
                        = extract(month FROM $2::date) * 100 + extract(day FROM $2::date)
                      AND local_date_time < $2::date AND thumbhash IS NOT NULL),
                 made AS (
                    INSERT INTO memory (id, owner_id, type, data, memory_at, show_at, hide_at)
                    SELECT uuidv7(), $1, 'on_this_day', jsonb_build_object('year', year),
                        make_date(year, extract(month FROM $2::date)::integer, extract(day FROM $2::date)::integer)::timestamp
                            AT TIME ZONE 'UTC',
                        $2::date::timestamp AT TIME ZONE 'UTC',
                        ($2::date + interval '1 day' - interval '1 millisecond') AT TIME ZONE 'UTC'
                    FROM (SELECT DISTINCT year FROM found) years WHERE NOT EXISTS (
                        SELECT FROM memory_made d WHERE d.owner_id = $1 AND d.day = $2 AND d.year = years.year)
                    RETURNING id, (data ->> 'year')::integer AS year),
                 noted AS (
                    INSERT INTO memory_made (owner_id, day, year, memory_id) SELECT $1, $2, year, id FROM made)
                 INSERT INTO memory_asset (memory_id, asset_id)
                 SELECT made.id, found.id FROM made JOIN found USING (year) WHERE found.n <= $3 RETURNING memory_id",
            )
            .await?;
        let rows = transaction.query(&statement, &[&owner.0, &day, &MOST_REMEMBERED]).await?;
        transaction.commit().await?;
        Ok(rows.iter().map(|row| row.get::<_, Uuid>(0)).collect::<HashSet<_>>().len())
    }

    /// A photo that came later joins the memory of its year that was made for `day`. `false`: it does not, because it is there,
    /// or its owner deleted the memory, or there are enough.
    pub async fn join_memory(&self, asset: AssetId, day: Date) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO memory_asset (memory_id, asset_id)
                 SELECT d.memory_id, a.id FROM asset a JOIN memory_made d ON d.owner_id = a.owner_id AND d.day = $2
                    AND d.year = extract(year FROM a.local_date_time)
                 WHERE a.id = $1 AND d.memory_id IS NOT NULL AND a.deleted_at IS NULL AND a.visibility = 'timeline'
                   AND (SELECT count(*) FROM memory_asset o WHERE o.memory_id = d.memory_id) < $3
                 ON CONFLICT DO NOTHING",
            )
            .await?;
        Ok(client.execute(&statement, &[&asset.0, &day, &MOST_REMEMBERED]).await? == 1)
    }

    /// Everybody who may have something to remember.
    pub async fn who_remembers(&self) -> Result<Vec<UserId>> {
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT id FROM app_user WHERE deleted_at IS NULL ORDER BY id").await?;
        Ok(client.query(&statement, &[]).await?.iter().map(|row| UserId(row.get(0))).collect())
    }

    /// Memories that the server made, that were not saved and whose time was over before `then` go. Returns how many.
    pub async fn forget_memories(&self, then: Timestamp) -> Result<u64> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "DELETE FROM memory m WHERE NOT m.is_saved AND m.hide_at < $1
                   AND EXISTS (SELECT FROM memory_made d WHERE d.memory_id = m.id)",
            )
            .await?;
        let gone = client.execute(&statement, &[&then]).await?;
        let statement = client
            .prepare_cached("DELETE FROM memory_made WHERE memory_id IS NULL AND day < ($1 AT TIME ZONE 'UTC')::date")
            .await?;
        client.execute(&statement, &[&then]).await?;
        Ok(gone)
    }
}

/// The memory changes with what is in it. `false`: there is no such memory of this owner.
async fn touch(transaction: &Transaction<'_>, owner: UserId, id: MemoryId) -> Result<bool> {
    let statement = transaction
        .prepare_cached("UPDATE memory SET updated_at = clock_timestamp() WHERE id = $2 AND owner_id = $1")
        .await?;
    Ok(transaction.execute(&statement, &[&owner.0, &id.0]).await? == 1)
}

/// Assets of this owner; returns those that were not in it.
async fn remember(
    transaction: &Transaction<'_>,
    owner: UserId,
    id: MemoryId,
    assets: &[AssetId],
) -> Result<HashSet<AssetId>> {
    let assets: Vec<Uuid> = assets.iter().map(|id| id.0).collect();
    let statement = transaction
        .prepare_cached(
            "INSERT INTO memory_asset (memory_id, asset_id) SELECT $1, id FROM asset
             WHERE owner_id = $2 AND id = ANY($3) ORDER BY id ON CONFLICT DO NOTHING RETURNING asset_id",
        )
        .await?;
    let rows = transaction.query(&statement, &[&id.0, &owner.0, &assets]).await?;
    Ok(rows.iter().map(|row| AssetId(row.get(0))).collect())
}
