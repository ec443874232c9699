//! Tag "Views", and the calendar of tag "Users".

use axum::Json as Answer;
use axum::extract::State;
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};
use store::views::Counted;

use crate::error::{ApiError, Result};
use crate::extract::{Auth, Query};
use crate::routes::{Access, Routes};
use crate::{ApiState, assets};

/// Days of a calendar at most: ten years.
const LONGEST: i64 = 3_660;

pub fn routes() -> Routes {
    let folder = Access::User("folder.read");
    Routes::new()
        .get("/view/folder/unique-paths", "getUniqueOriginalPaths", folder, get_unique_original_paths)
        .get("/view/folder", "getAssetsByOriginalPath", folder, get_assets_by_original_path)
        .get("/users/me/calendar-heatmap", "getMyCalendarHeatmap", Access::User("user.read"), get_my_calendar_heatmap)
}

async fn get_unique_original_paths(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Vec<String>>> {
    Ok(Answer(state.gallery.folders(auth.user()).await?))
}

#[derive(Deserialize)]
struct Folder {
    path: String,
}

async fn get_assets_by_original_path(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Folder>,
) -> Result<Answer<Value>> {
    let folder = query.path.trim_end_matches('/');
    Ok(Answer(state.gallery.in_folder(auth.user(), folder).await?.iter().map(assets::json).collect()))
}

#[derive(Deserialize, Clone, Copy)]
enum HeatmapType {
    Upload,
    Taken,
}

#[derive(Deserialize)]
struct Heatmap {
    #[serde(rename = "type")]
    kind: Option<HeatmapType>,
    from: Option<String>,
    to: Option<String>,
}

impl Heatmap {
    /// The year until today, unless said otherwise.
    fn days(&self, today: Date) -> Result<(Date, Date)> {
        let date = |name: &'static str, text: &Option<String>| match text {
            // A date or an instant: the first ten letters of both.
            Some(text) => text
                .get(..10)
                .and_then(|date| date.parse::<Date>().ok())
                .filter(|date| date.year() >= 1)
                .map(Some)
                .ok_or_else(|| ApiError::field(name, "is no date such as 2024-03-15")),
            None => Ok(None),
        };
        let to = date("to", &self.to)?.unwrap_or(today);
        let from = date("from", &self.from)?.unwrap_or_else(|| to.saturating_sub(1.year()).tomorrow().unwrap_or(to));
        if from > to {
            return Err(ApiError::field("from", "must not be after to"));
        }
        match from.until(to) {
            Ok(span) if i64::from(span.get_days()) < LONGEST => Ok((from, to)),
            _ => Err(ApiError::field("from", format!("must be at most {LONGEST} days before to"))),
        }
    }
}

async fn get_my_calendar_heatmap(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Heatmap>,
) -> Result<Answer<Value>> {
    let (from, to) = query.days(TimeZone::UTC.to_datetime(state.gallery.now()).date())?;
    let counted = match query.kind.unwrap_or(HeatmapType::Taken) {
        HeatmapType::Upload => Counted::Uploaded,
        HeatmapType::Taken => Counted::Taken,
    };
    let days = state.gallery.by_day(auth.user(), counted, (from, to)).await?;
    Ok(Answer(json!({
        "from": from.to_string(),
        "to": to.to_string(),
        "totalCount": days.iter().map(|(_, count)| count).sum::<i64>(),
        "series": days
            .iter()
            .map(|(day, count)| json!({ "date": day.to_string(), "count": count }))
            .collect::<Value>(),
    })))
}
