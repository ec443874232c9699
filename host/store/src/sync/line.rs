//! A row as a line of JSON. Built here and not in the database: its binary rows cost a third of its JSON.

use std::error::Error;
use std::io::Write as _;

use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Row, Statement};
use types::wire::base64;
use uuid::Uuid;

/// How rows of a statement become lines. Its first column is the id of the update, the others are the data: `owner_id` is
/// `"ownerId"`.
pub struct LineOf {
    /// `{"type":"AssetV2","data":{`
    start: Vec<u8>,
    /// `},"ack":"AssetV2|`
    end: Vec<u8>,
    columns: Vec<Column>,
}

struct Column {
    /// `"ownerId":`, from the second on with a comma before it.
    name: Vec<u8>,
    kind: Type,
}

/// A value as the database sends it.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl LineOf {
    /// `container`: what stands in an ack before the id.
    pub fn new(entity: &str, container: Option<Uuid>, statement: &Statement) -> Self {
        let before = container.map(|id| format!("{id}|")).unwrap_or_default();
        let columns = statement.columns().iter().skip(1).enumerate().map(|(at, column)| Column {
            name: format!("{}\"{}\":", if at > 0 { "," } else { "" }, camel(column.name())).into_bytes(),
            kind: column.type_().clone(),
        });
        Self {
            start: format!("{{\"type\":\"{entity}\",\"data\":{{").into_bytes(),
            end: format!("}},\"ack\":\"{entity}|{before}").into_bytes(),
            columns: columns.collect(),
        }
    }

    /// Appends the line of a row. `ack`: the id that the client gives back.
    pub fn write(&self, row: &Row, ack: Uuid, out: &mut Vec<u8>) -> Result<(), tokio_postgres::Error> {
        out.extend_from_slice(&self.start);
        for (at, column) in self.columns.iter().enumerate() {
            out.extend_from_slice(&column.name);
            match row.try_get::<_, Option<Raw>>(at + 1)? {
                Some(Raw(raw)) => value(&column.kind, raw, out),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.extend_from_slice(&self.end);
        uuid(ack, out);
        out.extend_from_slice(b"\"}\n");
        Ok(())
    }
}

/// A line that carries an ack and nothing else.
pub fn bare(kind: &str, ack: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{{\"type\":\"{kind}\",\"data\":{{}},\"ack\":\"{ack}\"}}\n").as_bytes());
}

/// `owner_id` is `ownerId`, `bounding_box_x1` is `boundingBoxX1`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut name, part| {
        let mut letters = part.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name + letters.as_str()
    })
}

/// The types of columns that the statements have; any other is its text.
fn value(kind: &Type, raw: &[u8], out: &mut Vec<u8>) {
    match (kind, raw.len()) {
        (&Type::UUID, 16) => {
            out.push(b'"');
            uuid(Uuid::from_slice(raw).unwrap_or_default(), out);
            out.push(b'"');
        }
        (&Type::BOOL, 1) => out.extend_from_slice(if raw[0] == 0 { b"false" } else { b"true" }),
        (&Type::INT2, 2) => integer(i64::from(i16::from_be_bytes([raw[0], raw[1]])), out),
        (&Type::INT4, 4) => integer(i64::from(i32::from_be_bytes([raw[0], raw[1], raw[2], raw[3]])), out),
        (&Type::INT8, 8) => integer(long(raw), out),
        (&Type::FLOAT8, 8) => float(f64::from_bits(long(raw) as u64), out),
        (&Type::FLOAT4, 4) => {
            float(f64::from(f32::from_be_bytes([raw[0], raw[1], raw[2], raw[3]])), out);
        }
        (&Type::TIMESTAMPTZ | &Type::TIMESTAMP, 8) => timestamp(long(raw), out),
        (&Type::DATE, 4) => {
            let days = i64::from(i32::from_be_bytes([raw[0], raw[1], raw[2], raw[3]]));
            timestamp(days.saturating_mul(DAY), out);
        }
        (&Type::BYTEA, _) => {
            out.push(b'"');
            out.extend_from_slice(base64(raw).as_bytes());
            out.push(b'"');
        }
        // Its first byte is a version.
        (&Type::JSONB, 1..) => out.extend_from_slice(&raw[1..]),
        _ => text(raw, out),
    }
}

fn uuid(id: Uuid, out: &mut Vec<u8>) {
    let mut buffer = Uuid::encode_buffer();
    out.extend_from_slice(id.hyphenated().encode_lower(&mut buffer).as_bytes());
}

fn long(raw: &[u8]) -> i64 {
    raw.try_into().map(i64::from_be_bytes).unwrap_or_default()
}

fn integer(value: i64, out: &mut Vec<u8>) {
    // Writing to a Vec does not fail.
    let _ = write!(out, "{value}");
}

fn float(value: f64, out: &mut Vec<u8>) {
    if serde_json::to_writer(&mut *out, &value).is_err() {
        out.extend_from_slice(b"null");
    }
}

const DAY: i64 = 86_400_000_000;

/// Microseconds since 2000 as `2024-03-15T12:00:00.000Z`. A wall-clock time gets its `Z` too, as Immich writes it. Never: null.
fn timestamp(at: i64, out: &mut Vec<u8>) {
    if at == i64::MAX || at == i64::MIN {
        return out.extend_from_slice(b"null");
    }
    let (days, ms) = (at.div_euclid(DAY), at.rem_euclid(DAY) / 1_000);
    let (year, month, day) = civil(days);
    let _ = write!(out, "\"{year:04}");
    let mut part = |before: u8, value: i64| {
        out.extend_from_slice(&[before, b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
    };
    part(b'-', month);
    part(b'-', day);
    part(b'T', ms / 3_600_000);
    part(b':', ms / 60_000 % 60);
    part(b':', ms / 1_000 % 60);
    let ms = ms % 1_000;
    out.extend_from_slice(&[b'.', b'0' + (ms / 100) as u8, b'0' + (ms / 10 % 10) as u8, b'0' + (ms % 10) as u8]);
    out.extend_from_slice(b"Z\"");
}

/// Year, month and day of so many days after 2000-01-01 (H. Hinnant, days_from_civil backwards).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 10_957 + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day - (153 * shifted + 2) / 5 + 1)
}

/// UTF-8, which the database guarantees.
fn text(raw: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = raw;
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(&rest[..at]);
        let _ = match rest[at] {
            byte @ (b'"' | b'\\') => out.write_all(&[b'\\', byte]),
            byte => write!(out, "\\u{byte:04x}"),
        };
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
