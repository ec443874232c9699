//! Objects that move from one storage backend to another. Where each lies is in its row, so a move that was cut off needs no
//! state of its own: what still lies in the old backend is what is left.

use jiff::civil;
use tokio_postgres::Row;
use types::{AssetId, IntentId, PersonId, UserId};
use uuid::Uuid;

use crate::intents::{not_garbage, to_garbage};
use crate::{Result, Store};

/// Whose object it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    Original(AssetId),
    /// With the kind of the derivative.
    Derivative(AssetId, String),
    /// The thumbnail of a person.
    Person(PersonId),
    /// The picture of a user.
    Profile(UserId),
}

/// An object, and what another backend needs to know to keep it.
#[derive(Debug, Clone)]
pub struct Movable {
    pub holder: Holder,
    pub owner: UserId,
    pub owner_label: Option<String>,
    pub taken: Option<civil::DateTime>,
    /// Of an original.
    pub file_name: Option<String>,
    /// `<backend>:<path>`.
    pub location: String,
    /// Bytes, where they were noted.
    pub size: Option<i64>,
    /// Of an original.
    pub sha256: Option<Vec<u8>>,
}

/// How many objects lie in a backend, and how many bytes of them are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    pub objects: i64,
    pub bytes: i64,
}

/// The last row of a page: the next one begins after it.
#[derive(Debug, Clone, Default)]
pub struct After {
    id: Uuid,
    kind: String,
}

impl After {
    /// A page that ended with this object.
    pub fn this(movable: &Movable) -> Self {
        match &movable.holder {
            Holder::Original(id) => Self { id: id.0, kind: String::new() },
            Holder::Derivative(id, kind) => Self { id: id.0, kind: kind.clone() },
            Holder::Person(id) => Self { id: id.0, kind: String::new() },
            Holder::Profile(id) => Self { id: id.0, kind: String::new() },
        }
    }
}

impl Store {
    /// Originals in a backend, by id.
    pub async fn originals_in(&self, backend: &str, after: &After, limit: i64) -> Result<Vec<Movable>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT a.id, a.owner_id, u.storage_label, coalesce(a.filed_under, a.local_date_time), a.original_file_name,
                    a.original_path, a.file_size, a.sha256
                 FROM asset a JOIN app_user u ON u.id = a.owner_id
                 WHERE starts_with(a.original_path, $1 || ':') AND a.id > $2 ORDER BY a.id LIMIT $3",
            )
            .await?;
        let rows = client.query(&statement, &[&backend, &after.id, &limit]).await?;
        let movable = |row: &Row| Movable {
            holder: Holder::Original(AssetId(row.get(0))),
            owner: UserId(row.get(1)),
            owner_label: row.get(2),
            taken: row.get(3),
            file_name: Some(row.get(4)),
            location: row.get(5),
            size: Some(row.get(6)),
            sha256: Some(row.get(7)),
        };
        Ok(rows.iter().map(movable).collect())
    }

    /// What was made of originals and lies in a backend, by id and kind. `videos`: encoded videos, or everything else.
    pub async fn derivatives_in(&self, backend: &str, videos: bool, after: &After, limit: i64) -> Result<Vec<Movable>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT f.asset_id, f.kind, a.owner_id, f.location, f.size FROM asset_file f JOIN asset a ON a.id = f.asset_id
                 WHERE starts_with(f.location, $1 || ':') AND starts_with(f.kind, 'encoded') = $2
                   AND (f.asset_id, f.kind) > ($3, $4) ORDER BY f.asset_id, f.kind LIMIT $5",
            )
            .await?;
        let rows = client.query(&statement, &[&backend, &videos, &after.id, &after.kind, &limit]).await?;
        let movable = |row: &Row| Movable {
            holder: Holder::Derivative(AssetId(row.get(0)), row.get(1)),
            owner: UserId(row.get(2)),
            owner_label: None,
            taken: None,
            file_name: None,
            location: row.get(3),
            size: Some(row.get(4)),
            sha256: None,
        };
        Ok(rows.iter().map(movable).collect())
    }

    /// Thumbnails of people in a backend, by id.
    pub async fn person_thumbnails_in(&self, backend: &str, after: &After, limit: i64) -> Result<Vec<Movable>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT id, owner_id, thumbnail_location FROM person
                 WHERE starts_with(thumbnail_location, $1 || ':') AND id > $2 ORDER BY id LIMIT $3",
            )
            .await?;
        let rows = client.query(&statement, &[&backend, &after.id, &limit]).await?;
        let movable = |row: &Row| Movable {
            holder: Holder::Person(PersonId(row.get(0))),
            owner: UserId(row.get(1)),
            owner_label: None,
            taken: None,
            file_name: None,
            location: row.get(2),
            size: None,
            sha256: None,
        };
        Ok(rows.iter().map(movable).collect())
    }

    /// Pictures of users in a backend, by id.
    pub async fn profile_images_in(&self, backend: &str, after: &After, limit: i64) -> Result<Vec<Movable>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT id, profile_location FROM app_user
                 WHERE starts_with(profile_location, $1 || ':') AND id > $2 ORDER BY id LIMIT $3",
            )
            .await?;
        let rows = client.query(&statement, &[&backend, &after.id, &limit]).await?;
        let movable = |row: &Row| Movable {
            holder: Holder::Profile(UserId(row.get(0))),
            owner: UserId(row.get(0)),
            owner_label: None,
            taken: None,
            file_name: None,
            location: row.get(1),
            size: None,
            sha256: None,
        };
        Ok(rows.iter().map(movable).collect())
    }

    /// Where the picture of a user lies.
    pub async fn profile_image(&self, user: UserId) -> Result<Option<String>> {
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT profile_location FROM app_user WHERE id = $1").await?;
        Ok(client.query_opt(&statement, &[&user.0]).await?.and_then(|row| row.get(0)))
    }

    /// Where the thumbnail of a person lies.
    pub async fn person_thumbnail(&self, person: PersonId) -> Result<Option<String>> {
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT thumbnail_location FROM person WHERE id = $1").await?;
        Ok(client.query_opt(&statement, &[&person.0]).await?.and_then(|row| row.get(0)))
    }

    /// What lies in a backend: originals with pictures of users, derivatives with thumbnails of people, encoded videos.
    pub async fn held_in(&self, backend: &str) -> Result<[Held; 3]> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT count(*) + (SELECT count(*) FROM app_user WHERE starts_with(profile_location, $1 || ':')),
                    coalesce(sum(file_size), 0)::bigint FROM asset WHERE starts_with(original_path, $1 || ':')
                 UNION ALL
                 SELECT count(*) + (SELECT count(*) FROM person WHERE starts_with(thumbnail_location, $1 || ':')),
                    coalesce(sum(size), 0)::bigint
                 FROM asset_file WHERE starts_with(location, $1 || ':') AND NOT starts_with(kind, 'encoded')
                 UNION ALL
                 SELECT count(*), coalesce(sum(size), 0)::bigint
                 FROM asset_file WHERE starts_with(location, $1 || ':') AND starts_with(kind, 'encoded')",
            )
            .await?;
        let rows = client.query(&statement, &[&backend]).await?;
        let held = |at: usize| Held { objects: rows[at].get(0), bytes: rows[at].get(1) };
        Ok([held(0), held(1), held(2)])
    }

    /// The row of a derivative or of a person names `to` from now on, if it still named `from`, which becomes garbage. `false`:
    /// it did not, or the intent is lost. Nothing of it is garbage then that a row names.
    pub async fn move_derivative(
        &self,
        holder: &Holder,
        owner: UserId,
        intent: IntentId,
        (from, to): (&str, &str),
    ) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        // The sweeper may have taken it.
        let statement =
            transaction.prepare_cached("DELETE FROM blob_intent WHERE id = $1 AND state = 'pending'").await?;
        let is_ours = transaction.execute(&statement, &[&intent.0]).await? == 1;
        let moved = match holder {
            Holder::Original(_) => 0,
            Holder::Derivative(asset, kind) => {
                let statement = transaction
                    .prepare_cached(
                        "UPDATE asset_file SET location = $4 WHERE asset_id = $1 AND kind = $2 AND location = $3",
                    )
                    .await?;
                transaction.execute(&statement, &[&asset.0, &kind, &from, &to]).await?
            }
            Holder::Person(person) => {
                let statement = transaction
                    .prepare_cached(
                        "UPDATE person SET thumbnail_location = $3 WHERE id = $1 AND thumbnail_location = $2",
                    )
                    .await?;
                transaction.execute(&statement, &[&person.0, &from, &to]).await?
            }
            Holder::Profile(user) => {
                let statement = transaction
                    .prepare_cached("UPDATE app_user SET profile_location = $3 WHERE id = $1 AND profile_location = $2")
                    .await?;
                transaction.execute(&statement, &[&user.0, &from, &to]).await?
            }
        };
        if !is_ours || moved == 0 {
            transaction.rollback().await?;
            self.intent_to_garbage(intent).await?;
            return Ok(false);
        }
        not_garbage(&transaction, &[to]).await?;
        to_garbage(&transaction, owner.0, &[from.to_owned()]).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// What lies there is about to be named again. Waits for a sweeper that is just deleting it: whoever calls this looks
    /// afterwards whether it is there.
    pub async fn spare(&self, location: &str) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        not_garbage(&transaction, &[location]).await?;
        Ok(transaction.commit().await?)
    }
}
