//! What goes into an archive.

use jiff::civil;
use tokio_postgres::Row;
use types::{AlbumId, AssetId, UserId};
use uuid::Uuid;

use crate::albums::uuids;
use crate::{Result, Store};

/// An original, and the moving part of it where that is an asset of its own. Sizes are bytes.
#[derive(Debug, Clone)]
pub struct Part {
    pub asset: AssetId,
    pub size: i64,
    pub moving: Option<(AssetId, i64)>,
}

/// An original as an archive names it.
#[derive(Debug, Clone)]
pub struct Named {
    pub asset: AssetId,
    pub file_name: String,
    pub size: i64,
    pub taken: civil::DateTime,
}

fn part(row: &Row) -> Part {
    let moving: (Option<Uuid>, Option<i64>) = (row.get("moving_id"), row.get("moving_size"));
    Part {
        asset: AssetId(row.get("id")),
        size: row.get("file_size"),
        moving: moving.0.zip(moving.1).map(|(id, size)| (AssetId(id), size)),
    }
}

const PART: &str = "a.id, a.file_size, v.id AS moving_id, v.file_size AS moving_size";
const MOVING: &str =
    "LEFT JOIN asset v ON v.id = a.live_photo_video_id AND v.deleted_at IS NULL AND v.visibility <> 'locked'";

impl Store {
    /// In the order of `assets`; unknown ones are left out.
    pub async fn parts_of(&self, assets: &[AssetId]) -> Result<Vec<Part>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {PART} FROM unnest($1::uuid[]) WITH ORDINALITY wanted(id, at) JOIN asset a USING (id) {MOVING}
             ORDER BY wanted.at"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&uuids(assets)]).await?.iter().map(part).collect())
    }

    /// What an album shows, oldest first.
    pub async fn parts_of_album(&self, album: AlbumId) -> Result<Vec<Part>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {PART} FROM album_asset m JOIN asset a ON a.id = m.asset_id {MOVING}
             WHERE m.album_id = $1 AND a.deleted_at IS NULL AND a.visibility IN ('timeline', 'archive')
             ORDER BY a.local_date_time, a.id"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&album.0]).await?.iter().map(part).collect())
    }

    /// The timeline of this owner, and the archive too if it is theirs who ask; oldest first.
    pub async fn parts_of_user(&self, owner: UserId, with_archive: bool) -> Result<Vec<Part>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {PART} FROM asset a {MOVING} WHERE a.owner_id = $1 AND a.deleted_at IS NULL
               AND (a.visibility = 'timeline' OR a.visibility = 'archive' AND $2) ORDER BY a.local_date_time, a.id"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&owner.0, &with_archive]).await?.iter().map(part).collect())
    }

    /// In the order of `assets`; unknown ones are left out.
    pub async fn names_of(&self, assets: &[AssetId]) -> Result<Vec<Named>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT a.id, a.original_file_name, a.file_size, a.local_date_time
                 FROM unnest($1::uuid[]) WITH ORDINALITY wanted(id, at) JOIN asset a USING (id) ORDER BY wanted.at",
            )
            .await?;
        let rows = client.query(&statement, &[&uuids(assets)]).await?;
        Ok(rows
            .iter()
            .map(|row| Named { asset: AssetId(row.get(0)), file_name: row.get(1), size: row.get(2), taken: row.get(3) })
            .collect())
    }
}
