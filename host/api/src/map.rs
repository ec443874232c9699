//! Tag "Map".

use axum::Json as Answer;
use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use store::map::{Marker, MarkerFilter};

use crate::error::{ApiError, Result};
use crate::extract::{Auth, Query};
use crate::routes::{Access, Routes};
use crate::{ApiState, is_kept};

pub fn routes() -> Routes {
    Routes::new().get("/map/markers", "getMapMarkers", Access::User("map.read"), get_map_markers).get(
        "/map/reverse-geocode",
        "reverseGeocode",
        Access::User("map.search"),
        reverse_geocode,
    )
}

/// MapMarkerResponseDto.
fn json(marker: &Marker) -> Value {
    json!({
        "id": marker.asset,
        "lat": marker.latitude,
        "lon": marker.longitude,
        "city": marker.city,
        "state": marker.state,
        "country": marker.country,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    is_archived: Option<bool>,
    is_favorite: Option<bool>,
    file_created_after: Option<Timestamp>,
    file_created_before: Option<Timestamp>,
}

async fn get_map_markers(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Filter>,
) -> Result<Answer<Value>> {
    let dates = [("fileCreatedAfter", query.file_created_after), ("fileCreatedBefore", query.file_created_before)];
    if let Some((name, _)) = dates.into_iter().find(|(_, date)| date.is_some_and(|date| !is_kept(date))) {
        return Err(ApiError::field(name, "is in no year from 1 to 9999"));
    }
    let filter = MarkerFilter {
        is_archived: query.is_archived,
        is_favorite: query.is_favorite,
        taken_after: query.file_created_after,
        taken_before: query.file_created_before,
    };
    Ok(Answer(state.gallery.markers(auth.user(), &filter).await?.iter().map(json).collect()))
}

#[derive(Deserialize)]
struct Position {
    lat: f64,
    lon: f64,
}

async fn reverse_geocode(State(state): State<ApiState>, _: Auth, Query(at): Query<Position>) -> Result<Answer<Value>> {
    for (name, value, most) in [("lat", at.lat, 90.0), ("lon", at.lon, 180.0)] {
        if value.is_nan() || value.abs() > most {
            return Err(ApiError::field(name, format!("must be -{most} to {most}")));
        }
    }
    let place = state.gallery.place_at(at.lat, at.lon).await?;
    let json = |place: &media::Place| json!({ "city": place.city, "state": place.state, "country": place.country });
    Ok(Answer(place.iter().map(json).collect()))
}
