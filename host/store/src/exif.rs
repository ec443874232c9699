//! What the camera wrote, and what was derived from it.

use deadpool_postgres::Transaction;
use jiff::{Timestamp, civil};
use tokio_postgres::Row;
use types::AssetId;

use crate::{Result, Store};

/// A row of `asset_exif`. Everything may be unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exif {
    pub make: Option<String>,
    pub model: Option<String>,
    pub lens_model: Option<String>,
    /// As written on a dial: `1/250`.
    pub exposure_time: Option<String>,
    pub f_number: Option<f64>,
    /// Millimetres.
    pub focal_length: Option<f64>,
    pub iso: Option<i32>,
    /// 1 to 8.
    pub orientation: Option<i16>,
    /// Degrees.
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub city: Option<String>,
    pub state: Option<String>,
    pub country: Option<String>,
    pub description: String,
    pub rating: Option<i16>,
    /// IANA's name, or an offset such as `UTC+02:00`.
    pub time_zone: Option<String>,
    pub date_time_original: Option<Timestamp>,
    pub width: Option<i32>,
    pub height: Option<i32>,
    pub projection_type: Option<String>,
    pub fps: Option<f64>,
}

/// Columns of `asset_exif x`, in the order that [`exif`] reads by name.
pub(crate) const COLUMNS: &str = "x.make, x.model, x.lens_model, x.exposure_time, x.f_number, x.focal_length, x.iso, \
    x.orientation, x.latitude, x.longitude, x.city, x.state, x.country, coalesce(x.description, '') AS description, \
    x.rating, x.time_zone, x.date_time_original, x.exif_image_width, x.exif_image_height, x.projection_type, x.fps";

pub(crate) fn exif(row: &Row) -> Exif {
    Exif {
        make: row.get("make"),
        model: row.get("model"),
        lens_model: row.get("lens_model"),
        exposure_time: row.get("exposure_time"),
        f_number: row.get("f_number"),
        focal_length: row.get("focal_length"),
        iso: row.get("iso"),
        orientation: row.get("orientation"),
        latitude: row.get("latitude"),
        longitude: row.get("longitude"),
        city: row.get("city"),
        state: row.get("state"),
        country: row.get("country"),
        description: row.get("description"),
        rating: row.get("rating"),
        time_zone: row.get("time_zone"),
        date_time_original: row.get("date_time_original"),
        width: row.get("exif_image_width"),
        height: row.get("exif_image_height"),
        projection_type: row.get("projection_type"),
        fps: row.get("fps"),
    }
}

impl Store {
    /// Writes what the metadata step found, and the times that follow from it. A description, a rating, a date or a place that
    /// somebody gave by hand stays. Returns the local time that the asset has now; `None`: it is gone.
    pub async fn save_exif(
        &self,
        asset: AssetId,
        exif: &Exif,
        created: Timestamp,
        local: civil::DateTime,
    ) -> Result<Option<civil::DateTime>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let Some(by_hand) = write(&transaction, asset, exif).await? else { return Ok(None) };
        let statement = transaction
            .prepare_cached(
                "UPDATE asset SET file_created_at = CASE WHEN $4 THEN file_created_at ELSE $2 END,
                    local_date_time = CASE WHEN $4 THEN local_date_time ELSE $3 END
                 WHERE id = $1 RETURNING local_date_time",
            )
            .await?;
        let row = transaction.query_opt(&statement, &[&asset.0, &created, &local, &by_hand]).await?;
        transaction.commit().await?;
        Ok(row.map(|row| row.get(0)))
    }
}

/// The row of the asset is locked before that of what is known of it, as whoever corrects it does: in the other order the two would wait
/// for each other, and PostgreSQL would end one of them.
const SAVE: &str =
    "INSERT INTO asset_exif (asset_id, make, model, lens_model, exposure_time, f_number, focal_length, iso,
        orientation, latitude, longitude, city, state, country, description, rating, time_zone, date_time_original,
        exif_image_width, exif_image_height, projection_type, fps)
     SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22
     FROM asset WHERE id = $1 FOR NO KEY UPDATE
     ON CONFLICT (asset_id) DO UPDATE SET make = excluded.make, model = excluded.model,
        lens_model = excluded.lens_model, exposure_time = excluded.exposure_time, f_number = excluded.f_number,
        focal_length = excluded.focal_length, iso = excluded.iso, orientation = excluded.orientation,
        latitude = CASE WHEN 'place' = ANY(asset_exif.by_hand) THEN asset_exif.latitude ELSE excluded.latitude END,
        longitude = CASE WHEN 'place' = ANY(asset_exif.by_hand) THEN asset_exif.longitude ELSE excluded.longitude END,
        city = CASE WHEN 'place' = ANY(asset_exif.by_hand) THEN asset_exif.city ELSE excluded.city END,
        state = CASE WHEN 'place' = ANY(asset_exif.by_hand) THEN asset_exif.state ELSE excluded.state END,
        country = CASE WHEN 'place' = ANY(asset_exif.by_hand) THEN asset_exif.country ELSE excluded.country END,
        rating = coalesce(asset_exif.rating, excluded.rating),
        description = CASE WHEN asset_exif.description = '' THEN excluded.description ELSE asset_exif.description END,
        time_zone = CASE WHEN 'date' = ANY(asset_exif.by_hand) THEN asset_exif.time_zone ELSE excluded.time_zone END,
        date_time_original = CASE WHEN 'date' = ANY(asset_exif.by_hand) THEN asset_exif.date_time_original
            ELSE excluded.date_time_original END,
        exif_image_width = excluded.exif_image_width, exif_image_height = excluded.exif_image_height,
        projection_type = excluded.projection_type, fps = excluded.fps
     RETURNING 'date' = ANY(by_hand)";

/// Was the date given by hand? `None`: the asset is gone.
async fn write(transaction: &Transaction<'_>, asset: AssetId, exif: &Exif) -> Result<Option<bool>> {
    let statement = transaction.prepare_cached(SAVE).await?;
    let row = transaction
        .query_opt(
            &statement,
            &[
                &asset.0,
                &text(&exif.make),
                &text(&exif.model),
                &text(&exif.lens_model),
                &text(&exif.exposure_time),
                &exif.f_number,
                &exif.focal_length,
                &exif.iso,
                &exif.orientation,
                &exif.latitude,
                &exif.longitude,
                &exif.city,
                &exif.state,
                &exif.country,
                &exif.description.replace('\0', ""),
                &exif.rating,
                &text(&exif.time_zone),
                &exif.date_time_original,
                &exif.width,
                &exif.height,
                &text(&exif.projection_type),
                &exif.fps,
            ],
        )
        .await?;
    Ok(row.map(|row| row.get(0)))
}

/// PostgreSQL keeps no NUL, and cameras write some.
fn text(text: &Option<String>) -> Option<String> {
    text.as_ref().map(|text| text.replace('\0', ""))
}
