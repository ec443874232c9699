//! Faces: where somebody is seen on which asset, and what the model found of them.

mod cluster;

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use types::{AssetId, DetectedFace, FaceId, PersonId, UserId};
use uuid::Uuid;

pub use cluster::Rules;
pub(crate) use cluster::{COUNTS, UNDECIDED};

use crate::search::{Space, half_vector};
use crate::{Result, Store};
use cluster::Clustering;

/// A face. The box is in pixels of an image of `image_width` x `image_height`.
#[derive(Debug, Clone, PartialEq)]
pub struct Face {
    pub id: FaceId,
    pub asset: AssetId,
    pub person: Option<PersonId>,
    pub x1: i32,
    pub y1: i32,
    pub x2: i32,
    pub y2: i32,
    pub image_width: i32,
    pub image_height: i32,
    /// `machine-learning`, `exif` or `manual`.
    pub source: String,
}

/// A face that somebody drew.
#[derive(Debug, Clone)]
pub struct DrawnFace {
    pub asset: AssetId,
    pub person: PersonId,
    pub x1: i32,
    pub y1: i32,
    pub x2: i32,
    pub y2: i32,
    pub image_width: i32,
    pub image_height: i32,
}

/// What clustering changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clustered {
    /// People who are new or got faces.
    pub people: Vec<PersonId>,
}

impl Clustered {
    fn add(&mut self, other: Self) {
        self.people.extend(other.people);
        self.people.sort_unstable();
        self.people.dedup();
    }
}

const COLUMNS: &str = "f.id, f.asset_id, f.person_id, f.x1, f.y1, f.x2, f.y2, f.image_width, f.image_height, f.source";

fn face(row: &Row) -> Face {
    Face {
        id: FaceId(row.get("id")),
        asset: AssetId(row.get("asset_id")),
        person: row.get::<_, Option<Uuid>>("person_id").map(PersonId),
        x1: row.get("x1"),
        y1: row.get("y1"),
        x2: row.get("x2"),
        y2: row.get("y2"),
        image_width: row.get("image_width"),
        image_height: row.get("image_height"),
        source: row.get("source"),
    }
}

/// More than half of both boxes together is common to them: they show one face.
fn same_place(a: [i32; 4], b: [i32; 4]) -> bool {
    let area = |r: [i32; 4]| i64::from((r[2] - r[0]).max(0)) * i64::from((r[3] - r[1]).max(0));
    let common = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    2 * common > area(a) + area(b) - common
}

fn pixels(face: &DetectedFace, width: i32, height: i32) -> [i32; 4] {
    let at = |fraction: f32, size: i32| ((fraction * size as f32).round() as i32).clamp(0, size);
    let area = face.area;
    [at(area.x, width), at(area.y, height), at(area.x + area.width, width), at(area.y + area.height, height)]
}

/// Whoever changes who somebody is waits here: clustering and the owner's own decisions take turns. Ends with the transaction.
pub(crate) async fn lock_people(transaction: &Transaction<'_>, owner: Uuid) -> Result<()> {
    let statement = transaction.prepare_cached("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").await?;
    transaction.execute(&statement, &[&format!("people:{owner}")]).await?;
    Ok(())
}

/// Faces changed in a way that placing one at a time does not see: the next pass over all of them will.
pub(crate) async fn mark_stale(transaction: &Transaction<'_>, owner: Uuid) -> Result<()> {
    let statement = transaction
        .prepare_cached(
            "INSERT INTO people_stale (owner_id) VALUES ($1) ON CONFLICT (owner_id) DO UPDATE SET touched = now()",
        )
        .await?;
    transaction.execute(&statement, &[&owner]).await?;
    Ok(())
}

/// Faces that a pass over all of an owner's looks at in one transaction, so that imports and people wait for seconds at most.
const AT_ONCE: usize = 200;

impl Store {
    /// Replaces what a model found on an asset, and lets the clustering take the faces up, in one transaction. A face that was
    /// there before keeps its id and what somebody decided about it. An asset that is gone is no error.
    pub async fn save_faces(
        &self,
        asset: AssetId,
        space: &Space,
        size: (i32, i32),
        faces: &[DetectedFace],
        rules: &Rules,
    ) -> Result<Clustered> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction.prepare_cached("SELECT owner_id FROM asset WHERE id = $1").await?;
        let Some(row) = transaction.query_opt(&statement, &[&asset.0]).await? else {
            return Ok(Clustered::default());
        };
        let owner: Uuid = row.get(0);
        let mut clustering = Clustering::begin(&transaction, space, owner, rules).await?;
        let statement = transaction
            .prepare_cached(
                "SELECT id, x1, y1, x2, y2, image_width, image_height, space_id, assigned FROM face
                 WHERE asset_id = $1 AND source = 'machine-learning'",
            )
            .await?;
        let mut before = transaction.query(&statement, &[&asset.0]).await?;
        let mut placed = Vec::with_capacity(faces.len());
        for found in faces {
            let known = take_known(&mut before, pixels(found, size.0, size.1), size);
            let id = known.as_ref().map_or_else(|| FaceId::generate().0, |row| row.get("id"));
            let again = known.is_some_and(|row| row.get::<_, Option<i32>>("space_id") == Some(space.id));
            save_face(&transaction, (id, asset, owner), space, size, found).await?;
            placed.push((id, again));
        }
        let gone: Vec<Uuid> =
            before.iter().filter(|row| row.get::<_, &str>("assigned") == "auto").map(|row| row.get("id")).collect();
        let statement = transaction.prepare_cached("DELETE FROM face WHERE id = ANY($1)").await?;
        transaction.execute(&statement, &[&gone]).await?;
        for (id, again) in &placed {
            clustering.place(*id, !again).await?;
        }
        let ids: Vec<Uuid> = placed.iter().map(|(id, _)| *id).collect();
        let statement = transaction
            .prepare_cached("SELECT EXISTS (SELECT FROM face WHERE id = ANY($1) AND person_id IS NULL)")
            .await?;
        if !gone.is_empty() || transaction.query_one(&statement, &[&ids]).await?.get(0) {
            mark_stale(&transaction, owner).await?;
        }
        let clustered = clustering.finish().await?;
        transaction.commit().await?;
        Ok(clustered)
    }

    /// Looks at every face of an owner again. `reset`: takes people apart about whom nobody decided anything. In several
    /// transactions: an import goes on beside it.
    pub async fn recluster(&self, owner: UserId, space: &Space, rules: &Rules, reset: bool) -> Result<Clustered> {
        let mut client = self.client().await?;
        let mut all = Clustered::default();
        if reset {
            let transaction = client.transaction().await?;
            let mut clustering = Clustering::begin(&transaction, space, owner.0, rules).await?;
            clustering.take_apart().await?;
            all.add(clustering.finish().await?);
            transaction.commit().await?;
        }
        let sql = format!("SELECT face_id FROM {} WHERE owner_id = $1 ORDER BY face_id", space.table());
        let statement = client.prepare_cached(&sql).await?;
        let faces: Vec<Uuid> = client.query(&statement, &[&owner.0]).await?.iter().map(|row| row.get(0)).collect();
        // All are counted before any is linked: who is dense must not depend on the order.
        for link in [false, true] {
            for some in faces.chunks(AT_ONCE) {
                let transaction = client.transaction().await?;
                let mut clustering = Clustering::begin(&transaction, space, owner.0, rules).await?;
                for face in some {
                    if link { clustering.link(*face).await? } else { clustering.recount(*face).await? }
                }
                all.add(clustering.finish().await?);
                transaction.commit().await?;
            }
        }
        Ok(all)
    }

    /// Owners who wait for a pass over their faces: those whose last change is so many seconds ago, or whose first is an hour.
    pub async fn stale_people(&self, calm: f64) -> Result<Vec<UserId>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT owner_id FROM people_stale
                 WHERE touched <= now() - make_interval(secs => $1) OR since <= now() - interval '1 hour' ORDER BY since",
            )
            .await?;
        Ok(client.query(&statement, &[&calm]).await?.iter().map(|row| UserId(row.get(0))).collect())
    }

    /// A pass begins: what changes from now on waits for the next one.
    pub async fn clear_stale(&self, owner: UserId) -> Result<()> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM people_stale WHERE owner_id = $1").await?;
        client.execute(&statement, &[&owner.0]).await?;
        Ok(())
    }

    /// Everybody who has faces of a space.
    pub async fn owners_of_faces(&self, space: &Space) -> Result<Vec<UserId>> {
        let client = self.client().await?;
        let sql = format!("SELECT DISTINCT owner_id FROM {}", space.table());
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[]).await?.iter().map(|row| UserId(row.get(0))).collect())
    }

    /// The visible faces of an asset, from left to right.
    pub async fn faces_of(&self, asset: AssetId) -> Result<Vec<Face>> {
        self.faces_of_all(&[asset]).await
    }

    /// The visible faces of these assets.
    pub async fn faces_of_all(&self, assets: &[AssetId]) -> Result<Vec<Face>> {
        let ids: Vec<Uuid> = assets.iter().map(|id| id.0).collect();
        let client = self.client().await?;
        let sql = format!(
            "SELECT {COLUMNS} FROM face f WHERE f.asset_id = ANY($1) AND f.deleted_at IS NULL ORDER BY f.asset_id, f.x1, f.id"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&ids]).await?.iter().map(face).collect())
    }

    /// A visible face and the owner of its asset.
    pub async fn face(&self, id: FaceId) -> Result<Option<(Face, UserId)>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {COLUMNS}, a.owner_id FROM face f JOIN asset a ON a.id = f.asset_id
             WHERE f.id = $1 AND f.deleted_at IS NULL"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, &[&id.0]).await?.map(|row| (face(&row), UserId(row.get("owner_id")))))
    }

    /// Adds a face that somebody drew. `None`: the person is not there any more.
    pub async fn add_face(&self, owner: UserId, drawn: &DrawnFace) -> Result<Option<FaceId>> {
        let id = FaceId::generate();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_people(&transaction, owner.0).await?;
        let statement = transaction
            .prepare_cached(
                "INSERT INTO face (id, asset_id, person_id, assigned, x1, y1, x2, y2, image_width, image_height, source)
                 SELECT $1, $2, id, 'manual', $4, $5, $6, $7, $8, $9, 'manual' FROM person WHERE id = $3",
            )
            .await?;
        let added = transaction
            .execute(
                &statement,
                &[
                    &id.0,
                    &drawn.asset.0,
                    &drawn.person.0,
                    &drawn.x1,
                    &drawn.y1,
                    &drawn.x2,
                    &drawn.y2,
                    &drawn.image_width,
                    &drawn.image_height,
                ],
            )
            .await?;
        transaction.commit().await?;
        Ok((added == 1).then_some(id))
    }

    /// Takes a face away: hidden, so that a later run does not find it anew, or (`force`) for good.
    pub async fn delete_face(&self, owner: UserId, id: FaceId, force: bool) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_people(&transaction, owner.0).await?;
        let sql = if force {
            "DELETE FROM face WHERE id = $1"
        } else {
            "UPDATE face SET deleted_at = now(), assigned = 'manual' WHERE id = $1"
        };
        let statement = transaction.prepare_cached(sql).await?;
        transaction.execute(&statement, &[&id.0]).await?;
        mark_stale(&transaction, owner.0).await?;
        Ok(transaction.commit().await?)
    }

    /// Somebody decides who these faces are. Returns the people who lost faces.
    pub async fn assign_faces(&self, owner: UserId, faces: &[FaceId], person: PersonId) -> Result<Vec<PersonId>> {
        let ids: Vec<Uuid> = faces.iter().map(|id| id.0).collect();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_people(&transaction, owner.0).await?;
        let statement = transaction
            .prepare_cached(
                "WITH old AS (SELECT id, person_id FROM face WHERE id = ANY($1) FOR UPDATE), moved AS (
                    UPDATE face SET person_id = $2, assigned = 'manual' WHERE id IN (SELECT id FROM old)
                 )
                 SELECT DISTINCT person_id FROM old WHERE person_id IS NOT NULL AND person_id <> $2",
            )
            .await?;
        let rows = transaction.query(&statement, &[&ids, &person.0]).await?;
        transaction.commit().await?;
        Ok(rows.iter().map(|row| PersonId(row.get(0))).collect())
    }

    /// The faces of one person on one of this owner's assets.
    pub async fn faces_of_person_on(&self, person: PersonId, asset: AssetId) -> Result<Vec<FaceId>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT id FROM face WHERE person_id = $1 AND asset_id = $2 AND deleted_at IS NULL ORDER BY id",
            )
            .await?;
        Ok(client.query(&statement, &[&person.0, &asset.0]).await?.iter().map(|row| FaceId(row.get(0))).collect())
    }
}

/// The face that was seen at this place before, taken out of `before`.
fn take_known(before: &mut Vec<Row>, area: [i32; 4], (width, height): (i32, i32)) -> Option<Row> {
    let at = before.iter().position(|row| {
        let scaled = |at: &str, to: i32, from: &str| {
            (i64::from(row.get::<_, i32>(at)) * i64::from(to) / i64::from(row.get::<_, i32>(from).max(1))) as i32
        };
        let old = [
            scaled("x1", width, "image_width"),
            scaled("y1", height, "image_height"),
            scaled("x2", width, "image_width"),
            scaled("y2", height, "image_height"),
        ];
        same_place(old, area)
    })?;
    Some(before.swap_remove(at))
}

async fn save_face(
    transaction: &Transaction<'_>,
    (id, asset, owner): (Uuid, AssetId, Uuid),
    space: &Space,
    (width, height): (i32, i32),
    found: &DetectedFace,
) -> Result<()> {
    let statement = transaction
        .prepare_cached(
            "INSERT INTO face (id, asset_id, space_id, x1, y1, x2, y2, image_width, image_height, score, source)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'machine-learning')
             ON CONFLICT (id) DO UPDATE SET space_id = excluded.space_id, x1 = excluded.x1, y1 = excluded.y1,
                x2 = excluded.x2, y2 = excluded.y2, image_width = excluded.image_width,
                image_height = excluded.image_height, score = excluded.score",
        )
        .await?;
    let [x1, y1, x2, y2] = pixels(found, width, height);
    transaction
        .execute(&statement, &[&id, &asset.0, &space.id, &x1, &y1, &x2, &y2, &width, &height, &found.score])
        .await?;
    let sql = format!(
        "INSERT INTO {} (face_id, owner_id, embedding) VALUES ($1, $2, $3)
         ON CONFLICT (face_id) DO UPDATE SET embedding = excluded.embedding",
        space.table()
    );
    let statement = transaction.prepare_cached(&sql).await?;
    transaction.execute(&statement, &[&id, &owner, &half_vector(&found.embedding)]).await?;
    Ok(())
}
