//! What somebody said about when and where a photo was taken. The metadata step leaves it alone from then on.

use deadpool_postgres::Transaction;
use jiff::{Timestamp, civil};
use types::{AssetId, UserId};
use uuid::Uuid;

use crate::{Result, Store};

/// When an asset was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    pub asset: AssetId,
    pub created: Timestamp,
    /// On the clock on the wall there.
    pub local: civil::DateTime,
    pub time_zone: Option<String>,
}

/// Where an asset was taken, in degrees, and the place that is near.
#[derive(Debug, Clone)]
pub struct Position {
    pub latitude: f64,
    pub longitude: f64,
    pub city: Option<String>,
    pub state: Option<String>,
    pub country: Option<String>,
}

/// What is known of a new asset from elsewhere than its file, as if its owner had said it.
#[derive(Debug, Clone, Default)]
pub struct Said {
    pub taken: Option<SaidTaken>,
    pub position: Option<Position>,
    pub description: Option<String>,
    /// 0 to 5.
    pub rating: Option<i16>,
}

/// When a new asset was taken, and in which time zone.
#[derive(Debug, Clone)]
pub struct SaidTaken {
    pub created: Timestamp,
    /// On the clock on the wall there.
    pub local: civil::DateTime,
    pub time_zone: String,
}

/// Writes what is said of an asset that the transaction inserts; its times are in its row already.
pub(crate) async fn insert_said(transaction: &Transaction<'_>, asset: AssetId, said: &Said) -> Result<()> {
    let Said { taken, position, description, rating } = said;
    let by_hand: Vec<&str> =
        [taken.as_ref().map(|_| "date"), position.as_ref().map(|_| "place")].into_iter().flatten().collect();
    if by_hand.is_empty() && description.is_none() && rating.is_none() {
        return Ok(());
    }
    let (created, zone) = taken.as_ref().map(|taken| (taken.created, &taken.time_zone)).unzip();
    let place = position.as_ref();
    let statement = transaction
        .prepare_cached(
            "INSERT INTO asset_exif (asset_id, date_time_original, time_zone, latitude, longitude, city, state, country,
                description, rating, by_hand)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, coalesce($9, ''), $10, $11)",
        )
        .await?;
    transaction
        .execute(
            &statement,
            &[
                &asset.0,
                &created,
                &zone,
                &place.map(|place| place.latitude),
                &place.map(|place| place.longitude),
                &place.and_then(|place| place.city.as_deref()),
                &place.and_then(|place| place.state.as_deref()),
                &place.and_then(|place| place.country.as_deref()),
                description,
                rating,
                &by_hand,
            ],
        )
        .await?;
    Ok(())
}

impl Store {
    /// Writes when assets of this owner were taken. The results of the steps whose recipes begin with `recipes` are forgotten and
    /// the assets handed to the pipelines again: where an original lies follows from its date.
    pub async fn correct_taken(&self, owner: UserId, taken: &[Taken], recipes: &str) -> Result<()> {
        let ids: Vec<Uuid> = taken.iter().map(|one| one.asset.0).collect();
        let created: Vec<Timestamp> = taken.iter().map(|one| one.created).collect();
        let local: Vec<civil::DateTime> = taken.iter().map(|one| one.local).collect();
        let zones: Vec<Option<&str>> = taken.iter().map(|one| one.time_zone.as_deref()).collect();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH taken AS (
                    SELECT * FROM unnest($2::uuid[], $3::timestamptz[], $4::timestamp[], $5::text[]) t(id, at, local, zone)),
                 moved AS (
                    UPDATE asset a SET file_created_at = t.at, local_date_time = t.local FROM taken t
                    WHERE a.id = t.id AND a.owner_id = $1 RETURNING a.id, t.at, t.zone),
                 forgotten AS (
                    DELETE FROM step_result s USING moved WHERE s.asset_id = moved.id AND starts_with(s.recipe, $6)),
                 handed AS (
                    INSERT INTO outbox (asset_id, trigger, is_new) SELECT id, 'asset.created', false FROM moved)
                 INSERT INTO asset_exif AS x (asset_id, date_time_original, time_zone, by_hand)
                 SELECT id, at, zone, '{date}' FROM moved
                 ON CONFLICT (asset_id) DO UPDATE SET date_time_original = excluded.date_time_original,
                    time_zone = excluded.time_zone, by_hand = array_remove(x.by_hand, 'date') || 'date'::text",
            )
            .await?;
        client.execute(&statement, &[&owner.0, &ids, &created, &local, &zones, &recipes]).await?;
        Ok(())
    }

    /// Writes where assets of this owner were taken.
    pub async fn correct_position(&self, owner: UserId, ids: &[AssetId], position: &Position) -> Result<()> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let Position { latitude, longitude, city, state, country } = position;
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO asset_exif AS x (asset_id, latitude, longitude, city, state, country, by_hand)
                 SELECT id, $3, $4, $5, $6, $7, '{place}' FROM asset WHERE owner_id = $1 AND id = ANY($2)
                 ON CONFLICT (asset_id) DO UPDATE SET latitude = excluded.latitude, longitude = excluded.longitude,
                    city = excluded.city, state = excluded.state, country = excluded.country,
                    by_hand = array_remove(x.by_hand, 'place') || 'place'::text",
            )
            .await?;
        client.execute(&statement, &[&owner.0, &ids, latitude, longitude, city, state, country]).await?;
        Ok(())
    }
}
