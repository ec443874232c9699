//! The timeline: counts by month, and a month as parallel columns, built as JSON where the rows are.

use jiff::civil;
use types::{UserId, Visibility};

use crate::{Result, Store};

/// Which assets a timeline shows.
#[derive(Debug, Clone)]
pub struct TimelineFilter {
    pub owner: UserId,
    /// `None`: what the timeline shows, and the archive when favourites or the trash are asked for.
    pub visibility: Option<Visibility>,
    pub is_favorite: Option<bool>,
    pub is_trashed: bool,
    /// Newest first, unless set.
    pub oldest_first: bool,
    pub with_coordinates: bool,
}

impl TimelineFilter {
    /// Conditions that use $1 (the owner). Enums and booleans only: nothing of a client is in the text. Spelled so that the plain
    /// timeline matches the partial index `asset_timeline`.
    fn conditions(&self) -> String {
        let mut sql = String::from("a.owner_id = $1");
        sql += if self.is_trashed { " AND a.deleted_at IS NOT NULL" } else { " AND a.deleted_at IS NULL" };
        match self.visibility {
            Some(visibility) => sql += &format!(" AND a.visibility = '{visibility}'"),
            None if self.is_favorite.is_some() || self.is_trashed => {
                sql += " AND a.visibility IN ('timeline', 'archive')";
            }
            None => sql += " AND a.visibility = 'timeline'",
        }
        match self.is_favorite {
            Some(true) => sql += " AND a.is_favorite",
            Some(false) => sql += " AND NOT a.is_favorite",
            None => {}
        }
        sql
    }

    fn order(&self) -> &'static str {
        if self.oldest_first { "ASC" } else { "DESC" }
    }
}

impl Store {
    /// The months that have assets (their first day) and how many, in order.
    pub async fn time_buckets(&self, filter: &TimelineFilter) -> Result<Vec<(civil::Date, i64)>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT date_trunc('month', a.local_date_time)::date AS month, count(*) FROM asset a WHERE {}
             GROUP BY date_trunc('month', a.local_date_time) ORDER BY date_trunc('month', a.local_date_time) {}",
            filter.conditions(),
            filter.order()
        );
        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &[&filter.owner.0]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// One month as Immich's columnar object, as JSON text.
    pub async fn time_bucket(&self, filter: &TimelineFilter, month: civil::Date) -> Result<String> {
        let client = self.client().await?;
        let coordinates = if filter.with_coordinates {
            ", 'latitude', coalesce(json_agg(latitude), '[]'), 'longitude', coalesce(json_agg(longitude), '[]')"
        } else {
            ""
        };
        let sql = format!(
            r#"SELECT json_build_object(
                'id', coalesce(json_agg(id), '[]'),
                'ownerId', coalesce(json_agg(owner_id), '[]'),
                'isFavorite', coalesce(json_agg(is_favorite), '[]'),
                'isImage', coalesce(json_agg(type = 'IMAGE'), '[]'),
                'isTrashed', coalesce(json_agg(deleted_at IS NOT NULL), '[]'),
                'visibility', coalesce(json_agg(visibility), '[]'),
                'duration', coalesce(json_agg(duration_ms), '[]'),
                'livePhotoVideoId', coalesce(json_agg(live_photo_video_id), '[]'),
                'fileCreatedAt', coalesce(json_agg(to_char(file_created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), '[]'),
                'createdAt', coalesce(json_agg(to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), '[]'),
                'localOffsetHours', coalesce(json_agg(round((extract(epoch FROM
                    local_date_time - file_created_at AT TIME ZONE 'UTC') / 3600)::numeric, 2)::float8), '[]'),
                'ratio', coalesce(json_agg(ratio), '[]'),
                'thumbhash', coalesce(json_agg(encode(thumbhash, 'base64')), '[]'),
                'projectionType', coalesce(json_agg(projection_type), '[]'),
                'city', coalesce(json_agg(city), '[]'),
                'country', coalesce(json_agg(country), '[]'){coordinates})::text
            FROM (SELECT a.*, x.projection_type, x.city, x.country, x.latitude, x.longitude,
                    CASE WHEN a.height > 0 THEN round(a.width::numeric / a.height, 3)::float8 ELSE 1 END AS ratio
                  FROM asset a LEFT JOIN asset_exif x ON x.asset_id = a.id
                  WHERE {} AND date_trunc('month', a.local_date_time) = $2
                  ORDER BY a.local_date_time {}, a.id) bucket"#,
            filter.conditions(),
            filter.order()
        );
        let statement = client.prepare_cached(&sql).await?;
        let month = month.at(0, 0, 0, 0);
        Ok(client.query_one(&statement, &[&filter.owner.0, &month]).await?.get(0))
    }
}
