//! What people say about an album, and about assets in it.

use jiff::Timestamp;
use tokio_postgres::Row;
use types::{ActivityId, AlbumId, AssetId, UserId};
use uuid::Uuid;

use crate::accounts::{self, USER, User};
use crate::{Result, Store};

/// A comment or a like.
#[derive(Debug, Clone)]
pub struct Activity {
    pub id: ActivityId,
    pub user: User,
    pub album: AlbumId,
    /// `None`: it is about the album.
    pub asset: Option<AssetId>,
    /// `None`: a like.
    pub comment: Option<String>,
    pub created_at: Timestamp,
}

/// What is asked for of an album.
#[derive(Debug, Clone)]
pub struct ActivityFilter {
    pub album: AlbumId,
    /// `Some(None)`: only what is about the album itself.
    pub asset: Option<Option<AssetId>>,
    /// Only what is about some asset.
    pub about_assets: bool,
    pub user: Option<UserId>,
    /// Only comments, or only likes.
    pub is_comment: Option<bool>,
}

const ACTIVITY: &str = "c.id AS activity_id, c.album_id, c.asset_id, c.comment, c.created_at AS said_at";

fn activity(row: &Row) -> Activity {
    Activity {
        id: ActivityId(row.get("activity_id")),
        user: accounts::user(row),
        album: AlbumId(row.get("album_id")),
        asset: row.get::<_, Option<Uuid>>("asset_id").map(AssetId),
        comment: row.get("comment"),
        created_at: row.get("said_at"),
    }
}

impl Store {
    /// Oldest first; without what is about assets that lie in the trash.
    pub async fn activities(&self, filter: &ActivityFilter) -> Result<Vec<Activity>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {ACTIVITY}, {USER} FROM activity c JOIN app_user u ON u.id = c.user_id
             WHERE c.album_id = $1 AND u.deleted_at IS NULL
               AND ($2::uuid IS NULL OR c.asset_id = $2) AND (NOT $3 OR c.asset_id IS NULL)
               AND (NOT $4 OR c.asset_id IS NOT NULL) AND ($5::uuid IS NULL OR c.user_id = $5)
               AND ($6::boolean IS NULL OR (c.comment IS NOT NULL) = $6)
               AND (c.asset_id IS NULL OR EXISTS (SELECT FROM asset a WHERE a.id = c.asset_id AND a.deleted_at IS NULL))
             ORDER BY c.created_at, c.id"
        );
        let statement = client.prepare_cached(&sql).await?;
        let asset = filter.asset.flatten().map(|id| id.0);
        let of_album = filter.asset == Some(None);
        let user = filter.user.map(|id| id.0);
        let rows = client
            .query(&statement, &[&filter.album.0, &asset, &of_album, &filter.about_assets, &user, &filter.is_comment])
            .await?;
        Ok(rows.iter().map(activity).collect())
    }

    pub async fn activity(&self, id: ActivityId) -> Result<Option<Activity>> {
        let client = self.client().await?;
        let sql =
            format!("SELECT {ACTIVITY}, {USER} FROM activity c JOIN app_user u ON u.id = c.user_id WHERE c.id = $1");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, &[&id.0]).await?.as_ref().map(activity))
    }

    /// `false`: this like was there. An asset that is not in the album breaks the constraint
    /// `activity_album_id_asset_id_fkey`, an album that is gone `activity_album_id_fkey`.
    pub async fn insert_activity(
        &self,
        id: ActivityId,
        (album, asset): (AlbumId, Option<AssetId>),
        user: UserId,
        comment: Option<&str>,
    ) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO activity (id, album_id, asset_id, user_id, comment) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (album_id, asset_id, user_id) WHERE comment IS NULL DO NOTHING",
            )
            .await?;
        let asset = asset.map(|id| id.0);
        Ok(client.execute(&statement, &[&id.0, &album.0, &asset, &user.0, &comment]).await? == 1)
    }

    pub async fn delete_activity(&self, id: ActivityId) -> Result<bool> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM activity WHERE id = $1").await?;
        Ok(client.execute(&statement, &[&id.0]).await? == 1)
    }

    /// Comments and likes of an album, or of one asset in it.
    pub async fn count_activities(&self, album: AlbumId, asset: Option<AssetId>) -> Result<(i64, i64)> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT count(c.comment), count(*) - count(c.comment) FROM activity c
                 JOIN app_user u ON u.id = c.user_id AND u.deleted_at IS NULL
                 WHERE c.album_id = $1 AND ($2::uuid IS NULL OR c.asset_id = $2)
                   AND (c.asset_id IS NULL OR EXISTS (SELECT FROM asset a WHERE a.id = c.asset_id AND a.deleted_at IS NULL))",
            )
            .await?;
        let row = client.query_one(&statement, &[&album.0, &asset.map(|id| id.0)]).await?;
        Ok((row.get(0), row.get(1)))
    }
}
