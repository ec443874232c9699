//! Names to places.

use std::collections::HashSet;
use std::time::Duration;

use reverse_geocoder::{Record, ReverseGeocoder, degrees_lat_lng_to_unit_sphere};

use crate::places::{Place, country};
use crate::seldom::Seldom;

/// A place that a name means (GeoNames, CC BY 4.0).
#[derive(Debug, Clone, PartialEq)]
pub struct NamedPlace {
    pub place: Place,
    /// A county or the like; may be empty.
    pub county: String,
    /// Degrees.
    pub latitude: f64,
    pub longitude: f64,
}

/// The places whose names begin with `name`, or have a word that does, in whatever case; the shortest names first.
///
/// A call after five minutes without one takes about a second.
pub fn places_named(name: &str, limit: usize) -> Vec<NamedPlace> {
    let name: String = name.trim().to_lowercase().chars().map(plain).collect();
    if name.is_empty() {
        return Vec::new();
    }
    let later = format!(" {name}");
    let names = NAMES.get();
    let mut found: Vec<(bool, &Named)> = names
        .iter()
        .filter_map(|named| {
            let begins = named.name.starts_with(&name);
            (begins || named.name.contains(&later)).then_some((!begins, named))
        })
        .collect();
    found.sort_by_key(|(later, named)| (*later, named.name.len(), &*named.name, &*named.record.cc));
    found.into_iter().take(limit).map(|(_, named)| of_record(&named.record)).collect()
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
    record: Record,
}

static NAMES: Seldom<Vec<Named>> = Seldom::new(Duration::from_secs(300), names);

/// The geocoder keeps its list to itself and tells what is nearest to a point: so the Earth is asked square by square, and a
/// square without a town in its reach is not asked again. Finds 98 of 100; the others lie a mile from one that is found.
fn names() -> Vec<Named> {
    const LARGEST: f64 = 22.5;
    const SMALLEST: f64 = 0.03;
    let geocoder = ReverseGeocoder::new();
    let mut squares: Vec<(f64, f64, f64)> = (0..8)
        .flat_map(|row| (0..16).map(move |column| (f64::from(row), f64::from(column))))
        .map(|(row, column)| (-90.0 + LARGEST * row, -180.0 + LARGEST * column, LARGEST))
        .collect();
    let (mut seen, mut names) = (HashSet::new(), Vec::new());
    while let Some((south, west, side)) = squares.pop() {
        let half = side / 2.0;
        let found = geocoder.search((south + half, west + half));
        if found.distance > reach(south, west, side) {
            continue;
        }
        if seen.insert(std::ptr::from_ref(found.record)) {
            names.push(Named { name: found.record.name.to_lowercase(), record: found.record.clone() });
        }
        if side > SMALLEST {
            let corners = [(south, west), (south + half, west), (south, west + half), (south + half, west + half)];
            squares.extend(corners.map(|(south, west)| (south, west, half)));
        }
    }
    names
}

/// From the middle of a square of degrees to its farthest corner: the square of the chord, as the geocoder gives distances.
fn reach(south: f64, west: f64, side: f64) -> f64 {
    let point = degrees_lat_lng_to_unit_sphere;
    let middle = point(south + side / 2.0, west + side / 2.0);
    let to = |corner: [f64; 3]| (0..3).map(|axis| (middle[axis] - corner[axis]).powi(2)).sum::<f64>();
    to(point(south, west)).max(to(point(south + side, west)))
}
