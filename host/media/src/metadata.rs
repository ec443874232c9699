//! What the camera wrote: EXIF, and the rating and description of XMP.

use std::io::Cursor;

use exif::{Exif, In, Tag, Value};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, civil};

use crate::jpeg::Segments;
use crate::{Format, sniff, time_zone_at};

/// All of it may be unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    pub make: Option<String>,
    pub model: Option<String>,
    pub lens_model: Option<String>,
    /// As on a dial: `1/250`, `2`.
    pub exposure_time: Option<String>,
    pub f_number: Option<f64>,
    /// Millimetres.
    pub focal_length: Option<f64>,
    pub iso: Option<i32>,
    /// EXIF's, 1 to 8.
    pub orientation: Option<u8>,
    /// Degrees, north and east positive.
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub description: Option<String>,
    /// 0 to 5.
    pub rating: Option<i16>,
    /// Wall-clock time where the photo was taken.
    pub taken_local: Option<civil::DateTime>,
    /// IANA's name by GPS, or the offset that the camera wrote, such as `UTC+02:00`.
    pub time_zone: Option<String>,
    /// The instant; where no zone is known, the wall-clock time is taken for UTC.
    pub taken_at: Option<Timestamp>,
    /// What the photo and the video of one Live Photo have in common.
    pub content_id: Option<String>,
}

/// Reads the metadata of an image. What is missing, damaged or of another format is simply not there.
pub fn metadata(bytes: &[u8]) -> Metadata {
    let mut metadata = Metadata::default();
    if sniff(bytes) == Some(Format::Jpeg)
        && let Some(xmp) = Segments::read(bytes).xmp()
    {
        read_xmp(xmp, &mut metadata);
    }
    // One bad field must not hide the others.
    let exif = match exif::Reader::new().continue_on_error(true).read_from_container(&mut Cursor::new(bytes)) {
        Ok(exif) => exif,
        Err(error) => match error.distill_partial_result(|_| ()) {
            Ok(exif) => exif,
            Err(_) => return metadata,
        },
    };
    read_exif(&exif, &mut metadata);
    metadata
}

fn read_exif(exif: &Exif, metadata: &mut Metadata) {
    metadata.make = text(exif, Tag::Make);
    metadata.model = text(exif, Tag::Model);
    metadata.lens_model = text(exif, Tag::LensModel);
    metadata.exposure_time = rational(exif, Tag::ExposureTime).and_then(dial);
    metadata.f_number = rational(exif, Tag::FNumber);
    metadata.focal_length = rational(exif, Tag::FocalLength);
    metadata.iso = number(exif, Tag::PhotographicSensitivity).and_then(|iso| i32::try_from(iso).ok());
    metadata.orientation = number(exif, Tag::Orientation)
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value));
    metadata.description = metadata.description.take().or_else(|| long_text(exif, Tag::ImageDescription));
    metadata.latitude = degrees(exif, Tag::GPSLatitude, Tag::GPSLatitudeRef, "S").filter(|value| value.abs() <= 90.0);
    metadata.longitude =
        degrees(exif, Tag::GPSLongitude, Tag::GPSLongitudeRef, "W").filter(|value| value.abs() <= 180.0);
    if metadata.latitude.is_none() || metadata.longitude.is_none() {
        (metadata.latitude, metadata.longitude) = (None, None);
    }
    metadata.content_id = exif
        .get_field(Tag::MakerNote, In::PRIMARY)
        .and_then(|field| if let Value::Undefined(note, _) = &field.value { Some(note) } else { None })
        .and_then(|note| crate::live::content_id(note));
    read_dates(exif, metadata);
}

/// DateTimeOriginal before DateTimeDigitized before DateTime, each with the offset and the fraction that belong to it.
fn read_dates(exif: &Exif, metadata: &mut Metadata) {
    let candidates = [
        (Tag::DateTimeOriginal, Tag::OffsetTimeOriginal, Tag::SubSecTimeOriginal),
        (Tag::DateTimeDigitized, Tag::OffsetTimeDigitized, Tag::SubSecTimeDigitized),
        (Tag::DateTime, Tag::OffsetTime, Tag::SubSecTime),
    ];
    let Some((local, offset)) = candidates.into_iter().find_map(|(date, offset, fraction)| {
        let local = local_time(&text(exif, date)?, text(exif, fraction).as_deref())?;
        let offset = text(exif, offset).or_else(|| text(exif, Tag::OffsetTime));
        Some((local, offset.as_deref().and_then(parse_offset)))
    }) else {
        return;
    };
    let by_place = metadata.latitude.zip(metadata.longitude).and_then(|(lat, lon)| time_zone_at(lat, lon));
    let zone = by_place.as_deref().and_then(|name| TimeZone::get(name).ok());
    metadata.taken_local = Some(local);
    // The offset that the camera wrote fixes the instant; the place names the zone, where both agree.
    let by_offset = offset.and_then(|offset| offset.to_timestamp(local).ok());
    let by_zone = zone.as_ref().and_then(|zone| zone.to_timestamp(local).ok());
    metadata.taken_at = by_offset.or(by_zone).or_else(|| Offset::UTC.to_timestamp(local).ok());
    metadata.time_zone = match (offset, by_place) {
        (Some(_), Some(name)) if by_offset == by_zone => Some(name),
        (Some(offset), _) => Some(offset_name(offset)),
        (None, by_place) => by_place,
    };
}

/// `2024:03:15 12:00:00`, and digits of a second.
fn local_time(text: &str, fraction: Option<&str>) -> Option<civil::DateTime> {
    let parsed = exif::DateTime::from_ascii(text.as_bytes()).ok()?;
    let nanos = fraction.map_or(0, |digits| {
        let digits: String = digits.chars().take_while(char::is_ascii_digit).take(9).collect();
        format!("{digits:0<9}").parse().unwrap_or(0)
    });
    civil::DateTime::new(
        i16::try_from(parsed.year).ok()?,
        i8::try_from(parsed.month).ok()?,
        i8::try_from(parsed.day).ok()?,
        i8::try_from(parsed.hour).ok()?,
        i8::try_from(parsed.minute).ok()?,
        i8::try_from(parsed.second).ok()?.min(59),
        nanos,
    )
    .ok()
    // Cameras whose clock was never set.
    .filter(|date| date.year() > 1901)
}

/// `+02:00`, `-0330`, `Z`.
pub fn parse_offset(text: &str) -> Option<Offset> {
    if text.trim() == "Z" {
        return Some(Offset::UTC);
    }
    let (sign, rest) = match text.trim().split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { 0 } else { minutes.parse::<i32>().ok()? };
    Offset::from_seconds(sign * (hours.parse::<i32>().ok()? * 3600 + minutes * 60)).ok()
}

/// `UTC+02:00`, as Immich writes a zone that has no name.
pub fn offset_name(offset: Offset) -> String {
    let minutes = offset.seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("UTC{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

fn text(exif: &Exif, tag: Tag) -> Option<String> {
    clean(&raw_text(exif, tag)?, LONGEST_TEXT)
}

fn long_text(exif: &Exif, tag: Tag) -> Option<String> {
    clean(&raw_text(exif, tag)?, LONGEST_DESCRIPTION)
}

fn raw_text(exif: &Exif, tag: Tag) -> Option<String> {
    let Value::Ascii(lines) = &exif.get_field(tag, In::PRIMARY)?.value else { return None };
    Some(String::from_utf8_lossy(lines.first()?).into_owned())
}

/// Characters of a name or a model, and of a description.
pub(crate) const LONGEST_TEXT: usize = 1_000;
pub(crate) const LONGEST_DESCRIPTION: usize = 20_000;

/// Without what no text is: cameras pad with NUL, which PostgreSQL's text cannot hold, and a hostile file may be all text.
pub(crate) fn clean(text: &str, longest: usize) -> Option<String> {
    let is_text = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    let text: String = text.chars().filter(is_text).take(longest).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn number(exif: &Exif, tag: Tag) -> Option<u32> {
    exif.get_field(tag, In::PRIMARY)?.value.get_uint(0)
}

fn rational(exif: &Exif, tag: Tag) -> Option<f64> {
    let Value::Rational(values) = &exif.get_field(tag, In::PRIMARY)?.value else { return None };
    Some(values.first()?.to_f64()).filter(|value| value.is_finite())
}

/// Seconds as photographers say them.
fn dial(seconds: f64) -> Option<String> {
    if seconds <= 0.0 {
        return None;
    }
    Some(if seconds < 0.4 {
        format!("1/{}", (1.0 / seconds).round())
    } else {
        format!("{}", (seconds * 10.0).round() / 10.0)
    })
}

fn degrees(exif: &Exif, tag: Tag, reference: Tag, negative: &str) -> Option<f64> {
    let Value::Rational(parts) = &exif.get_field(tag, In::PRIMARY)?.value else { return None };
    let part = |at: usize| parts.get(at).map_or(0.0, exif::Rational::to_f64);
    let value = part(0) + part(1) / 60.0 + part(2) / 3600.0;
    let sign = if text(exif, reference).is_some_and(|text| text.eq_ignore_ascii_case(negative)) { -1.0 } else { 1.0 };
    Some(sign * value).filter(|value| value.is_finite())
}

/// `xmp:Rating` as attribute or element, and the first `rdf:li` of `dc:description`. A whole XML reader for two values would be
/// one more parser of hostile bytes.
fn read_xmp(xmp: &str, metadata: &mut Metadata) {
    let rating = between(xmp, "xmp:Rating=\"", "\"").or_else(|| between(xmp, "<xmp:Rating>", "<"));
    metadata.rating = rating
        .and_then(|text| text.trim().parse::<f32>().ok())
        .map(|value| value as i16)
        .filter(|r| (0..=5).contains(r));
    metadata.description = between(xmp, "<dc:description>", "</dc:description>")
        .and_then(|block| between(block, "<rdf:li", "</rdf:li>"))
        .and_then(|item| item.split_once('>'))
        .and_then(|(_, text)| clean(&unescape(text), LONGEST_DESCRIPTION));
}

/// What an XMP file beside a photo says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sidecar {
    pub description: Option<String>,
    /// 0 to 5.
    pub rating: Option<i16>,
    /// On the clock on the wall there.
    pub taken_local: Option<civil::DateTime>,
    pub taken_offset: Option<Offset>,
    /// Degrees, north and east positive.
    pub position: Option<(f64, f64)>,
}

/// Reads an XMP file. What is missing, damaged or in another encoding is simply not there.
pub fn sidecar(bytes: &[u8]) -> Sidecar {
    let Ok(xmp) = std::str::from_utf8(bytes) else { return Sidecar::default() };
    let mut metadata = Metadata::default();
    read_xmp(xmp, &mut metadata);
    let date = ["exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate"]
        .into_iter()
        .find_map(|name| xmp_date(&property(xmp, name)?));
    let degrees = |name: &str, most: f64| xmp_degrees(&property(xmp, name)?).filter(|value| value.abs() <= most);
    Sidecar {
        description: metadata.description,
        rating: metadata.rating,
        taken_local: date.map(|(local, _)| local),
        taken_offset: date.and_then(|(_, offset)| offset),
        position: degrees("exif:GPSLatitude", 90.0).zip(degrees("exif:GPSLongitude", 180.0)),
    }
}

/// A simple property, written as an attribute or as an element.
fn property(xmp: &str, name: &str) -> Option<String> {
    let value = between(xmp, &format!("{name}=\""), "\"").or_else(|| between(xmp, &format!("<{name}>"), "<"))?;
    clean(&unescape(value), LONGEST_TEXT)
}

/// `2024-03-15T12:00:00+01:00`; the offset may be missing.
fn xmp_date(text: &str) -> Option<(civil::DateTime, Option<Offset>)> {
    let pieces = jiff::fmt::temporal::Pieces::parse(text).ok()?;
    let local = pieces.date().to_datetime(pieces.time()?);
    let offset = match pieces.offset() {
        Some(jiff::fmt::temporal::PiecesOffset::Numeric(numeric)) => Some(numeric.offset()),
        Some(_) => Some(Offset::UTC),
        None => None,
    };
    (local.year() > 1901).then_some((local, offset))
}

/// `52,0.696N` or `52,0,41.76N`: degrees, minutes and perhaps seconds; also plain degrees, as some programs write.
fn xmp_degrees(text: &str) -> Option<f64> {
    let (digits, sign) = match text.chars().last()? {
        'N' | 'E' => (&text[..text.len() - 1], 1.0),
        'S' | 'W' => (&text[..text.len() - 1], -1.0),
        _ => (text, 1.0),
    };
    let mut value = 0.0;
    for (part, share) in digits.split(',').zip([1.0, 60.0, 3600.0]) {
        value += part.trim().parse::<f64>().ok()? / share;
    }
    Some(sign * value).filter(|value| value.is_finite())
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = &text[text.find(start)? + start.len()..];
    Some(&rest[..rest.find(end)?])
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}
