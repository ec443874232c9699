//! Coordinates to places and time zones. Their tables, some hundred megabytes, are loaded when a photo with GPS comes, and dropped
//! when none has come for a while.

use std::time::Duration;

use reverse_geocoder::ReverseGeocoder;
use tzf_rs::DefaultFinder;

use crate::seldom::Seldom;

/// The nearest city (GeoNames, CC BY 4.0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub city: String,
    pub state: String,
    pub country: String,
}

/// Loading takes a fraction of a second.
const IDLE: Duration = Duration::from_secs(30);

static GEOCODER: Seldom<ReverseGeocoder> = Seldom::new(IDLE, ReverseGeocoder::new);
static ZONES: Seldom<DefaultFinder> = Seldom::new(IDLE, DefaultFinder::new);

/// Degrees; `None` where they are none, or where no city is near.
pub fn place(latitude: f64, longitude: f64) -> Option<Place> {
    if !valid(latitude, longitude) {
        return None;
    }
    let geocoder = GEOCODER.get();
    let found = geocoder.search((latitude, longitude)).record;
    if kilometres((latitude, longitude), (found.lat, found.lon)) > FARTHEST {
        return None;
    }
    Some(Place {
        city: found.name.to_string(),
        state: found.admin1.to_string(),
        country: country(&found.cc.to_string()),
    })
}

/// In the middle of an ocean the nearest city is no place that anybody would say. In kilometres.
const FARTHEST: f64 = 100.0;

/// Along the surface of the Earth (haversine).
fn kilometres(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (latitude, longitude) = ((to.0 - from.0).to_radians(), (to.1 - from.1).to_radians());
    let half = (latitude / 2.0).sin().powi(2)
        + from.0.to_radians().cos() * to.0.to_radians().cos() * (longitude / 2.0).sin().powi(2);
    2.0 * 6_371.0 * half.sqrt().min(1.0).asin()
}

/// IANA's name, such as `Europe/Berlin`.
pub fn time_zone_at(latitude: f64, longitude: f64) -> Option<String> {
    if !valid(latitude, longitude) {
        return None;
    }
    Some(ZONES.get().get_tz_name(longitude, latitude).to_owned()).filter(|name| !name.is_empty())
}

/// (0, 0) is what cameras write that do not know.
fn valid(latitude: f64, longitude: f64) -> bool {
    latitude.abs() <= 90.0 && longitude.abs() <= 180.0 && (latitude, longitude) != (0.0, 0.0)
}

/// The English short name of an ISO 3166 code; the code itself where it is unknown.
pub(crate) fn country(code: &str) -> String {
    celes::Country::from_alpha2(code).map_or_else(
        |_| code.to_owned(),
        |country| {
            // As people and other programs write it: "Netherlands", not "The Netherlands".
            country.long_name.trim_start_matches("The ").to_owned()
        },
    )
}
