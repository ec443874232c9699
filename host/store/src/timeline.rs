//! The timeline: counts by month, and a month as parallel columns, built as JSON where the rows are.

use jiff::civil;
use tokio_postgres::types::ToSql;
use types::{AlbumId, UserId, Visibility};
use uuid::Uuid;

use crate::{Result, Store};

/// Whose assets a timeline shows.
#[derive(Debug, Clone)]
pub enum Scope {
    /// Those of one user.
    Of(UserId),
    /// Those of several.
    OfAll(Vec<UserId>),
    /// Those of an album, whoever owns them.
    Album(AlbumId),
}

/// Which assets a timeline shows.
#[derive(Debug, Clone)]
pub struct TimelineFilter {
    pub scope: Scope,
    /// Who looks; `None`: somebody with a link. What is a favourite, and what lies in the trash, is for its owner to see.
    pub viewer: Option<UserId>,
    /// `None`: what the timeline shows; and the archive too of an album, and where favourites or the trash are asked for.
    pub visibility: Option<Visibility>,
    pub is_favorite: Option<bool>,
    pub is_trashed: bool,
    /// Newest first, unless set.
    pub oldest_first: bool,
    pub with_coordinates: bool,
    /// Says nothing of where photos were taken, and of the time only what stood on the wall.
    pub without_metadata: bool,
}

impl TimelineFilter {
    /// Conditions that use $1 (whose they are) and $2 (who looks). Enums and booleans only: nothing of a client is in the text.
    /// Spelled so that the plain timeline matches the partial index `asset_timeline`.
    fn conditions(&self) -> String {
        let mut sql = String::from(match self.scope {
            Scope::Of(_) => "a.owner_id = $1",
            Scope::OfAll(_) => "a.owner_id = ANY($1)",
            Scope::Album(_) => "a.id IN (SELECT m.asset_id FROM album_asset m WHERE m.album_id = $1)",
        });
        sql += match self.is_trashed {
            true => " AND a.deleted_at IS NOT NULL AND a.owner_id = $2",
            false => " AND a.deleted_at IS NULL",
        };
        match self.visibility {
            Some(visibility) => sql += &format!(" AND a.visibility = '{visibility}'"),
            None if self.is_favorite.is_some() || self.is_trashed || matches!(self.scope, Scope::Album(_)) => {
                sql += " AND a.visibility IN ('timeline', 'archive')";
            }
            None => sql += " AND a.visibility = 'timeline'",
        }
        match self.is_favorite {
            Some(true) => sql += " AND a.is_favorite AND a.owner_id = $2",
            Some(false) => sql += " AND (a.is_favorite AND a.owner_id = $2) IS NOT TRUE",
            None => {}
        }
        // Every statement has both parameters, whether it needs them or not.
        sql + " AND ($2::uuid IS NULL OR true)"
    }

    fn order(&self) -> &'static str {
        if self.oldest_first { "ASC" } else { "DESC" }
    }

    /// $1.
    fn whose(&self) -> Box<dyn ToSql + Sync + Send> {
        match &self.scope {
            Scope::Of(user) => Box::new(user.0),
            Scope::OfAll(users) => Box::new(users.iter().map(|user| user.0).collect::<Vec<Uuid>>()),
            Scope::Album(album) => Box::new(album.0),
        }
    }

    /// $2.
    fn viewer(&self) -> Option<Uuid> {
        self.viewer.map(|user| user.0)
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
        let rows = client.query(&statement, &[&*filter.whose(), &filter.viewer()]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// One month as Immich's columnar object, as JSON text.
    pub async fn time_bucket(&self, filter: &TimelineFilter, month: civil::Date) -> Result<String> {
        let client = self.client().await?;
        let coordinates = if filter.with_coordinates && !filter.without_metadata {
            ", 'latitude', coalesce(json_agg(latitude), '[]'), 'longitude', coalesce(json_agg(longitude), '[]')"
        } else {
            ""
        };
        let (city, country, taken, made) = match filter.without_metadata {
            true => ("NULL::text", "NULL::text", "local_date_time", "local_date_time"),
            false => ("x.city", "x.country", "file_created_at AT TIME ZONE 'UTC'", "created_at AT TIME ZONE 'UTC'"),
        };
        let sql = format!(
            r#"SELECT json_build_object(
                'id', coalesce(json_agg(id), '[]'),
                'ownerId', coalesce(json_agg(owner_id), '[]'),
                'isFavorite', coalesce(json_agg(is_favorite AND owner_id IS NOT DISTINCT FROM $2), '[]'),
                'isImage', coalesce(json_agg(type = 'IMAGE'), '[]'),
                'isTrashed', coalesce(json_agg(deleted_at IS NOT NULL), '[]'),
                'visibility', coalesce(json_agg(visibility), '[]'),
                'duration', coalesce(json_agg(duration_ms), '[]'),
                'livePhotoVideoId', coalesce(json_agg(live_photo_video_id), '[]'),
                'fileCreatedAt', coalesce(json_agg(to_char({taken}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), '[]'),
                'createdAt', coalesce(json_agg(to_char({made}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), '[]'),
                'localOffsetHours', coalesce(json_agg(round((extract(epoch FROM
                    local_date_time - ({taken})) / 3600)::numeric, 2)::float8), '[]'),
                'ratio', coalesce(json_agg(ratio), '[]'),
                'thumbhash', coalesce(json_agg(encode(thumbhash, 'base64')), '[]'),
                'projectionType', coalesce(json_agg(projection_type), '[]'),
                'city', coalesce(json_agg(city), '[]'),
                'country', coalesce(json_agg(country), '[]'){coordinates})::text
            FROM (SELECT a.*, x.projection_type, {city} AS city, {country} AS country, x.latitude, x.longitude,
                    CASE WHEN a.height > 0 THEN round(a.width::numeric / a.height, 3)::float8 ELSE 1 END AS ratio
                  FROM asset a LEFT JOIN asset_exif x ON x.asset_id = a.id
                  WHERE {} AND date_trunc('month', a.local_date_time) = $3
                  ORDER BY a.local_date_time {}, a.id) bucket"#,
            filter.conditions(),
            filter.order()
        );
        let statement = client.prepare_cached(&sql).await?;
        let month = month.at(0, 0, 0, 0);
        Ok(client.query_one(&statement, &[&*filter.whose(), &filter.viewer(), &month]).await?.get(0))
    }
}
