//! People: who is seen in an owner's photos, and what the owner decided about them.

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use jiff::civil::Date;
use tokio_postgres::Row;
use types::{AssetId, FaceId, PersonId, UserId};
use uuid::Uuid;

use crate::faces::{COUNTS, lock_people, mark_stale};
use crate::intents::{not_garbage, to_garbage};
use crate::{Result, Store};

/// Somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    pub id: PersonId,
    pub owner: UserId,
    /// Empty: not named yet.
    pub name: String,
    pub birth_date: Option<Date>,
    pub is_hidden: bool,
    pub is_favorite: bool,
    pub color: Option<String>,
    /// The face that stands for the person.
    pub feature_face: Option<FaceId>,
    pub thumbnail_location: Option<String>,
    pub updated_at: Timestamp,
}

/// `None` leaves a field as it is; `Some(None)` takes it away.
#[derive(Debug, Clone, Default)]
pub struct PersonChanges {
    pub name: Option<String>,
    pub birth_date: Option<Option<Date>>,
    pub is_hidden: Option<bool>,
    pub is_favorite: Option<bool>,
    pub color: Option<Option<String>>,
    pub feature_face: Option<FaceId>,
}

/// Photos from which on somebody without a name is listed.
pub const LISTED_FROM: i64 = 2;

/// A page of people.
#[derive(Debug, Clone, Default)]
pub struct PeoplePage {
    pub people: Vec<Person>,
    /// All that would be listed with hidden ones.
    pub total: i64,
    pub hidden: i64,
}

/// What a thumbnail is made of.
#[derive(Debug, Clone)]
pub struct ThumbnailSource {
    pub person: PersonId,
    pub owner: UserId,
    pub face: FaceId,
    pub asset: AssetId,
    /// x1, y1, x2, y2 in fractions of the upright image.
    pub area: [f32; 4],
    /// Where the preview lies.
    pub preview: Option<String>,
    /// The face that the present thumbnail shows, and where it lies.
    pub present: Option<(FaceId, String)>,
}

const COLUMNS: &str = "p.id, p.owner_id, p.name, p.birth_date, p.is_hidden, p.is_favorite, p.color, p.feature_face_id,
    p.thumbnail_location, p.updated_at";

/// Assets on which people are counted.
const COUNTED: &str = "a.deleted_at IS NULL AND a.visibility = 'timeline'";

fn person(row: &Row) -> Person {
    Person {
        id: PersonId(row.get("id")),
        owner: UserId(row.get("owner_id")),
        name: row.get("name"),
        birth_date: row.get("birth_date"),
        is_hidden: row.get("is_hidden"),
        is_favorite: row.get("is_favorite"),
        color: row.get("color"),
        feature_face: row.get::<_, Option<Uuid>>("feature_face_id").map(FaceId),
        thumbnail_location: row.get("thumbnail_location"),
        updated_at: row.get("updated_at"),
    }
}

fn uuids(ids: &[PersonId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}

impl Store {
    /// People with a name, or on two photos and more (or as many as their owner prefers), or made by hand: hidden ones last, favourites first, then the named, then by how many photos.
    pub async fn people(&self, owner: UserId, with_hidden: bool, offset: i64, limit: i64) -> Result<PeoplePage> {
        let client = self.client().await?;
        // The faces are added up once; the counts come with every row, and with one row of nobody where the page is empty.
        let sql = format!(
            "WITH listed AS MATERIALIZED (
                SELECT p.*, count(DISTINCT a.id) AS photos FROM person p
                LEFT JOIN face f ON f.person_id = p.id AND f.deleted_at IS NULL
                LEFT JOIN asset a ON a.id = f.asset_id AND {COUNTED}
                WHERE p.owner_id = $1 GROUP BY p.id
                HAVING p.name <> '' OR p.by_hand OR count(DISTINCT a.id) >= coalesce(
                    (SELECT (m.value->'people'->>'minimumFaces')::bigint FROM user_metadata m
                     WHERE m.user_id = $1 AND m.key = 'preferences'), {LISTED_FROM}))
             SELECT counts.*, page.* FROM (
                SELECT count(*) AS total, count(*) FILTER (WHERE is_hidden) AS hidden FROM listed
             ) counts LEFT JOIN LATERAL (
                SELECT {COLUMNS} FROM listed p WHERE $2 OR NOT p.is_hidden
                ORDER BY p.is_hidden, p.is_favorite DESC, p.name = '', p.photos DESC, lower(p.name), p.id
                LIMIT $3 OFFSET $4
             ) page ON true"
        );
        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &[&owner.0, &with_hidden, &limit, &offset]).await?;
        let of_all = |at: &str| rows.first().map_or(0, |row| row.get(at));
        let (total, hidden) = (of_all("total"), of_all("hidden"));
        let is_somebody = |row: &&Row| row.get::<_, Option<Uuid>>("id").is_some();
        Ok(PeoplePage { people: rows.iter().filter(is_somebody).map(person).collect(), total, hidden })
    }

    pub async fn person(&self, id: PersonId) -> Result<Option<Person>> {
        Ok(self.people_by_id(&[id]).await?.pop())
    }

    /// In no particular order; unknown ones are left out.
    pub async fn people_by_id(&self, ids: &[PersonId]) -> Result<Vec<Person>> {
        let client = self.client().await?;
        let sql = format!("SELECT {COLUMNS} FROM person p WHERE p.id = ANY($1)");
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&uuids(ids)]).await?.iter().map(person).collect())
    }

    /// People of this owner whose name has a word that starts with `name`.
    pub async fn people_named(&self, owner: UserId, name: &str, with_hidden: bool, limit: i64) -> Result<Vec<Person>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {COLUMNS} FROM person p WHERE p.owner_id = $1 AND ($3 OR NOT p.is_hidden)
               AND (starts_with(lower(p.name), lower($2)) OR strpos(lower(p.name), ' ' || lower($2)) > 0)
             ORDER BY lower(p.name), p.id LIMIT $4"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&owner.0, &name, &with_hidden, &limit]).await?.iter().map(person).collect())
    }

    /// Makes a person by hand.
    pub async fn create_person(&self, owner: UserId, changes: &PersonChanges) -> Result<Person> {
        let id = PersonId::generate();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement =
            transaction.prepare_cached("INSERT INTO person (id, owner_id, by_hand) VALUES ($1, $2, true)").await?;
        transaction.execute(&statement, &[&id.0, &owner.0]).await?;
        let person = change(&transaction, owner, id, changes).await?;
        transaction.commit().await?;
        person.ok_or_else(|| crate::StoreError::Failed(format!("person {id} vanished while it was created")))
    }

    /// `None`: clustering took the person away before this owner decided anything about it.
    pub async fn update_person(&self, owner: UserId, id: PersonId, changes: &PersonChanges) -> Result<Option<Person>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_people(&transaction, owner.0).await?;
        let person = change(&transaction, owner, id, changes).await?;
        transaction.commit().await?;
        Ok(person)
    }

    /// Photos on which a person is seen.
    pub async fn count_photos_of(&self, id: PersonId) -> Result<i64> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT count(DISTINCT a.id) FROM face f JOIN asset a ON a.id = f.asset_id
             WHERE f.person_id = $1 AND f.deleted_at IS NULL AND {COUNTED}"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_one(&statement, &[&id.0]).await?.get(0))
    }

    /// Moves the faces of `others` to `into` and takes the others away, in one transaction; a name or birthday that only they
    /// have is kept. The faces stay where they were put, whatever clustering thinks later. `false`: `into` is not there any more.
    pub async fn merge_people(&self, owner: UserId, into: PersonId, others: &[PersonId]) -> Result<bool> {
        let others = uuids(others);
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_people(&transaction, owner.0).await?;
        let statement =
            transaction.prepare_cached("SELECT FROM person WHERE id = $1 AND owner_id = $2 FOR UPDATE").await?;
        if transaction.query_opt(&statement, &[&into.0, &owner.0]).await?.is_none() {
            return Ok(false);
        }
        let statement = transaction
            .prepare_cached("UPDATE face SET person_id = $1, assigned = 'manual' WHERE person_id = ANY($2)")
            .await?;
        transaction.execute(&statement, &[&into.0, &others]).await?;
        let statement = transaction
            .prepare_cached(
                "UPDATE person p SET
                    name = coalesce(nullif(p.name, ''), (SELECT o.name FROM person o
                        WHERE o.id = ANY($2) AND o.name <> '' ORDER BY o.id LIMIT 1), ''),
                    birth_date = coalesce(p.birth_date, (SELECT o.birth_date FROM person o
                        WHERE o.id = ANY($2) AND o.birth_date IS NOT NULL ORDER BY o.id LIMIT 1)),
                    feature_face_id = coalesce(p.feature_face_id, (SELECT o.feature_face_id FROM person o
                        WHERE o.id = ANY($2) AND o.feature_face_id IS NOT NULL ORDER BY o.id LIMIT 1))
                 WHERE p.id = $1",
            )
            .await?;
        transaction.execute(&statement, &[&into.0, &others]).await?;
        let statement =
            transaction.prepare_cached("DELETE FROM person WHERE id = ANY($1) RETURNING thumbnail_location").await?;
        let rows = transaction.query(&statement, &[&others]).await?;
        to_garbage(&transaction, owner.0, &locations(&rows)).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes people away. Their faces are nobody's from now on: that was decided, so clustering leaves them alone.
    pub async fn delete_people(&self, owner: UserId, ids: &[PersonId]) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_people(&transaction, owner.0).await?;
        let statement = transaction
            .prepare_cached(
                "UPDATE face SET person_id = NULL, assigned = 'manual'
                 WHERE person_id IN (SELECT id FROM person WHERE owner_id = $1 AND id = ANY($2))",
            )
            .await?;
        transaction.execute(&statement, &[&owner.0, &uuids(ids)]).await?;
        let statement = transaction
            .prepare_cached("DELETE FROM person WHERE owner_id = $1 AND id = ANY($2) RETURNING thumbnail_location")
            .await?;
        let rows = transaction.query(&statement, &[&owner.0, &uuids(ids)]).await?;
        to_garbage(&transaction, owner.0, &locations(&rows)).await?;
        mark_stale(&transaction, owner.0).await?;
        Ok(transaction.commit().await?)
    }

    /// What the thumbnails of these people are made of; people without a visible face are left out. A feature face that went to
    /// somebody else is replaced by the best that is left.
    pub async fn thumbnail_sources(&self, people: &[PersonId]) -> Result<Vec<ThumbnailSource>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT DISTINCT ON (p.id) p.id, p.owner_id, f.id AS face_id, f.asset_id, f.x1, f.y1, f.x2, f.y2,
                    f.image_width, f.image_height, d.location, p.thumbnail_face_id, p.thumbnail_location
                 FROM person p JOIN face f ON f.person_id = p.id AND f.deleted_at IS NULL
                 JOIN asset a ON a.id = f.asset_id AND {COUNTS}
                 LEFT JOIN asset_file d ON d.asset_id = f.asset_id AND d.kind = 'preview'
                 WHERE p.id = ANY($1)
                 ORDER BY p.id, f.id IS DISTINCT FROM p.feature_face_id, d.location IS NULL, f.score DESC, f.id"
        );
        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &[&uuids(people)]).await?;
        Ok(rows
            .iter()
            .map(|row| {
                let fraction = |at: &str, of: &str| row.get::<_, i32>(at) as f32 / row.get::<_, i32>(of).max(1) as f32;
                let present: (Option<Uuid>, Option<String>) =
                    (row.get("thumbnail_face_id"), row.get("thumbnail_location"));
                ThumbnailSource {
                    person: PersonId(row.get("id")),
                    owner: UserId(row.get("owner_id")),
                    face: FaceId(row.get("face_id")),
                    asset: AssetId(row.get("asset_id")),
                    area: [
                        fraction("x1", "image_width"),
                        fraction("y1", "image_height"),
                        fraction("x2", "image_width"),
                        fraction("y2", "image_height"),
                    ],
                    preview: row.get("location"),
                    present: present.0.zip(present.1).map(|(face, location)| (FaceId(face), location)),
                }
            })
            .collect())
    }

    /// Records a thumbnail; the one before it becomes garbage. `false`: the person is gone, and nobody needs it.
    pub async fn save_person_thumbnail(
        &self,
        (owner, person): (UserId, PersonId),
        face: FaceId,
        location: &str,
    ) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement =
            transaction.prepare_cached("SELECT thumbnail_location FROM person WHERE id = $1 FOR UPDATE").await?;
        let Some(old) = transaction.query_opt(&statement, &[&person.0]).await? else { return Ok(false) };
        let statement = transaction
            .prepare_cached(
                "UPDATE person SET thumbnail_location = $3, thumbnail_face_id = $2,
                    feature_face_id = (SELECT id FROM face WHERE id = $2) WHERE id = $1",
            )
            .await?;
        transaction.execute(&statement, &[&person.0, &face.0, &location]).await?;
        not_garbage(&transaction, &[location]).await?;
        let old: Vec<String> = locations(&[old]).into_iter().filter(|old| old != location).collect();
        to_garbage(&transaction, owner.0, &old).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// Where the thumbnails lay of people that were removed or get another.
fn locations(rows: &[Row]) -> Vec<String> {
    rows.iter().filter_map(|row| row.get("thumbnail_location")).collect()
}

async fn change(
    transaction: &Transaction<'_>,
    owner: UserId,
    id: PersonId,
    changes: &PersonChanges,
) -> Result<Option<Person>> {
    let sql = format!(
        "UPDATE person p SET name = coalesce($2, name),
            birth_date = CASE WHEN $3 THEN $4 ELSE birth_date END, is_hidden = coalesce($5, is_hidden),
            is_favorite = coalesce($6, is_favorite), color = CASE WHEN $7 THEN $8 ELSE color END,
            feature_face_id = coalesce((SELECT id FROM face WHERE id = $9), feature_face_id)
         WHERE id = $1 AND owner_id = $10 RETURNING {COLUMNS}"
    );
    let statement = transaction.prepare_cached(&sql).await?;
    let row = transaction
        .query_opt(
            &statement,
            &[
                &id.0,
                &changes.name,
                &changes.birth_date.is_some(),
                &changes.birth_date.flatten(),
                &changes.is_hidden,
                &changes.is_favorite,
                &changes.color.is_some(),
                &changes.color.clone().flatten(),
                &changes.feature_face.map(|face| face.0),
                &owner.0,
            ],
        )
        .await?;
    Ok(row.as_ref().map(person))
}
