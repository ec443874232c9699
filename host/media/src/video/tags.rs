//! What the camera wrote into a video: date, place, maker. By ffprobe's tags.

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use super::VideoInfo;
use crate::metadata::{LONGEST_DESCRIPTION, LONGEST_TEXT, clean};
use crate::{Metadata, offset_name, parse_offset, time_zone_at};

impl VideoInfo {
    /// What is missing or damaged is simply not there.
    pub fn metadata(&self) -> Metadata {
        let tag = |names: &[&str]| {
            names.iter().find_map(|name| self.tags.get(*name)).and_then(|text| clean(text, LONGEST_TEXT))
        };
        let position = tag(&[
            "com.apple.quicktime.location.iso6709",
            "location",
            "location-eng",
            "com.apple.quicktime.location.iso6709-eng",
            "geotag",
        ]);
        let position = position.as_deref().and_then(iso6709);
        let mut metadata = Metadata {
            make: tag(&["com.apple.quicktime.make", "make", "com.android.manufacturer", "manufacturer"]),
            model: tag(&["com.apple.quicktime.model", "model", "com.android.model"]),
            latitude: position.map(|(latitude, _)| latitude),
            longitude: position.map(|(_, longitude)| longitude),
            description: ["com.apple.quicktime.description", "description", "synopsis", "comment"]
                .iter()
                .find_map(|name| self.tags.get(*name))
                .and_then(|text| clean(text, LONGEST_DESCRIPTION)),
            rating: tag(&["com.apple.quicktime.rating.user"])
                .and_then(|text| text.parse::<f32>().ok())
                .map(|rating| rating.round() as i16)
                .filter(|rating| (0..=5).contains(rating)),
            content_id: tag(&["com.apple.quicktime.content.identifier"]).filter(|id| id.len() <= 128),
            ..Metadata::default()
        };
        self.read_date(&mut metadata);
        metadata
    }

    /// Apple's own date has the offset of the place; `creation_time` is UTC, where the camera kept to the standard.
    fn read_date(&self, metadata: &mut Metadata) {
        let by_place = metadata.latitude.zip(metadata.longitude).and_then(|(lat, lon)| time_zone_at(lat, lon));
        let zone = by_place.as_deref().and_then(|name| TimeZone::get(name).ok());
        let own = ["com.apple.quicktime.creationdate", "date", "com.android.capture.date"];
        if let Some((local, offset)) = own.iter().find_map(|name| local_date(self.tags.get(*name)?)) {
            let Ok(at) = offset.to_timestamp(local) else { return };
            let is_zone = zone.as_ref().is_some_and(|zone| zone.to_timestamp(local).is_ok_and(|there| there == at));
            metadata.taken_local = Some(local);
            metadata.taken_at = Some(at);
            metadata.time_zone = by_place.filter(|_| is_zone).or_else(|| Some(offset_name(offset)));
            return;
        }
        let Some(at) = self.tags.get("creation_time").and_then(|text| text.parse::<Timestamp>().ok()) else { return };
        // 1904 and 1970 are where clocks begin that were never set.
        if TimeZone::UTC.to_datetime(at).year() < 1971 {
            return;
        }
        metadata.taken_at = Some(at);
        metadata.taken_local = Some(zone.unwrap_or(TimeZone::UTC).to_datetime(at));
        metadata.time_zone = by_place;
    }
}

/// `2024-03-15T12:00:00+0100`; without an offset it says nothing of an instant.
fn local_date(text: &str) -> Option<(civil::DateTime, jiff::tz::Offset)> {
    let at = text.rfind(['+', '-', 'Z']).filter(|at| *at > 10)?;
    let offset = parse_offset(&text[at..])?;
    let local: civil::DateTime = text[..at].trim().parse().ok()?;
    (1901..=9998).contains(&local.year()).then_some((local, offset))
}

/// ISO 6709: `+52.0116+004.3571+010.0/`, `+5200.696-00421.43/`, in degrees, or with minutes, or with seconds too.
fn iso6709(text: &str) -> Option<(f64, f64)> {
    let starts: Vec<usize> = text.char_indices().filter(|(_, c)| matches!(c, '+' | '-')).map(|(at, _)| at).collect();
    let longitude_at = *starts.get(1).filter(|_| starts.first() == Some(&0))?;
    let end = starts.get(2).copied().or_else(|| text.find('/')).unwrap_or(text.len());
    let latitude = angle(text.get(..longitude_at)?, 2)?;
    let longitude = angle(text.get(longitude_at..end)?, 3)?;
    let is_there = latitude.abs() <= 90.0 && longitude.abs() <= 180.0 && (latitude, longitude) != (0.0, 0.0);
    is_there.then_some((latitude, longitude))
}

/// `digits`: those of whole degrees.
fn angle(text: &str, digits: usize) -> Option<f64> {
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    let number = &text[1..];
    let whole = number.find('.').unwrap_or(number.len());
    let part = |from: usize, to: usize| number.get(from..to)?.parse::<f64>().ok();
    let value = match whole.checked_sub(digits)? {
        0 => number.parse().ok()?,
        2 => part(0, digits)? + part(digits, number.len())? / 60.0,
        4 => part(0, digits)? + part(digits, digits + 2)? / 60.0 + part(digits + 2, number.len())? / 3600.0,
        // Android writes degrees without leading zeros.
        _ => number.parse().ok()?,
    };
    Some(sign * value).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_in_all_three_notations() {
        let close = |text: &str, latitude: f64, longitude: f64| {
            let (lat, lon) = iso6709(text).unwrap();
            assert!((lat - latitude).abs() < 1e-3 && (lon - longitude).abs() < 1e-3, "{text}: {lat} {lon}");
        };
        close("+52.0116+004.3571+010.0/", 52.0116, 4.3571);
        close("-33.8688+151.2093/", -33.8688, 151.2093);
        close("+5200.696-00421.426/", 52.0116, -4.3571);
        close("+520041.76+0042125.56/", 52.0116, 4.3571);
        close("+52.0116+4.3571/", 52.0116, 4.3571);
        for nothing in ["", "+", "52+4", "+00.0000+000.0000/", "+95.0+004.0/", "+52.01", "+é+ü/", "++/"] {
            assert_eq!(iso6709(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_date_of_apple_has_its_own_offset() {
        let (local, offset) = local_date("2024-03-15T12:00:00+0100").unwrap();
        assert_eq!((local.to_string().as_str(), offset.seconds()), ("2024-03-15T12:00:00", 3600));
        assert_eq!(local_date("2024-03-15T12:00:00"), None);
        assert_eq!(local_date("2024"), None);
    }
}
