//! Assets that go for ever: their rows in one transaction, which leaves every blob of theirs as garbage.

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use serde_json::Value;
use types::{AssetId, PersonId, UserId};
use uuid::Uuid;

use crate::deleted::to_outbox;
use crate::faces::{UNDECIDED, lock_people, mark_stale};
use crate::intents::to_garbage;
use crate::{Result, Store};

/// What was removed.
#[derive(Debug, Clone, Default)]
pub struct Removed {
    pub assets: Vec<AssetId>,
    /// People whose thumbnail showed one of them: they need another.
    pub people: Vec<PersonId>,
}

impl Store {
    /// Removes these assets of the owner and gives the quota back. Originals, derivatives and thumbnails of people that showed
    /// them become garbage; a person that nobody decided anything about and that is on no other photo goes too.
    /// `facts`: what pipelines are told of those that went.
    pub async fn delete_assets_forever(
        &self,
        owner: UserId,
        assets: &[AssetId],
        facts: &[(AssetId, Value)],
    ) -> Result<Removed> {
        let mut ids: Vec<Uuid> = assets.iter().map(|id| id.0).collect();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_people(&transaction, owner.0).await?;
        let statement = transaction.prepare_cached("SELECT FROM app_user WHERE id = $1 FOR NO KEY UPDATE").await?;
        transaction.execute(&statement, &[&owner.0]).await?;
        ids.extend(moving_parts(&transaction, owner.0, &ids).await?);
        let statement = transaction
            .prepare_cached(
                "SELECT f.location FROM asset_file f JOIN asset a ON a.id = f.asset_id
                 WHERE a.owner_id = $1 AND a.id = ANY($2)",
            )
            .await?;
        let derivatives = transaction.query(&statement, &[&owner.0, &ids]).await?;
        let mut garbage: Vec<String> = derivatives.iter().map(|row| row.get(0)).collect();
        let seen = people_on(&transaction, owner.0, &ids).await?;
        let statement = transaction
            .prepare_cached(
                "DELETE FROM asset WHERE owner_id = $1 AND id = ANY($2) RETURNING id, original_path, file_size",
            )
            .await?;
        let gone = transaction.query(&statement, &[&owner.0, &ids]).await?;
        let paths: Vec<String> = gone.iter().map(|row| row.get(1)).collect();
        let freed: i64 = gone.iter().map(|row| row.get::<_, i64>(2)).sum();
        // Another owner's intent may name the same place: what is theirs stays.
        let statement = transaction
            .prepare_cached(
                "UPDATE blob_intent SET state = 'garbage', lease_until = now() WHERE location = ANY($1) AND owner_id = $2",
            )
            .await?;
        transaction.execute(&statement, &[&paths, &owner.0]).await?;
        let statement = transaction
            .prepare_cached("UPDATE app_user SET used_bytes = greatest(used_bytes - $2, 0) WHERE id = $1")
            .await?;
        transaction.execute(&statement, &[&owner.0, &freed]).await?;
        let gone_ids: Vec<Uuid> = gone.iter().map(|row| row.get(0)).collect();
        to_outbox(&transaction, &gone_ids, facts).await?;
        let people = tidy_people(&transaction, owner.0, &seen, &mut garbage).await?;
        to_garbage(&transaction, owner.0, &garbage).await?;
        transaction.commit().await?;
        Ok(Removed { assets: gone.iter().map(|row| AssetId(row.get(0))).collect(), people })
    }

    /// Assets that lie in the trash since before then, with their owners.
    pub async fn trashed_before(&self, then: Timestamp, limit: i64) -> Result<Vec<(UserId, AssetId)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT owner_id, id FROM asset WHERE deleted_at < $1 ORDER BY deleted_at LIMIT $2")
            .await?;
        let rows = client.query(&statement, &[&then, &limit]).await?;
        Ok(rows.iter().map(|row| (UserId(row.get(0)), AssetId(row.get(1)))).collect())
    }
}

/// The videos that belong to photos among these, and to no other photo.
async fn moving_parts(transaction: &Transaction<'_>, owner: Uuid, assets: &[Uuid]) -> Result<Vec<Uuid>> {
    let statement = transaction
        .prepare_cached(
            "SELECT DISTINCT a.live_photo_video_id FROM asset a
             WHERE a.owner_id = $1 AND a.id = ANY($2) AND a.live_photo_video_id IS NOT NULL
               AND NOT EXISTS (SELECT FROM asset o
                 WHERE o.live_photo_video_id = a.live_photo_video_id AND NOT o.id = ANY($2))",
        )
        .await?;
    Ok(transaction.query(&statement, &[&owner, &assets]).await?.iter().map(|row| row.get(0)).collect())
}

/// Who is seen on these assets, in whatever way.
async fn people_on(transaction: &Transaction<'_>, owner: Uuid, assets: &[Uuid]) -> Result<Vec<Uuid>> {
    let statement = transaction
        .prepare_cached(
            "SELECT p.id FROM face f JOIN person p ON p.id = f.person_id
             WHERE f.asset_id = ANY($2) AND p.owner_id = $1
             UNION SELECT p.id FROM face f JOIN person p ON p.thumbnail_face_id = f.id
             WHERE f.asset_id = ANY($2) AND p.owner_id = $1",
        )
        .await?;
    Ok(transaction.query(&statement, &[&owner, &assets]).await?.iter().map(|row| row.get(0)).collect())
}

/// After faces of theirs went: who is on no photo any more goes, who has lost the thumbnail's face gets another later.
async fn tidy_people(
    transaction: &Transaction<'_>,
    owner: Uuid,
    people: &[Uuid],
    garbage: &mut Vec<String>,
) -> Result<Vec<PersonId>> {
    if people.is_empty() {
        return Ok(Vec::new());
    }
    mark_stale(transaction, owner).await?;
    let sql = format!(
        "DELETE FROM person p WHERE p.id = ANY($1) AND {UNDECIDED}
           AND NOT EXISTS (SELECT FROM face f WHERE f.person_id = p.id) RETURNING p.thumbnail_location"
    );
    let statement = transaction.prepare_cached(&sql).await?;
    let gone = transaction.query(&statement, &[&people]).await?;
    garbage.extend(gone.iter().filter_map(|row| row.get::<_, Option<String>>(0)));
    let statement = transaction
        .prepare_cached(
            "WITH old AS (
                SELECT id, thumbnail_location FROM person p WHERE id = ANY($1) AND thumbnail_face_id IS NOT NULL
                  AND NOT EXISTS (SELECT FROM face f WHERE f.id = p.thumbnail_face_id)
             )
             UPDATE person p SET thumbnail_location = NULL, thumbnail_face_id = NULL FROM old
             WHERE old.id = p.id RETURNING p.id, old.thumbnail_location",
        )
        .await?;
    let bare = transaction.query(&statement, &[&people]).await?;
    garbage.extend(bare.iter().filter_map(|row| row.get::<_, Option<String>>(1)));
    Ok(bare.iter().map(|row| PersonId(row.get(0))).collect())
}
