//! The timeline: counts by month, and a month as parallel columns, built as JSON where the rows are.

use jiff::civil;
use tokio_postgres::types::ToSql;
use types::{TagId, UserId, Visibility};

use crate::search::tagged;
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
    /// Of a stack only what is shown, with its id and count.
    pub with_stacked: bool,
    /// What has this tag or one below it.
    pub tag: Option<TagId>,
}

impl TimelineFilter {
    /// Conditions on `a` that use $1 (the owner) and, where there is one, $2 (the tag). Enums and booleans only: nothing of a
    /// client is in the text. Spelled so that the plain timeline matches the partial index `asset_timeline`.
    fn conditions(&self, a: &str) -> String {
        let mut sql = format!("{a}.owner_id = $1");
        if self.tag.is_some() {
            sql += &format!(" AND {a}.id IN {}", tagged("ARRAY[$2::uuid]", "1"));
        }
        sql += &format!(" AND {a}.deleted_at IS {}", if self.is_trashed { "NOT NULL" } else { "NULL" });
        match self.visibility {
            Some(visibility) => sql += &format!(" AND {a}.visibility = '{visibility}'"),
            None if self.is_favorite.is_some() || self.is_trashed => {
                sql += &format!(" AND {a}.visibility IN ('timeline', 'archive')");
            }
            None => sql += &format!(" AND {a}.visibility = 'timeline'"),
        }
        match self.is_favorite {
            Some(true) => sql += &format!(" AND {a}.is_favorite"),
            Some(false) => sql += &format!(" AND NOT {a}.is_favorite"),
            None => {}
        }
        sql
    }

    /// Stacks `s` whose shown asset `p` passes: it stands for the others.
    fn covering(&self) -> String {
        format!("stack s JOIN asset p ON p.id = s.primary_asset_id AND {}", self.conditions("p"))
    }

    /// The owner, the tag, and what else a statement needs.
    fn arguments<'a>(
        &'a self,
        tag: &'a Option<uuid::Uuid>,
        more: &[&'a (dyn ToSql + Sync)],
    ) -> Vec<&'a (dyn ToSql + Sync)> {
        let mut all: Vec<&(dyn ToSql + Sync)> = vec![&self.owner.0];
        if self.tag.is_some() {
            all.push(tag);
        }
        all.extend(more);
        all
    }

    fn order(&self) -> &'static str {
        if self.oldest_first { "ASC" } else { "DESC" }
    }
}

impl Store {
    /// The months that have assets (their first day) and how many, in order.
    pub async fn time_buckets(&self, filter: &TimelineFilter) -> Result<Vec<(civil::Date, i64)>> {
        let client = self.client().await?;
        let (conditions, order) = (filter.conditions("a"), filter.order());
        let month = "date_trunc('month', a.local_date_time)";
        let sql = if filter.with_stacked {
            // Those that are covered are few, and counted by themselves: the index alone still counts all.
            format!(
                "SELECT n.month::date, n.count - coalesce(c.count, 0) FROM (
                    SELECT {month} AS month, count(*) AS count FROM asset a WHERE {conditions} GROUP BY {month}
                 ) n LEFT JOIN (
                    SELECT {month} AS month, count(*) AS count
                    FROM {} JOIN asset a ON a.stack_id = s.id AND a.id <> p.id
                    WHERE s.owner_id = $1 AND {conditions} GROUP BY {month}
                 ) c ON c.month = n.month
                 WHERE n.count > coalesce(c.count, 0) ORDER BY n.month {order}",
                filter.covering()
            )
        } else {
            format!(
                "SELECT {month}::date AS month, count(*) FROM asset a WHERE {conditions}
                 GROUP BY {month} ORDER BY {month} {order}"
            )
        };
        let statement = client.prepare_cached(&sql).await?;
        let tag = filter.tag.map(|id| id.0);
        let rows = client.query(&statement, &filter.arguments(&tag, &[])).await?;
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
        let (mut stack, mut uncovered) = ("", String::new());
        if filter.with_stacked {
            // The page reads the count as a text (Immich web 3.1).
            stack = ", 'stack', coalesce(json_agg(CASE WHEN stack_id IS NOT NULL THEN json_build_array(stack_id::text,
                (SELECT count(*) FROM asset o WHERE o.stack_id = bucket.stack_id AND o.deleted_at IS NULL)::text) END), '[]')";
            uncovered = format!(
                " AND (a.stack_id IS NULL OR NOT EXISTS (SELECT FROM {} WHERE s.id = a.stack_id AND p.id <> a.id))",
                filter.covering()
            );
        }
        let at = if filter.tag.is_some() { "$3" } else { "$2" };
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
                'country', coalesce(json_agg(country), '[]'){coordinates}{stack})::text
            FROM (SELECT a.*, x.projection_type, x.city, x.country, x.latitude, x.longitude,
                    CASE WHEN a.height > 0 THEN round(a.width::numeric / a.height, 3)::float8 ELSE 1 END AS ratio
                  FROM asset a LEFT JOIN asset_exif x ON x.asset_id = a.id
                  WHERE {}{uncovered} AND date_trunc('month', a.local_date_time) = {at}
                  ORDER BY a.local_date_time {}, a.id) bucket"#,
            filter.conditions("a"),
            filter.order()
        );
        let statement = client.prepare_cached(&sql).await?;
        let month = month.at(0, 0, 0, 0);
        let tag = filter.tag.map(|id| id.0);
        Ok(client.query_one(&statement, &filter.arguments(&tag, &[&month])).await?.get(0))
    }
}
