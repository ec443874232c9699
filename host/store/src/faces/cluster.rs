//! Who is who: incremental clustering by density (DBSCAN's rule), as faces arrive.
//!
//! A face is dense when it and two others are near (the cosine that the space declares). Dense faces that are near belong
//! together, and so do two faces that are very near, so that two photos suffice for a clear case. Other faces join the nearest
//! dense one. The result does not depend on the order of arrival. What somebody decided stands: a person with a name, or with a
//! face put there by hand, is never merged with another such person, and a face put somewhere by hand never moves.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use types::PersonId;
use uuid::Uuid;

use super::{Clustered, lock_people};
use crate::Result;
use crate::intents::to_garbage;
use crate::search::{Space, settings};

/// When faces are of one person, as cosines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    pub near: f32,
    pub very_near: f32,
}

impl Rules {
    /// From the cosine that a space declares; very near is a tenth more.
    pub fn from_same_person(cosine: f32) -> Self {
        Self { near: cosine, very_near: cosine + 0.1 }
    }
}

/// So many faces of one owner are compared one by one; with more, the index leads.
const EXACT_UP_TO: i64 = 5_000;
/// Nearest faces that are looked at.
const LOOK_AT: i64 = 200;
/// Others that must be near a dense face.
const DENSE: i16 = 2;

#[derive(Debug, Clone)]
struct Neighbour {
    face: Uuid,
    person: Option<Uuid>,
    by_hand: bool,
    near: i16,
    tight: i16,
    cosine: f32,
}

impl Neighbour {
    fn dense(&self) -> bool {
        self.near >= DENSE
    }

    fn core(&self) -> bool {
        self.dense() || self.tight > 0
    }
}

/// One run under the owner's lock.
pub(super) struct Clustering<'a> {
    transaction: &'a Transaction<'a>,
    table: String,
    owner: Uuid,
    rules: Rules,
    exact: bool,
    people: Vec<Uuid>,
    garbage: Vec<String>,
}

impl<'a> Clustering<'a> {
    /// Waits for the owner's lock, which ends with the transaction.
    pub(super) async fn begin(
        transaction: &'a Transaction<'a>,
        space: &Space,
        owner: Uuid,
        rules: &Rules,
    ) -> Result<Self> {
        lock_people(transaction, owner).await?;
        let table = space.table();
        let sql =
            format!("SELECT count(*) FROM (SELECT 1 FROM {table} WHERE owner_id = $1 LIMIT {EXACT_UP_TO} + 1) counted");
        let statement = transaction.prepare_cached(&sql).await?;
        let count: i64 = transaction.query_one(&statement, &[&owner]).await?.get(0);
        let exact = count <= EXACT_UP_TO;
        if !exact {
            // One transaction of faces: sorting and scanning otherwise are for small tables only, where it does not matter.
            transaction.batch_execute(&settings(LOOK_AT, 20_000)).await?;
        }
        Ok(Self { transaction, table, owner, rules: *rules, exact, people: Vec::new(), garbage: Vec::new() })
    }

    /// Takes up one face whose embedding is saved. `new`: its neighbours do not know it yet.
    pub(super) async fn place(&mut self, face: Uuid, new: bool) -> Result<()> {
        let neighbours = self.neighbours(face).await?;
        self.count(face, &neighbours).await?;
        let mut affected = vec![face];
        if new {
            affected.extend(self.tell(&neighbours).await?);
        }
        for face in affected {
            self.link(face).await?;
        }
        Ok(())
    }

    /// Counts the neighbours of a face anew: some may be gone.
    pub(super) async fn recount(&self, face: Uuid) -> Result<()> {
        let neighbours = self.neighbours(face).await?;
        self.count(face, &neighbours).await
    }

    /// Gives people who need one a face to be shown by; returns what changed.
    pub(super) async fn finish(mut self) -> Result<Clustered> {
        self.people.sort_unstable();
        self.people.dedup();
        let statement = self
            .transaction
            .prepare_cached(
                "UPDATE person p SET feature_face_id = (
                    SELECT f.id FROM face f WHERE f.person_id = p.id AND f.deleted_at IS NULL
                    ORDER BY f.score * sqrt(greatest(f.x2 - f.x1, 0)::real * greatest(f.y2 - f.y1, 0)
                        / greatest(f.image_width::real * f.image_height, 1)) DESC, f.id LIMIT 1)
                 WHERE p.id = ANY($1) AND (p.feature_face_id IS NULL OR NOT EXISTS (
                    SELECT 1 FROM face f WHERE f.id = p.feature_face_id AND f.person_id = p.id AND f.deleted_at IS NULL))
                 RETURNING p.id",
            )
            .await?;
        self.transaction.query(&statement, &[&self.people]).await?;
        let statement = self.transaction.prepare_cached("SELECT id FROM person WHERE id = ANY($1)").await?;
        let rows = self.transaction.query(&statement, &[&self.people]).await?;
        to_garbage(self.transaction, self.owner, &self.garbage).await?;
        Ok(Clustered { people: rows.iter().map(|row| PersonId(row.get(0))).collect() })
    }

    /// The near faces of the owner, nearest first. Faces of which somebody said that they are nobody are not there.
    async fn neighbours(&self, face: Uuid) -> Result<Vec<Neighbour>> {
        let columns = "e.face_id, f.person_id, f.assigned = 'manual' AS by_hand, e.near, e.tight";
        let from = format!(
            "FROM {table} e JOIN face f ON f.id = e.face_id JOIN asset a ON a.id = f.asset_id
             WHERE e.owner_id = $2 AND e.face_id <> $1 AND f.deleted_at IS NULL AND {COUNTS}
               AND NOT (f.assigned = 'manual' AND f.person_id IS NULL)",
            table = self.table
        );
        let this = format!("(SELECT embedding FROM {} WHERE face_id = $1)", self.table);
        let ordered =
            if self.exact { String::new() } else { format!("ORDER BY e.embedding <#> {this} LIMIT {LOOK_AT}") };
        let sql = format!(
            "WITH near AS MATERIALIZED (SELECT {columns}, e.embedding <#> {this} AS distance {from} {ordered})
             SELECT face_id, person_id, by_hand, near, tight, (-distance)::real FROM near
             WHERE -distance >= $3 ORDER BY distance, face_id LIMIT {LOOK_AT}"
        );
        let statement = self.transaction.prepare_cached(&sql).await?;
        let rows = self.transaction.query(&statement, &[&face, &self.owner, &f64::from(self.rules.near)]).await?;
        Ok(rows
            .iter()
            .map(|row| Neighbour {
                face: row.get(0),
                person: row.get(1),
                by_hand: row.get(2),
                near: row.get(3),
                tight: row.get(4),
                cosine: row.get(5),
            })
            .collect())
    }

    fn very_near(&self, neighbour: &Neighbour) -> bool {
        neighbour.cosine >= self.rules.very_near
    }

    /// Writes how many others are near a face.
    async fn count(&self, face: Uuid, neighbours: &[Neighbour]) -> Result<()> {
        let near = neighbours.len().min(DENSE as usize) as i16;
        let tight = i16::from(neighbours.iter().any(|neighbour| self.very_near(neighbour)));
        let sql =
            format!("UPDATE {} SET near = $2, tight = $3 WHERE face_id = $1 AND (near, tight) <> ($2, $3)", self.table);
        let statement = self.transaction.prepare_cached(&sql).await?;
        self.transaction.execute(&statement, &[&face, &near, &tight]).await?;
        Ok(())
    }

    /// Tells the neighbours that one more is near; returns those for which that changes what they are.
    async fn tell(&self, neighbours: &[Neighbour]) -> Result<Vec<Uuid>> {
        let of = |wanted: &dyn Fn(&Neighbour) -> bool| -> Vec<Uuid> {
            neighbours.iter().filter(|neighbour| wanted(neighbour)).map(|neighbour| neighbour.face).collect()
        };
        let near = of(&|neighbour| neighbour.near < DENSE);
        let tight = of(&|neighbour| neighbour.tight == 0 && self.very_near(neighbour));
        for (column, faces) in [("near", &near), ("tight", &tight)] {
            if !faces.is_empty() {
                let sql = format!("UPDATE {} SET {column} = {column} + 1 WHERE face_id = ANY($1)", self.table);
                let statement = self.transaction.prepare_cached(&sql).await?;
                self.transaction.execute(&statement, &[faces]).await?;
            }
        }
        Ok(of(&|neighbour| neighbour.near + 1 == DENSE || neighbour.tight == 0 && self.very_near(neighbour)))
    }

    /// Joins a face with what it belongs to.
    pub(super) async fn link(&mut self, face: Uuid) -> Result<()> {
        let sql = format!(
            "SELECT f.person_id, f.assigned = 'manual', e.near, e.tight, f.deleted_at IS NOT NULL OR NOT ({COUNTS})
             FROM face f JOIN {} e ON e.face_id = f.id JOIN asset a ON a.id = f.asset_id WHERE f.id = $1",
            self.table
        );
        let statement = self.transaction.prepare_cached(&sql).await?;
        let Some(row) = self.transaction.query_opt(&statement, &[&face]).await? else { return Ok(()) };
        let this = Neighbour {
            face,
            person: row.get(0),
            by_hand: row.get(1),
            near: row.get(2),
            tight: row.get(3),
            cosine: 1.0,
        };
        if row.get(4) || this.by_hand && this.person.is_none() {
            return Ok(());
        }
        let neighbours = self.neighbours(face).await?;
        if !this.core() {
            let nearest = neighbours.iter().find(|other| other.dense()).and_then(|other| other.person);
            return match (nearest, this.person) {
                (Some(person), None) => self.assign(&[face], person).await,
                _ => Ok(()),
            };
        }
        let joined: Vec<&Neighbour> =
            neighbours.iter().filter(|other| self.very_near(other) || this.dense() && other.dense()).collect();
        let person = self.person_for(&this, &joined).await?;
        let mut unassigned: Vec<Uuid> = neighbours
            .iter()
            .filter(|other| other.person.is_none() && !other.by_hand)
            .filter(|other| this.dense() && !other.core() || joined.iter().any(|joined| joined.face == other.face))
            .map(|other| other.face)
            .collect();
        if this.person.is_none() {
            unassigned.push(face);
        }
        self.assign(&unassigned, person).await
    }

    /// Who a core face and its core neighbours are: one person, merged where several were found and at most one was decided.
    async fn person_for(&mut self, this: &Neighbour, joined: &[&Neighbour]) -> Result<Uuid> {
        let mut votes: BTreeMap<Uuid, f32> = BTreeMap::new();
        for face in std::iter::once(this).chain(joined.iter().copied()) {
            if let Some(person) = face.person {
                *votes.entry(person).or_default() += face.cosine;
            }
        }
        let mut found: Vec<Uuid> = votes.keys().copied().collect();
        found.sort_by(|a, b| votes[b].total_cmp(&votes[a]));
        match found[..] {
            [] => return self.create().await,
            [only] => return Ok(only),
            _ => {}
        }
        let undecided = self.undecided(&found).await?;
        // Of several decided people the one with the most faces near: a single face may have been moved by hand.
        let decided = found.iter().find(|person| !undecided.contains(person)).copied();
        let winner = decided.or_else(|| undecided.iter().min().copied()).unwrap_or(found[0]);
        let losers: Vec<Uuid> = undecided.into_iter().filter(|person| *person != winner).collect();
        self.merge(&losers, winner).await?;
        Ok(match this.person {
            Some(own) if !losers.contains(&own) => own,
            _ => winner,
        })
    }

    /// Those about whom nobody decided anything, and until the end of the transaction nobody will.
    async fn undecided(&self, people: &[Uuid]) -> Result<Vec<Uuid>> {
        let sql = format!("SELECT p.id FROM person p WHERE p.id = ANY($1) AND {UNDECIDED} FOR UPDATE");
        let statement = self.transaction.prepare_cached(&sql).await?;
        Ok(self.transaction.query(&statement, &[&people]).await?.iter().map(|row| row.get(0)).collect())
    }

    async fn create(&mut self) -> Result<Uuid> {
        let id = PersonId::generate().0;
        let statement = self.transaction.prepare_cached("INSERT INTO person (id, owner_id) VALUES ($1, $2)").await?;
        self.transaction.execute(&statement, &[&id, &self.owner]).await?;
        self.people.push(id);
        Ok(id)
    }

    async fn merge(&mut self, losers: &[Uuid], winner: Uuid) -> Result<()> {
        if losers.is_empty() {
            return Ok(());
        }
        let statement =
            self.transaction.prepare_cached("UPDATE face SET person_id = $2 WHERE person_id = ANY($1)").await?;
        self.transaction.execute(&statement, &[&losers, &winner]).await?;
        self.remove(losers).await?;
        self.people.push(winner);
        Ok(())
    }

    async fn remove(&mut self, people: &[Uuid]) -> Result<()> {
        let sql = format!("DELETE FROM person p WHERE p.id = ANY($1) AND {UNDECIDED} RETURNING thumbnail_location");
        let statement = self.transaction.prepare_cached(&sql).await?;
        let rows = self.transaction.query(&statement, &[&people]).await?;
        self.garbage.extend(rows.iter().filter_map(|row| row.get::<_, Option<String>>(0)));
        Ok(())
    }

    async fn assign(&mut self, faces: &[Uuid], person: Uuid) -> Result<()> {
        if faces.is_empty() {
            return Ok(());
        }
        let statement = self
            .transaction
            .prepare_cached("UPDATE face SET person_id = $2 WHERE id = ANY($1) AND assigned = 'auto'")
            .await?;
        self.transaction.execute(&statement, &[&faces, &person]).await?;
        self.people.push(person);
        Ok(())
    }

    pub(super) async fn take_apart(&mut self) -> Result<()> {
        let sql = format!("SELECT p.id FROM person p WHERE p.owner_id = $1 AND {UNDECIDED}");
        let statement = self.transaction.prepare_cached(&sql).await?;
        let people: Vec<Uuid> =
            self.transaction.query(&statement, &[&self.owner]).await?.iter().map(|row| row.get(0)).collect();
        self.remove(&people).await
    }
}

/// Of `asset a`: its faces count. What is in the trash or locked away makes nobody known.
pub(crate) const COUNTS: &str = "a.deleted_at IS NULL AND a.visibility <> 'locked'";

/// Of `person p`: nobody decided anything about it.
pub(crate) const UNDECIDED: &str = "p.name = '' AND p.birth_date IS NULL AND NOT p.is_hidden AND NOT p.is_favorite
    AND p.color IS NULL AND NOT p.by_hand
    AND NOT EXISTS (SELECT 1 FROM face m WHERE m.person_id = p.id AND m.assigned = 'manual')";
