//! Coordinates to places and time zones. Their tables are loaded when the first photo with GPS comes.

use std::collections::HashSet;
use std::sync::LazyLock;

use reverse_geocoder::{Record, ReverseGeocoder, degrees_lat_lng_to_unit_sphere};
use tzf_rs::DefaultFinder;

/// The nearest city (GeoNames, CC BY 4.0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub city: String,
    pub state: String,
    pub country: String,
}

static GEOCODER: LazyLock<ReverseGeocoder> = LazyLock::new(ReverseGeocoder::new);
static ZONES: LazyLock<DefaultFinder> = LazyLock::new(DefaultFinder::new);

/// A place that a name means.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedPlace {
    pub place: Place,
    /// A county or the like; may be empty.
    pub county: String,
    /// Degrees.
    pub latitude: f64,
    pub longitude: f64,
}

/// Degrees; `None` where they are none, or where no city is near.
pub fn place(latitude: f64, longitude: f64) -> Option<Place> {
    if !valid(latitude, longitude) {
        return None;
    }
    let found = GEOCODER.search((latitude, longitude)).record;
    if kilometres((latitude, longitude), (found.lat, found.lon)) > FARTHEST {
        return None;
    }
    Some(Place {
        city: found.name.to_string(),
        state: found.admin1.to_string(),
        country: country(&found.cc.to_string()),
    })
}

/// The places whose names begin with `name`, or have a word that does, in whatever case; the shortest names first.
///
/// The first call takes about a second.
pub fn places_named(name: &str, limit: usize) -> Vec<NamedPlace> {
    let name: String = name.trim().to_lowercase().chars().map(plain).collect();
    if name.is_empty() {
        return Vec::new();
    }
    let later = format!(" {name}");
    let mut found: Vec<(bool, &Named)> = NAMES
        .iter()
        .filter_map(|named| {
            let begins = named.name.starts_with(&name);
            (begins || named.name.contains(&later)).then_some((!begins, named))
        })
        .collect();
    found.sort_by_key(|(later, named)| (*later, named.name.len(), &*named.name, &*named.record.cc));
    found.into_iter().take(limit).map(|(_, named)| of_record(named.record)).collect()
}

/// The list has no accents.
fn plain(letter: char) -> char {
    const ACCENTS: [(&str, char); 12] = [
        ("àáâãäåāăą", 'a'),
        ("çćč", 'c'),
        ("èéêëēęě", 'e'),
        ("ìíîïīı", 'i'),
        ("ł", 'l'),
        ("ñńň", 'n'),
        ("òóôõöøōő", 'o'),
        ("ř", 'r'),
        ("śšş", 's'),
        ("ùúûüūůű", 'u'),
        ("ýÿ", 'y'),
        ("źžż", 'z'),
    ];
    ACCENTS.iter().find(|(accents, _)| accents.contains(letter)).map_or(letter, |(_, plain)| *plain)
}

fn of_record(record: &Record) -> NamedPlace {
    NamedPlace {
        place: Place { city: record.name.clone(), state: record.admin1.clone(), country: country(&record.cc) },
        county: record.admin2.clone(),
        latitude: record.lat,
        longitude: record.lon,
    }
}

struct Named {
    /// In lower case.
    name: String,
    record: &'static Record,
}

/// The geocoder keeps its list to itself and tells what is nearest to a point: so the Earth is asked square by square, and a
/// square without a town in its reach is not asked again. Finds more than 99 of 100.
static NAMES: LazyLock<Vec<Named>> = LazyLock::new(|| {
    const LARGEST: f64 = 22.5;
    const SMALLEST: f64 = 0.03;
    let corner = |row: i32, column: i32| (-90.0 + LARGEST * f64::from(row), -180.0 + LARGEST * f64::from(column));
    let mut squares: Vec<(f64, f64, f64)> = (0..8)
        .flat_map(|row| (0..16).map(move |column| corner(row, column)))
        .map(|(south, west)| (south, west, LARGEST))
        .collect();
    let (mut seen, mut names) = (HashSet::new(), Vec::new());
    while let Some((south, west, side)) = squares.pop() {
        let half = side / 2.0;
        let found = GEOCODER.search((south + half, west + half));
        if found.distance > reach(south, west, side) {
            continue;
        }
        let record: &'static Record = found.record;
        if seen.insert(std::ptr::from_ref(record)) {
            names.push(Named { name: record.name.to_lowercase(), record });
        }
        if side > SMALLEST {
            squares.extend(
                [(south, west), (south + half, west), (south, west + half), (south + half, west + half)]
                    .map(|(south, west)| (south, west, half)),
            );
        }
    }
    names
});

/// From the middle of a square of degrees to its farthest corner: the square of the chord, as the geocoder gives distances.
fn reach(south: f64, west: f64, side: f64) -> f64 {
    let point = degrees_lat_lng_to_unit_sphere;
    let middle = point(south + side / 2.0, west + side / 2.0);
    let to = |corner: [f64; 3]| (0..3).map(|axis| (middle[axis] - corner[axis]).powi(2)).sum::<f64>();
    to(point(south, west)).max(to(point(south + side, west)))
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
    Some(ZONES.get_tz_name(longitude, latitude).to_owned()).filter(|name| !name.is_empty())
}

/// (0, 0) is what cameras write that do not know.
fn valid(latitude: f64, longitude: f64) -> bool {
    latitude.abs() <= 90.0 && longitude.abs() <= 180.0 && (latitude, longitude) != (0.0, 0.0)
}

/// The English short name of an ISO 3166 code; the code itself where it is unknown.
fn country(code: &str) -> String {
    celes::Country::from_alpha2(code).map_or_else(
        |_| code.to_owned(),
        |country| {
            // As people and other programs write it: "Netherlands", not "The Netherlands".
            country.long_name.trim_start_matches("The ").to_owned()
        },
    )
}
