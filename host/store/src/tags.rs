//! Tags: words in a tree, and the assets that have them. A tag's value is its whole path, "a/b/c".

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use tokio_postgres::Row;
use types::{AssetId, TagId, UserId};
use uuid::Uuid;

use crate::stacks::lock_things;
use crate::{Result, Store};

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub id: TagId,
    /// The whole path.
    pub value: String,
    pub parent: Option<TagId>,
    /// `#rrggbb`.
    pub color: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Tag {
    /// The last part of its path.
    pub fn name(&self) -> &str {
        self.value.rsplit('/').next().unwrap_or(&self.value)
    }
}

/// `None` leaves a field as it is; `Some(None)` takes it away.
#[derive(Debug, Clone, Default)]
pub struct TagChanges {
    pub name: Option<String>,
    pub color: Option<Option<String>>,
}

const COLUMNS: &str = "t.id, t.value, t.parent_id, t.color, t.created_at, t.updated_at";

fn tag(row: &Row) -> Tag {
    Tag {
        id: TagId(row.get("id")),
        value: row.get("value"),
        parent: row.get::<_, Option<Uuid>>("parent_id").map(TagId),
        color: row.get("color"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}

impl Store {
    /// All tags of this owner, by value.
    pub async fn tags(&self, owner: UserId) -> Result<Vec<Tag>> {
        let client = self.client().await?;
        let sql = format!("SELECT {COLUMNS} FROM tag t WHERE t.owner_id = $1 ORDER BY t.value");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&owner.0]).await?.iter().map(tag).collect())
    }

    pub async fn tag(&self, owner: UserId, id: TagId) -> Result<Option<Tag>> {
        let client = self.client().await?;
        let sql = format!("SELECT {COLUMNS} FROM tag t WHERE t.id = $2 AND t.owner_id = $1");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, &[&owner.0, &id.0]).await?.as_ref().map(tag))
    }

    /// A new tag below `parent`. `None`: there is one of this name already, or the parent is gone.
    pub async fn create_tag(
        &self,
        owner: UserId,
        name: &str,
        parent: Option<TagId>,
        color: Option<&str>,
    ) -> Result<Option<Tag>> {
        let client = self.client().await?;
        let sql = format!(
            "INSERT INTO tag AS t (id, owner_id, value, parent_id, color)
             SELECT $1, $2, coalesce(p.value || '/', '') || $3::text, p.id, $5
             FROM (SELECT) one LEFT JOIN tag p ON p.id = $4 AND p.owner_id = $2
             WHERE ($4::uuid IS NULL OR p.id IS NOT NULL)
             ON CONFLICT (owner_id, value) DO NOTHING RETURNING {COLUMNS}"
        );
        let statement = client.prepare_cached(&sql).await?;
        let parent = parent.map(|id| id.0);
        let row = client.query_opt(&statement, &[&TagId::generate().0, &owner.0, &name, &parent, &color]).await?;
        Ok(row.as_ref().map(tag))
    }

    /// The tags of these values, created with all above them where they are new; in the order given.
    pub async fn upsert_tags(&self, owner: UserId, values: &[String]) -> Result<Vec<Tag>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_things(&transaction, owner.0).await?;
        let statement = transaction
            .prepare_cached(
                "INSERT INTO tag (id, owner_id, value, parent_id)
                 SELECT n.id, $1, n.value, p.id FROM unnest($2::uuid[], $3::text[], $4::text[]) n(id, value, parent)
                 LEFT JOIN tag p ON p.owner_id = $1 AND p.value = n.parent
                 ON CONFLICT (owner_id, value) DO NOTHING",
            )
            .await?;
        for paths in by_depth(values).values() {
            let ids: Vec<Uuid> = paths.iter().map(|_| TagId::generate().0).collect();
            let parents: Vec<Option<&str>> = paths.iter().map(|path| Some(path.rsplit_once('/')?.0)).collect();
            transaction.execute(&statement, &[&owner.0, &ids, paths, &parents]).await?;
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM unnest($2::text[]) WITH ORDINALITY wanted(value, at)
             JOIN tag t ON t.owner_id = $1 AND t.value = wanted.value ORDER BY wanted.at"
        );
        let statement = transaction.prepare_cached(&sql).await?;
        let tags = transaction.query(&statement, &[&owner.0, &values]).await?.iter().map(tag).collect();
        transaction.commit().await?;
        Ok(tags)
    }

    /// Changes a tag; a new name is also in the values of all below it. `None`: it is gone.
    ///
    /// # Errors
    /// The constraint [`SAME_VALUE`] where there is one of that name already.
    pub async fn update_tag(&self, owner: UserId, id: TagId, changes: &TagChanges) -> Result<Option<Tag>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_things(&transaction, owner.0).await?;
        if let Some(name) = &changes.name {
            let statement = transaction
                .prepare_cached(
                    "UPDATE tag t SET value = regexp_replace(r.value, '[^/]*$', '') || $3::text
                        || substr(t.value, length(r.value) + 1)
                     FROM tag r WHERE r.id = $2 AND r.owner_id = $1 AND t.owner_id = $1
                       AND (t.id = r.id OR starts_with(t.value, r.value || '/'))",
                )
                .await?;
            transaction.execute(&statement, &[&owner.0, &id.0, name]).await?;
        }
        let sql = format!(
            "UPDATE tag t SET color = CASE WHEN $3 THEN $4 ELSE color END
             WHERE t.id = $2 AND t.owner_id = $1 RETURNING {COLUMNS}"
        );
        let statement = transaction.prepare_cached(&sql).await?;
        let color = changes.color.clone().flatten();
        let row = transaction.query_opt(&statement, &[&owner.0, &id.0, &changes.color.is_some(), &color]).await?;
        transaction.commit().await?;
        Ok(row.as_ref().map(tag))
    }

    /// With all below it. `false`: there is no such tag of this owner.
    pub async fn delete_tag(&self, owner: UserId, id: TagId) -> Result<bool> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM tag WHERE id = $2 AND owner_id = $1").await?;
        Ok(client.execute(&statement, &[&owner.0, &id.0]).await? == 1)
    }

    /// Gives these tags to these assets, both of this owner; what is another's is left out. Returns the pairs that are new.
    pub async fn tag_assets(&self, owner: UserId, tags: &[TagId], assets: &[AssetId]) -> Result<Vec<(TagId, AssetId)>> {
        let tags: Vec<Uuid> = tags.iter().map(|id| id.0).collect();
        let assets: Vec<Uuid> = assets.iter().map(|id| id.0).collect();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO tag_asset (tag_id, asset_id) SELECT t.id, a.id FROM tag t, asset a
                 WHERE t.owner_id = $1 AND t.id = ANY($2) AND a.owner_id = $1 AND a.id = ANY($3)
                 ORDER BY t.id, a.id ON CONFLICT DO NOTHING RETURNING tag_id, asset_id",
            )
            .await?;
        let rows = client.query(&statement, &[&owner.0, &tags, &assets]).await?;
        Ok(rows.iter().map(|row| (TagId(row.get(0)), AssetId(row.get(1)))).collect())
    }

    /// Returns the assets that had it.
    pub async fn untag_assets(&self, owner: UserId, tag: TagId, assets: &[AssetId]) -> Result<HashSet<AssetId>> {
        let assets: Vec<Uuid> = assets.iter().map(|id| id.0).collect();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "DELETE FROM tag_asset ta USING tag t
                 WHERE t.id = ta.tag_id AND t.id = $2 AND t.owner_id = $1 AND ta.asset_id = ANY($3) RETURNING ta.asset_id",
            )
            .await?;
        let rows = client.query(&statement, &[&owner.0, &tag.0, &assets]).await?;
        Ok(rows.iter().map(|row| AssetId(row.get(0))).collect())
    }

    /// The tags of these assets, by value.
    pub async fn tags_of(&self, assets: &[AssetId]) -> Result<Vec<(AssetId, Tag)>> {
        let assets: Vec<Uuid> = assets.iter().map(|id| id.0).collect();
        let client = self.client().await?;
        let sql = format!(
            "SELECT ta.asset_id, {COLUMNS} FROM tag_asset ta JOIN tag t ON t.id = ta.tag_id
             WHERE ta.asset_id = ANY($1) ORDER BY t.value"
        );
        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &[&assets]).await?;
        Ok(rows.iter().map(|row| (AssetId(row.get("asset_id")), tag(row))).collect())
    }
}

/// The rule that an owner has each value once.
pub const SAME_VALUE: &str = "tag_owner_id_value_key";

/// Each path with all above it, by how many parts they have: those above come first.
fn by_depth(values: &[String]) -> BTreeMap<usize, Vec<String>> {
    let mut all: BTreeMap<usize, HashSet<&str>> = BTreeMap::new();
    for value in values {
        let ends = value.match_indices('/').map(|(at, _)| at).chain([value.len()]);
        for (depth, end) in ends.enumerate() {
            all.entry(depth).or_default().insert(&value[..end]);
        }
    }
    all.into_iter().map(|(depth, paths)| (depth, paths.into_iter().map(str::to_owned).collect())).collect()
}
