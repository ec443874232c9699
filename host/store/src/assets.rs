//! Photos and videos.

use deadpool_postgres::Transaction;
use jiff::{Timestamp, civil};
use tokio_postgres::Row;
use types::{AssetId, AssetType, DuplicateId, StackId, UserId, Visibility};

use crate::duplicates::set_duplicate;
use crate::exif::{self, Exif};
use crate::faces::mark_stale;
use crate::{Result, Store};

/// An asset as its owner sees it.
#[derive(Debug, Clone)]
pub struct Asset {
    pub id: AssetId,
    pub owner: UserId,
    pub checksum: Vec<u8>,
    pub kind: AssetType,
    pub file_name: String,
    pub location: String,
    pub mime_type: String,
    pub file_size: i64,
    pub file_created_at: Timestamp,
    pub file_modified_at: Timestamp,
    pub local_date_time: civil::DateTime,
    /// The local time that the path of the original was made from.
    pub filed_under: Option<civil::DateTime>,
    pub visibility: Visibility,
    pub is_favorite: bool,
    pub duration_ms: Option<i32>,
    pub live_photo_video: Option<AssetId>,
    pub thumbhash: Option<Vec<u8>>,
    pub width: Option<i32>,
    pub height: Option<i32>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    pub stack: Option<StackId>,
    /// What it shares with those that look the same.
    pub duplicate: Option<DuplicateId>,
    pub is_edited: bool,
    /// `None`: the metadata step has not run yet.
    pub exif: Option<Exif>,
    /// Is there a thumbnail?
    pub resized: bool,
}

/// An object in the storage.
#[derive(Debug, Clone)]
pub struct StoredFile {
    pub owner: UserId,
    pub location: String,
    pub file_name: String,
    pub mime_type: String,
    pub size: i64,
    pub checksum: Vec<u8>,
    pub modified: Timestamp,
    pub asset: AssetId,
    /// The kind of a derivative; `None`: the original.
    pub kind: Option<String>,
    /// Of an asset in the locked folder.
    pub is_locked: bool,
}

/// `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct AssetChanges {
    pub is_favorite: Option<bool>,
    pub visibility: Option<Visibility>,
    pub description: Option<String>,
    /// `Some(None)` takes it away.
    pub rating: Option<Option<i16>>,
    /// `Some(None)`: they are no duplicates.
    pub duplicate: Option<Option<DuplicateId>>,
}

/// What a step could not do.
#[derive(Debug, Clone)]
pub struct AssetError {
    pub step: String,
    pub message: String,
    pub at: Timestamp,
}

fn columns() -> String {
    format!(
        "a.id, a.owner_id, a.checksum, a.type, a.original_file_name, a.original_path, a.mime_type, a.file_size,
         a.file_created_at, a.file_modified_at, a.local_date_time, a.filed_under, a.visibility, a.is_favorite, a.duration_ms,
         a.live_photo_video_id, a.thumbhash, a.width, a.height, a.created_at, a.updated_at, a.deleted_at,
         a.stack_id, a.duplicate_id, a.is_edited, x.asset_id IS NOT NULL AS has_exif, {}",
        exif::COLUMNS
    )
}

fn asset(row: &Row) -> Asset {
    let thumbhash: Option<Vec<u8>> = row.get("thumbhash");
    Asset {
        id: AssetId(row.get("id")),
        owner: UserId(row.get("owner_id")),
        checksum: row.get("checksum"),
        kind: parsed(row.get("type"), AssetType::Other),
        file_name: row.get("original_file_name"),
        location: row.get("original_path"),
        mime_type: row.get("mime_type"),
        file_size: row.get("file_size"),
        file_created_at: row.get("file_created_at"),
        file_modified_at: row.get("file_modified_at"),
        local_date_time: row.get("local_date_time"),
        filed_under: row.get("filed_under"),
        visibility: parsed(row.get("visibility"), Visibility::Timeline),
        is_favorite: row.get("is_favorite"),
        duration_ms: row.get("duration_ms"),
        live_photo_video: row.get::<_, Option<uuid::Uuid>>("live_photo_video_id").map(AssetId),
        resized: thumbhash.is_some(),
        thumbhash,
        width: row.get("width"),
        height: row.get("height"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        deleted_at: row.get("deleted_at"),
        stack: row.get::<_, Option<uuid::Uuid>>("stack_id").map(StackId),
        duplicate: row.get::<_, Option<uuid::Uuid>>("duplicate_id").map(DuplicateId),
        is_edited: row.get("is_edited"),
        exif: row.get::<_, bool>("has_exif").then(|| exif::exif(row)),
    }
}

/// The schema's CHECK keeps other texts out.
fn parsed<T: std::str::FromStr>(text: &str, otherwise: T) -> T {
    text.parse().unwrap_or(otherwise)
}

fn uuids(ids: &[AssetId]) -> Vec<uuid::Uuid> {
    ids.iter().map(|id| id.0).collect()
}

/// Into the trash or out of it, with the videos that belong to photos among them; returns what was moved.
pub(crate) async fn trash(
    transaction: &Transaction<'_>,
    owner: UserId,
    ids: &[uuid::Uuid],
    at: Option<Timestamp>,
) -> Result<Vec<AssetId>> {
    let statement = transaction
        .prepare_cached(
            "UPDATE asset SET deleted_at = $3
             WHERE owner_id = $1 AND (id = ANY($2) OR id IN (SELECT live_photo_video_id FROM asset
                WHERE owner_id = $1 AND id = ANY($2))) AND (deleted_at IS NULL) = ($3::timestamptz IS NOT NULL)
             RETURNING id",
        )
        .await?;
    let rows = transaction.query(&statement, &[&owner.0, &ids, &at]).await?;
    if !rows.is_empty() {
        mark_stale(transaction, owner.0).await?;
    }
    Ok(rows.iter().map(|row| AssetId(row.get(0))).collect())
}

impl Store {
    /// Has this owner these bytes already? Id and whether it lies in the trash, by SHA-1.
    pub async fn assets_by_checksum(
        &self,
        owner: UserId,
        checksums: &[Vec<u8>],
    ) -> Result<Vec<(Vec<u8>, AssetId, bool)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT checksum, id, deleted_at IS NOT NULL FROM asset WHERE owner_id = $1 AND checksum = ANY($2)",
            )
            .await?;
        let rows = client.query(&statement, &[&owner.0, &checksums]).await?;
        Ok(rows.iter().map(|row| (row.get(0), AssetId(row.get(1)), row.get(2))).collect())
    }

    pub async fn asset(&self, id: AssetId) -> Result<Option<Asset>> {
        let client = self.client().await?;
        let sql =
            format!("SELECT {} FROM asset a LEFT JOIN asset_exif x ON x.asset_id = a.id WHERE a.id = $1", columns());
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, &[&id.0]).await?.as_ref().map(asset))
    }

    /// In the order of `ids`; unknown ones are left out.
    pub async fn assets(&self, ids: &[AssetId]) -> Result<Vec<Asset>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {} FROM unnest($1::uuid[]) WITH ORDINALITY wanted(id, at) JOIN asset a USING (id)
             LEFT JOIN asset_exif x ON x.asset_id = a.id ORDER BY wanted.at",
            columns()
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&uuids(ids)]).await?.iter().map(asset).collect())
    }

    /// The original of an asset.
    pub async fn original(&self, id: AssetId) -> Result<Option<StoredFile>> {
        self.stored_file(id, None, "a.original_path, a.file_size FROM asset a WHERE a.id = $1", &[&id.0]).await
    }

    /// `preview`, `thumbnail`, `fullsize` or `encoded-video` of an asset.
    pub async fn derivative(&self, id: AssetId, kind: &str) -> Result<Option<StoredFile>> {
        let from =
            "f.location, f.size FROM asset_file f JOIN asset a ON a.id = f.asset_id WHERE a.id = $1 AND f.kind = $2";
        self.stored_file(id, Some(kind), from, &[&id.0, &kind]).await
    }

    async fn stored_file(
        &self,
        asset: AssetId,
        kind: Option<&str>,
        from: &str,
        parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Option<StoredFile>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT a.owner_id, a.original_file_name, a.mime_type, a.checksum, a.file_modified_at,
                a.visibility = 'locked' AS is_locked, {from}"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, parameters).await?.map(|row| StoredFile {
            owner: UserId(row.get(0)),
            file_name: row.get(1),
            mime_type: row.get(2),
            checksum: row.get(3),
            modified: row.get(4),
            is_locked: row.get(5),
            location: row.get(6),
            size: row.get(7),
            asset,
            kind: kind.map(str::to_owned),
        }))
    }

    /// Changes assets of this owner; returns the ids that were changed. `tell`: pipelines on `asset.updated` hear of it.
    pub async fn update_assets(
        &self,
        owner: UserId,
        ids: &[AssetId],
        changes: &AssetChanges,
        tell: bool,
    ) -> Result<Vec<AssetId>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction
            .prepare_cached(
                "UPDATE asset SET is_favorite = coalesce($3, is_favorite), visibility = coalesce($4, visibility)
                 WHERE owner_id = $1 AND id = ANY($2) RETURNING id",
            )
            .await?;
        let visibility = changes.visibility.map(Visibility::as_str);
        let rows = transaction.query(&statement, &[&owner.0, &uuids(ids), &changes.is_favorite, &visibility]).await?;
        let changed: Vec<uuid::Uuid> = rows.iter().map(|row| row.get(0)).collect();
        if changes.visibility.is_some() {
            // Locked photos count for nobody.
            mark_stale(&transaction, owner.0).await?;
        }
        if changes.description.is_some() || changes.rating.is_some() {
            let statement = transaction
                .prepare_cached(
                    "INSERT INTO asset_exif (asset_id, description, rating)
                     SELECT id, coalesce($2, ''), $4 FROM unnest($1::uuid[]) id
                     ON CONFLICT (asset_id) DO UPDATE SET description = coalesce($2, asset_exif.description),
                        rating = CASE WHEN $3 THEN $4 ELSE asset_exif.rating END",
                )
                .await?;
            let rating = changes.rating.flatten();
            transaction
                .execute(&statement, &[&changed, &changes.description, &changes.rating.is_some(), &rating])
                .await?;
        }
        if let Some(duplicate) = changes.duplicate {
            set_duplicate(&transaction, owner, &changed, duplicate).await?;
        }
        if tell {
            let statement = transaction
                .prepare_cached(
                    "INSERT INTO outbox (asset_id, trigger, is_new) SELECT id, 'asset.updated', false FROM unnest($1::uuid[]) id",
                )
                .await?;
            transaction.execute(&statement, &[&changed]).await?;
        }
        transaction.commit().await?;
        Ok(changed.into_iter().map(AssetId).collect())
    }

    /// Moves assets of this owner, with the videos that belong to photos among them, into the trash or out of it; returns the ids
    /// that were moved.
    pub async fn set_trashed(&self, owner: UserId, ids: &[AssetId], at: Option<Timestamp>) -> Result<Vec<AssetId>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let moved = trash(&transaction, owner, &uuids(ids), at).await?;
        transaction.commit().await?;
        Ok(moved)
    }

    /// What lies in the trash of this owner.
    pub async fn trashed(&self, owner: UserId) -> Result<Vec<AssetId>> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("SELECT id FROM asset WHERE owner_id = $1 AND deleted_at IS NOT NULL").await?;
        Ok(client.query(&statement, &[&owner.0]).await?.iter().map(|row| AssetId(row.get(0))).collect())
    }

    /// Which of these belong to this owner? `locked`: also those in the locked folder.
    pub async fn owned(&self, owner: UserId, ids: &[AssetId], locked: bool) -> Result<Vec<AssetId>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT id FROM asset WHERE owner_id = $1 AND id = ANY($2) AND ($3 OR visibility <> 'locked')",
            )
            .await?;
        let rows = client.query(&statement, &[&owner.0, &uuids(ids), &locked]).await?;
        Ok(rows.iter().map(|row| AssetId(row.get(0))).collect())
    }

    /// Images and videos of this owner.
    pub async fn count_assets(
        &self,
        owner: UserId,
        visibility: Option<Visibility>,
        favorite: Option<bool>,
        trashed: bool,
    ) -> Result<(i64, i64)> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT count(*) FILTER (WHERE type = 'IMAGE'), count(*) FILTER (WHERE type = 'VIDEO') FROM asset
                 WHERE owner_id = $1 AND ($2::text IS NULL AND visibility IN ('timeline', 'archive') OR visibility = $2)
                   AND ($3::boolean IS NULL OR is_favorite = $3) AND (deleted_at IS NOT NULL) = $4",
            )
            .await?;
        let visibility = visibility.map(Visibility::as_str);
        let row = client.query_one(&statement, &[&owner.0, &visibility, &favorite, &trashed]).await?;
        Ok((row.get(0), row.get(1)))
    }

    /// What steps could not do on this asset.
    pub async fn asset_errors(&self, id: AssetId) -> Result<Vec<AssetError>> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("SELECT step, message, at FROM asset_error WHERE asset_id = $1 ORDER BY at").await?;
        let rows = client.query(&statement, &[&id.0]).await?;
        Ok(rows.iter().map(|row| AssetError { step: row.get(0), message: row.get(1), at: row.get(2) }).collect())
    }

    /// Photos, videos and their bytes by user: id, name, photos, videos, bytes, quota.
    pub async fn usage_by_user(&self) -> Result<Vec<(UserId, String, i64, i64, i64, i64, Option<i64>)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT u.id, u.name, count(a.id) FILTER (WHERE a.type = 'IMAGE'),
                    count(a.id) FILTER (WHERE a.type = 'VIDEO' AND a.visibility <> 'hidden'),
                    coalesce(sum(a.file_size) FILTER (WHERE a.type = 'IMAGE'), 0)::bigint,
                    coalesce(sum(a.file_size) FILTER (WHERE a.type = 'VIDEO'), 0)::bigint, u.quota_bytes
                 FROM app_user u LEFT JOIN asset a ON a.owner_id = u.id WHERE u.deleted_at IS NULL
                 GROUP BY u.id ORDER BY u.created_at",
            )
            .await?;
        let rows = client.query(&statement, &[]).await?;
        Ok(rows
            .iter()
            .map(|row| (UserId(row.get(0)), row.get(1), row.get(2), row.get(3), row.get(4), row.get(5), row.get(6)))
            .collect())
    }
}
