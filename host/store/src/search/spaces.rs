//! Embedding spaces, each with a table and an index of its own.

use crate::{Result, Store};

/// Any number that nobody else uses: "space" as bytes.
const LOCK: i64 = 0x73_7061_6365;

/// What a space describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpaceKind {
    Asset,
    Face,
}

impl SpaceKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Face => "face",
        }
    }
}

/// A space whose table exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    pub id: i32,
    pub kind: SpaceKind,
    pub dimensions: usize,
    /// Faces: of one person from this cosine on.
    pub same_person: Option<f32>,
}

impl Space {
    pub(crate) fn table(&self) -> String {
        format!("{}_embedding_{}", self.kind.as_str(), self.id)
    }
}

impl Store {
    /// The space of this name; created, with its table, when it is new. `name` is the plugin with its model revision.
    ///
    /// # Errors
    /// Also when the space is there with other dimensions: a plugin changed its model without changing its revision.
    pub async fn space(
        &self,
        kind: SpaceKind,
        name: &str,
        dimensions: usize,
        same_person: Option<f32>,
    ) -> Result<Space> {
        if let Some(space) = self.known_space(kind, name).await? {
            return checked(space, name, dimensions);
        }
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        let inserted = transaction
            .query_opt(
                "INSERT INTO embedding_space (kind, name, dimensions, same_person) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (kind, name) DO NOTHING RETURNING id",
                &[&kind.as_str(), &name, &(dimensions as i32), &same_person],
            )
            .await?;
        if let Some(row) = inserted {
            let space = Space { id: row.get(0), kind, dimensions, same_person };
            transaction.batch_execute(&definition(&space)).await?;
        }
        transaction.commit().await?;
        let space = self.known_space(kind, name).await?.ok_or_else(|| {
            crate::StoreError::Failed(format!("the embedding space {name} vanished while it was created"))
        })?;
        checked(space, name, dimensions)
    }

    /// The space of this name, if it is there.
    pub async fn known_space(&self, kind: SpaceKind, name: &str) -> Result<Option<Space>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT id, dimensions, same_person FROM embedding_space WHERE kind = $1 AND name = $2")
            .await?;
        Ok(client.query_opt(&statement, &[&kind.as_str(), &name]).await?.map(|row| Space {
            id: row.get(0),
            kind,
            dimensions: row.get::<_, i32>(1) as usize,
            same_person: row.get(2),
        }))
    }
}

fn checked(space: Space, name: &str, dimensions: usize) -> Result<Space> {
    if space.dimensions == dimensions {
        return Ok(space);
    }
    Err(crate::StoreError::Failed(format!(
        "the embedding space {name} has {} dimensions, not {dimensions}: a new model needs a new revision",
        space.dimensions
    )))
}

/// The owner is repeated here, so that a scan needs no join to know whose vector it is. Vectors have unit length: the inner
/// product is the cosine.
fn definition(space: &Space) -> String {
    let (table, kind, dimensions) = (space.table(), space.kind.as_str(), space.dimensions);
    let counters = match space.kind {
        SpaceKind::Asset => "",
        // How many faces are near and very near, up to what clustering asks for.
        SpaceKind::Face => ", near smallint NOT NULL DEFAULT 0, tight smallint NOT NULL DEFAULT 0",
    };
    format!(
        "CREATE TABLE {table} (
            {kind}_id uuid PRIMARY KEY REFERENCES {kind} ON DELETE CASCADE,
            owner_id uuid NOT NULL,
            embedding halfvec({dimensions}) NOT NULL{counters}
         );
         ALTER TABLE {table} ALTER COLUMN embedding SET STORAGE PLAIN;
         CREATE INDEX {table}_owner ON {table} (owner_id);
         CREATE INDEX {table}_hnsw ON {table} USING hnsw (embedding halfvec_ip_ops) WITH (m = 16, ef_construction = 100);"
    )
}
