//! Where photos were taken.

use jiff::Timestamp;
use types::{AssetId, UserId};

use crate::{Result, Store};

/// An asset with its coordinates in degrees, and the place that is near.
#[derive(Debug, Clone)]
pub struct Marker {
    pub asset: AssetId,
    pub latitude: f64,
    pub longitude: f64,
    pub city: Option<String>,
    pub state: Option<String>,
    pub country: Option<String>,
}

/// Which assets a map shows; `None`: whatever.
#[derive(Debug, Clone, Default)]
pub struct MarkerFilter {
    /// The archive alone, or all but the archive.
    pub is_archived: Option<bool>,
    pub is_favorite: Option<bool>,
    pub taken_after: Option<Timestamp>,
    pub taken_before: Option<Timestamp>,
}

impl Store {
    /// Newest first.
    pub async fn markers(&self, owner: UserId, filter: &MarkerFilter) -> Result<Vec<Marker>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT a.id, x.latitude, x.longitude, x.city, x.state, x.country
                 FROM asset a JOIN asset_exif x ON x.asset_id = a.id
                 WHERE a.owner_id = $1 AND a.deleted_at IS NULL AND a.visibility IN ('timeline', 'archive')
                   AND x.latitude IS NOT NULL AND x.longitude IS NOT NULL
                   AND ($2::boolean IS NULL OR (a.visibility = 'archive') = $2)
                   AND ($3::boolean IS NULL OR a.is_favorite = $3)
                   AND ($4::timestamptz IS NULL OR a.file_created_at >= $4)
                   AND ($5::timestamptz IS NULL OR a.file_created_at <= $5)
                 ORDER BY a.file_created_at DESC, a.id DESC",
            )
            .await?;
        let MarkerFilter { is_archived, is_favorite, taken_after, taken_before } = filter;
        let rows = client.query(&statement, &[&owner.0, is_archived, is_favorite, taken_after, taken_before]).await?;
        Ok(rows
            .iter()
            .map(|row| Marker {
                asset: AssetId(row.get(0)),
                latitude: row.get(1),
                longitude: row.get(2),
                city: row.get(3),
                state: row.get(4),
                country: row.get(5),
            })
            .collect())
    }
}
