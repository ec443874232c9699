//! Albums: what they are called, who has them, and what is in them.

mod content;

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use jiff::{Timestamp, civil};
use tokio_postgres::Row;
use types::{AlbumId, AlbumRole, AssetId, UserId};
use uuid::Uuid;

use crate::accounts::{self, USER, User};
use crate::{Result, Store};

pub use content::{Added, Marker};

/// An album as those see it who have it.
#[derive(Debug, Clone)]
pub struct Album {
    pub id: AlbumId,
    pub name: String,
    pub description: String,
    /// One that is shown; `None`: nothing is.
    pub thumbnail: Option<AssetId>,
    pub is_activity_enabled: bool,
    pub oldest_first: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub has_link: bool,
    /// The owner first.
    pub users: Vec<(AlbumRole, User)>,
    /// Those that are shown: not in the trash, not hidden, not locked.
    pub asset_count: i64,
    /// Local times of the oldest and of the newest of them.
    pub span: Option<(civil::DateTime, civil::DateTime)>,
    /// When one of them was last changed.
    pub changed_at: Option<Timestamp>,
}

/// Which albums of a user. `None`: whatever.
#[derive(Debug, Clone, Default)]
pub struct AlbumFilter {
    pub id: Option<AlbumId>,
    /// With this asset in them.
    pub asset: Option<AssetId>,
    pub name: Option<String>,
    pub is_owned: Option<bool>,
    /// Somebody else has them, or a link shows them.
    pub is_shared: Option<bool>,
}

/// An album that somebody makes.
#[derive(Debug, Clone)]
pub struct NewAlbum {
    pub id: AlbumId,
    pub owner: UserId,
    pub name: String,
    pub description: String,
    /// Beside the owner.
    pub users: Vec<(UserId, AlbumRole)>,
    /// The owner's; others are left out.
    pub assets: Vec<AssetId>,
}

/// `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct AlbumChanges {
    pub name: Option<String>,
    pub description: Option<String>,
    pub thumbnail: Option<AssetId>,
    pub is_activity_enabled: Option<bool>,
    pub oldest_first: Option<bool>,
}

/// What of an album is shown: conditions on `asset a`.
const LISTED: &str = "a.deleted_at IS NULL AND a.visibility IN ('timeline', 'archive')";
/// Somebody else has the album `al`, or a link shows it.
const SHARED: &str = "(EXISTS (SELECT FROM album_user s WHERE s.album_id = al.id AND s.role <> 'owner')
    OR EXISTS (SELECT FROM shared_link k WHERE k.album_id = al.id))";
/// The owner of the album `al` is still there.
const OWNED: &str = "EXISTS (SELECT FROM album_user o JOIN app_user ou ON ou.id = o.user_id AND ou.deleted_at IS NULL
    WHERE o.album_id = al.id AND o.role = 'owner')";
const ALBUM: &str =
    "al.id, al.name, al.description, al.is_activity_enabled, al.sort_order, al.created_at, al.updated_at,
    EXISTS (SELECT FROM shared_link k WHERE k.album_id = al.id) AS has_link,
    coalesce((SELECT a.id FROM asset a WHERE a.id = al.thumbnail_asset_id
            AND a.deleted_at IS NULL AND a.visibility IN ('timeline', 'archive')),
        (SELECT a.id FROM album_asset m JOIN asset a ON a.id = m.asset_id
         WHERE m.album_id = al.id AND a.deleted_at IS NULL AND a.visibility IN ('timeline', 'archive')
         ORDER BY a.local_date_time DESC, a.id DESC LIMIT 1)) AS thumbnail,
    coalesce(content.count, 0) AS count, content.first, content.last, content.changed";
/// What the albums of the user $1, or the one of them that is $2, show: added up once for all, since each photo by itself is slow.
const CONTENTS: &str = "(SELECT m.album_id, count(*), min(a.local_date_time) AS first, max(a.local_date_time) AS last,
        max(a.updated_at) AS changed FROM album_user mine JOIN album_asset m ON m.album_id = mine.album_id
        JOIN asset a ON a.id = m.asset_id
    WHERE mine.user_id = $1 AND ($2::uuid IS NULL OR mine.album_id = $2)
      AND a.deleted_at IS NULL AND a.visibility IN ('timeline', 'archive') GROUP BY m.album_id) content";
/// What the album $1 shows.
const CONTENT: &str = "(SELECT $1::uuid AS album_id, count(*), min(a.local_date_time) AS first,
        max(a.local_date_time) AS last, max(a.updated_at) AS changed
    FROM album_asset m JOIN asset a ON a.id = m.asset_id
    WHERE m.album_id = $1 AND a.deleted_at IS NULL AND a.visibility IN ('timeline', 'archive')) content";

fn album(row: &Row) -> Album {
    let (first, last): (Option<civil::DateTime>, Option<civil::DateTime>) = (row.get("first"), row.get("last"));
    Album {
        id: AlbumId(row.get("id")),
        name: row.get("name"),
        description: row.get("description"),
        thumbnail: row.get::<_, Option<Uuid>>("thumbnail").map(AssetId),
        is_activity_enabled: row.get("is_activity_enabled"),
        oldest_first: row.get::<_, &str>("sort_order") == "asc",
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        has_link: row.get("has_link"),
        users: Vec::new(),
        asset_count: row.get("count"),
        span: first.zip(last),
        changed_at: row.get("changed"),
    }
}

/// The schema's CHECK keeps other texts out.
fn role(text: &str) -> AlbumRole {
    text.parse().unwrap_or(AlbumRole::Viewer)
}

pub(crate) fn uuids(ids: &[AssetId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}

impl Store {
    /// The albums that a user has, newest first.
    pub async fn albums(&self, user: UserId, filter: &AlbumFilter) -> Result<Vec<Album>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {ALBUM} FROM album_user me JOIN album al ON al.id = me.album_id
             LEFT JOIN {CONTENTS} ON content.album_id = al.id
             WHERE me.user_id = $1 AND {OWNED} AND ($2::uuid IS NULL OR al.id = $2)
               AND ($3::uuid IS NULL OR EXISTS (SELECT FROM album_asset i WHERE i.album_id = al.id AND i.asset_id = $3))
               AND ($4::text IS NULL OR al.name = $4)
               AND ($5::boolean IS NULL OR (me.role = 'owner') = $5) AND ($6::boolean IS NULL OR {SHARED} = $6)
             ORDER BY al.created_at DESC, al.id DESC"
        );
        let statement = client.prepare_cached(&sql).await?;
        let AlbumFilter { id, asset, name, is_owned, is_shared } = filter;
        let (id, asset) = (id.map(|id| id.0), asset.map(|id| id.0));
        let rows = client.query(&statement, &[&user.0, &id, &asset, name, is_owned, is_shared]).await?;
        drop(client);
        self.with_users(rows.iter().map(album).collect()).await
    }

    pub async fn album(&self, id: AlbumId) -> Result<Option<Album>> {
        let client = self.client().await?;
        let sql = format!("SELECT {ALBUM} FROM album al JOIN {CONTENT} ON true WHERE al.id = $1 AND {OWNED}");
        let statement = client.prepare_cached(&sql).await?;
        let row = client.query_opt(&statement, &[&id.0]).await?;
        drop(client);
        Ok(self.with_users(row.iter().map(album).collect()).await?.pop())
    }

    async fn with_users(&self, mut albums: Vec<Album>) -> Result<Vec<Album>> {
        let ids: Vec<Uuid> = albums.iter().map(|album| album.id.0).collect();
        let client = self.client().await?;
        let sql = format!(
            "SELECT m.album_id, m.role, {USER} FROM album_user m JOIN app_user u ON u.id = m.user_id
             WHERE m.album_id = ANY($1) AND u.deleted_at IS NULL ORDER BY m.role <> 'owner', m.created_at, u.id"
        );
        let statement = client.prepare_cached(&sql).await?;
        let mut users: HashMap<AlbumId, Vec<(AlbumRole, User)>> = HashMap::new();
        for row in client.query(&statement, &[&ids]).await? {
            let user = (role(row.get("role")), accounts::user(&row));
            users.entry(AlbumId(row.get("album_id"))).or_default().push(user);
        }
        for album in &mut albums {
            album.users = users.remove(&album.id).unwrap_or_default();
        }
        Ok(albums)
    }

    /// What this user may do with an album; `None`: nothing, or there is none.
    pub async fn album_role(&self, user: UserId, album: AlbumId) -> Result<Option<AlbumRole>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT me.role FROM album_user me JOIN album al ON al.id = me.album_id
             WHERE me.user_id = $1 AND al.id = $2 AND {OWNED}"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, &[&user.0, &album.0]).await?.map(|row| role(row.get(0))))
    }

    /// Does the owner want the oldest first?
    pub async fn is_oldest_first(&self, album: AlbumId) -> Result<bool> {
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT sort_order = 'asc' FROM album WHERE id = $1").await?;
        Ok(client.query_opt(&statement, &[&album.0]).await?.is_some_and(|row| row.get(0)))
    }

    /// Those who have an album, its owner among them.
    pub async fn album_users(&self, album: AlbumId) -> Result<Vec<UserId>> {
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT user_id FROM album_user WHERE album_id = $1").await?;
        Ok(client.query(&statement, &[&album.0]).await?.iter().map(|row| UserId(row.get(0))).collect())
    }

    pub async fn create_album(&self, new: &NewAlbum) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let assets = content::lock_own(&transaction, new.owner, &new.assets).await?;
        let statement =
            transaction.prepare_cached("INSERT INTO album (id, name, description) VALUES ($1, $2, $3)").await?;
        transaction.execute(&statement, &[&new.id.0, &new.name, &new.description]).await?;
        let mut users = vec![(new.owner, AlbumRole::Owner)];
        users.extend(&new.users);
        add_users(&transaction, new.id, &users).await?;
        content::insert(&transaction, new.id, &assets).await?;
        Ok(transaction.commit().await?)
    }

    /// `false`: the album is gone. A thumbnail that is not in it breaks the constraint `album_thumbnail`.
    pub async fn update_album(&self, id: AlbumId, changes: &AlbumChanges) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE album SET name = coalesce($2, name), description = coalesce($3, description),
                    thumbnail_asset_id = coalesce($4, thumbnail_asset_id),
                    is_activity_enabled = coalesce($5, is_activity_enabled), sort_order = coalesce($6, sort_order)
                 WHERE id = $1",
            )
            .await?;
        let AlbumChanges { name, description, thumbnail, is_activity_enabled, oldest_first } = changes;
        let (thumbnail, order) =
            (thumbnail.map(|id| id.0), oldest_first.map(|first| if first { "asc" } else { "desc" }));
        let changed =
            client.execute(&statement, &[&id.0, name, description, &thumbnail, is_activity_enabled, &order]).await?;
        Ok(changed == 1)
    }

    /// `false`: it was gone.
    pub async fn delete_album(&self, id: AlbumId) -> Result<bool> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM album WHERE id = $1").await?;
        Ok(client.execute(&statement, &[&id.0]).await? == 1)
    }

    /// Albums that a user owns, those that are shared (by or with them), and those of theirs that are not.
    pub async fn count_albums(&self, user: UserId) -> Result<(i64, i64, i64)> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT count(*) FILTER (WHERE a.owned), count(*) FILTER (WHERE a.shared),
                count(*) FILTER (WHERE a.owned AND NOT a.shared)
             FROM (SELECT me.role = 'owner' AS owned, {SHARED} AS shared
                FROM album_user me JOIN album al ON al.id = me.album_id WHERE me.user_id = $1 AND {OWNED}) a"
        );
        let statement = client.prepare_cached(&sql).await?;
        let row = client.query_one(&statement, &[&user.0]).await?;
        Ok((row.get(0), row.get(1), row.get(2)))
    }

    /// Lets users in. One who has the album already breaks the constraint `album_user_pkey`, one who is not there
    /// `album_user_user_id_fkey`. `false`: the album is gone.
    pub async fn add_album_users(&self, album: AlbumId, users: &[(UserId, AlbumRole)]) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        if !lock(&transaction, album).await? {
            return Ok(false);
        }
        add_users(&transaction, album, users).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// `false`: they do not have the album, or own it.
    pub async fn set_album_role(&self, album: AlbumId, user: UserId, role: AlbumRole) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock(&transaction, album).await?;
        let statement = transaction
            .prepare_cached("UPDATE album_user SET role = $3 WHERE album_id = $1 AND user_id = $2 AND role <> 'owner'")
            .await?;
        let changed = transaction.execute(&statement, &[&album.0, &user.0, &role.as_str()]).await?;
        transaction.commit().await?;
        Ok(changed == 1)
    }

    /// `false`: they did not have the album, or own it.
    pub async fn remove_album_user(&self, album: AlbumId, user: UserId) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock(&transaction, album).await?;
        let statement = transaction
            .prepare_cached("DELETE FROM album_user WHERE album_id = $1 AND user_id = $2 AND role <> 'owner'")
            .await?;
        let removed = transaction.execute(&statement, &[&album.0, &user.0]).await?;
        transaction.commit().await?;
        Ok(removed == 1)
    }
}

/// Assets are locked before an album, and an album before those who have it. `false`: it is gone.
async fn lock(transaction: &Transaction<'_>, album: AlbumId) -> Result<bool> {
    let statement = transaction.prepare_cached("SELECT FROM album WHERE id = $1 FOR NO KEY UPDATE").await?;
    Ok(transaction.query_opt(&statement, &[&album.0]).await?.is_some())
}

async fn add_users(transaction: &Transaction<'_>, album: AlbumId, users: &[(UserId, AlbumRole)]) -> Result<()> {
    let ids: Vec<Uuid> = users.iter().map(|(user, _)| user.0).collect();
    let roles: Vec<&str> = users.iter().map(|(_, role)| role.as_str()).collect();
    let statement = transaction
        .prepare_cached(
            "INSERT INTO album_user (album_id, user_id, role)
             SELECT $1, u.id, u.role FROM unnest($2::uuid[], $3::text[]) u(id, role) ORDER BY u.id",
        )
        .await?;
    transaction.execute(&statement, &[&album.0, &ids, &roles]).await?;
    Ok(())
}
