//! Shared links: addresses that show an album or some assets to whoever has them.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use tokio_postgres::Row;
use types::{AlbumId, AssetId, LinkId, UserId};
use uuid::Uuid;

use crate::accounts::{self, USER, User};
use crate::albums::uuids;
use crate::{Result, Store};

/// A link.
#[derive(Debug, Clone)]
pub struct Link {
    pub id: LinkId,
    pub owner: UserId,
    pub key: Vec<u8>,
    /// What the owner wants to read instead of the key.
    pub slug: Option<String>,
    /// `None`: it shows assets one by one.
    pub album: Option<AlbumId>,
    pub description: Option<String>,
    pub password: Option<String>,
    pub expires_at: Option<Timestamp>,
    pub allow_upload: bool,
    pub allow_download: bool,
    pub show_metadata: bool,
    pub created_at: Timestamp,
}

/// `None` leaves a field as it is; `Some(None)` takes it away.
#[derive(Debug, Clone, Default)]
pub struct LinkChanges {
    pub slug: Option<Option<String>>,
    pub description: Option<Option<String>>,
    pub password: Option<Option<String>>,
    pub expires_at: Option<Option<Timestamp>>,
    pub allow_upload: Option<bool>,
    pub allow_download: Option<bool>,
    pub show_metadata: Option<bool>,
}

/// By what somebody comes.
#[derive(Debug, Clone, Copy)]
pub enum Way<'a> {
    Key(&'a [u8]),
    Slug(&'a str),
}

const LINK: &str = "l.id AS link_id, l.user_id, l.key, l.slug, l.album_id, l.description, l.password,
    l.expires_at AS link_expires_at, l.allow_upload, l.allow_download, l.show_metadata, l.created_at AS link_created_at";

fn link(row: &Row) -> Link {
    Link {
        id: LinkId(row.get("link_id")),
        owner: UserId(row.get("user_id")),
        key: row.get("key"),
        slug: row.get("slug"),
        album: row.get::<_, Option<Uuid>>("album_id").map(AlbumId),
        description: row.get("description"),
        password: row.get("password"),
        expires_at: row.get("link_expires_at"),
        allow_upload: row.get("allow_upload"),
        allow_download: row.get("allow_download"),
        show_metadata: row.get("show_metadata"),
        created_at: row.get("link_created_at"),
    }
}

impl Store {
    /// The link behind a key or slug, expired or not, and its owner.
    pub async fn link_by(&self, way: Way<'_>) -> Result<Option<(Link, User)>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {LINK}, {USER} FROM shared_link l JOIN app_user u ON u.id = l.user_id
             WHERE (l.key = $1 OR l.slug = $2) AND u.deleted_at IS NULL"
        );
        let statement = client.prepare_cached(&sql).await?;
        let (key, slug) = match way {
            Way::Key(key) => (Some(key), None),
            Way::Slug(slug) => (None, Some(slug)),
        };
        let row = client.query_opt(&statement, &[&key, &slug]).await?;
        Ok(row.map(|row| (link(&row), accounts::user(&row))))
    }

    /// Links of this user, newest first. `None`: whichever.
    pub async fn links(&self, owner: UserId, id: Option<LinkId>, album: Option<AlbumId>) -> Result<Vec<Link>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {LINK} FROM shared_link l
             WHERE l.user_id = $1 AND ($2::uuid IS NULL OR l.id = $2) AND ($3::uuid IS NULL OR l.album_id = $3)
             ORDER BY l.created_at DESC, l.id DESC"
        );
        let statement = client.prepare_cached(&sql).await?;
        let (id, album) = (id.map(|id| id.0), album.map(|id| id.0));
        Ok(client.query(&statement, &[&owner.0, &id, &album]).await?.iter().map(link).collect())
    }

    /// What links show one by one, oldest first, without what lies in the trash or behind the PIN.
    pub async fn link_assets(&self, links: &[LinkId]) -> Result<HashMap<LinkId, Vec<AssetId>>> {
        let ids: Vec<Uuid> = links.iter().map(|id| id.0).collect();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT s.link_id, a.id FROM shared_link_asset s JOIN asset a ON a.id = s.asset_id
                 WHERE s.link_id = ANY($1) AND a.deleted_at IS NULL AND a.visibility <> 'locked'
                 ORDER BY a.local_date_time, a.id",
            )
            .await?;
        let mut found: HashMap<LinkId, Vec<AssetId>> = HashMap::new();
        for row in client.query(&statement, &[&ids]).await? {
            found.entry(LinkId(row.get(0))).or_default().push(AssetId(row.get(1)));
        }
        Ok(found)
    }

    /// A slug that is taken breaks the constraint `shared_link_slug_key`; an album that is gone, `shared_link_album_id_fkey`.
    pub async fn insert_link(&self, link: &Link, assets: &[AssetId]) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction
            .prepare_cached(
                "INSERT INTO shared_link (id, user_id, key, slug, type, album_id, description, password, expires_at,
                    allow_upload, allow_download, show_metadata, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            )
            .await?;
        let kind = if link.album.is_some() { "ALBUM" } else { "INDIVIDUAL" };
        transaction
            .execute(
                &statement,
                &[
                    &link.id.0,
                    &link.owner.0,
                    &link.key,
                    &link.slug,
                    &kind,
                    &link.album.map(|id| id.0),
                    &link.description,
                    &link.password,
                    &link.expires_at,
                    &link.allow_upload,
                    &link.allow_download,
                    &link.show_metadata,
                    &link.created_at,
                ],
            )
            .await?;
        let statement = transaction.prepare_cached(ADD_ASSETS).await?;
        transaction.execute(&statement, &[&link.id.0, &uuids(assets)]).await?;
        Ok(transaction.commit().await?)
    }

    /// `None`: there is no such link of this user. Without metadata there is no download: an original has all of it.
    pub async fn update_link(&self, owner: UserId, id: LinkId, changes: &LinkChanges) -> Result<Option<Link>> {
        let client = self.client().await?;
        let sql = format!(
            "UPDATE shared_link l SET
                slug = CASE WHEN $3 THEN $4 ELSE slug END,
                description = CASE WHEN $5 THEN $6 ELSE description END,
                password = CASE WHEN $7 THEN $8 ELSE password END,
                expires_at = CASE WHEN $9 THEN $10 ELSE expires_at END,
                allow_upload = coalesce($11, allow_upload),
                allow_download = coalesce($12, allow_download) AND coalesce($13, show_metadata),
                show_metadata = coalesce($13, show_metadata)
             WHERE l.user_id = $1 AND l.id = $2 RETURNING {LINK}"
        );
        let statement = client.prepare_cached(&sql).await?;
        let LinkChanges { slug, description, password, expires_at, .. } = changes;
        let row = client
            .query_opt(
                &statement,
                &[
                    &owner.0,
                    &id.0,
                    &slug.is_some(),
                    &slug.as_ref().and_then(Option::as_ref),
                    &description.is_some(),
                    &description.as_ref().and_then(Option::as_ref),
                    &password.is_some(),
                    &password.as_ref().and_then(Option::as_ref),
                    &expires_at.is_some(),
                    &expires_at.flatten(),
                    &changes.allow_upload,
                    &changes.allow_download,
                    &changes.show_metadata,
                ],
            )
            .await?;
        Ok(row.as_ref().map(link))
    }

    /// `false`: there is no such link of this user.
    pub async fn delete_link(&self, owner: UserId, id: LinkId) -> Result<bool> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM shared_link WHERE user_id = $1 AND id = $2").await?;
        Ok(client.execute(&statement, &[&owner.0, &id.0]).await? == 1)
    }

    /// Shows assets of its owner by a link too; returns those that it did not show before.
    pub async fn add_link_assets(&self, link: LinkId, assets: &[AssetId]) -> Result<HashSet<AssetId>> {
        let client = self.client().await?;
        let statement = client.prepare_cached(ADD_ASSETS).await?;
        let rows = client.query(&statement, &[&link.0, &uuids(assets)]).await?;
        Ok(rows.iter().map(|row| AssetId(row.get(0))).collect())
    }

    /// Returns those that the link showed.
    pub async fn remove_link_assets(&self, link: LinkId, assets: &[AssetId]) -> Result<HashSet<AssetId>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "DELETE FROM shared_link_asset WHERE link_id = $1 AND asset_id = ANY($2) RETURNING asset_id",
            )
            .await?;
        let rows = client.query(&statement, &[&link.0, &uuids(assets)]).await?;
        Ok(rows.iter().map(|row| AssetId(row.get(0))).collect())
    }
}

/// Only what belongs to the owner of the link, and does not lie behind the PIN.
const ADD_ASSETS: &str = "INSERT INTO shared_link_asset (link_id, asset_id)
    SELECT l.id, a.id FROM shared_link l JOIN asset a ON a.owner_id = l.user_id
    WHERE l.id = $1 AND a.id = ANY($2) AND a.visibility <> 'locked' ORDER BY a.id
    ON CONFLICT (link_id, asset_id) DO NOTHING RETURNING asset_id";
