//! Spellings that several rooms share: dates as Immich's API writes them, base64 of hashes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, civil};

/// `2024-03-15T12:00:00.000Z`: UTC, always with milliseconds.
pub fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A wall-clock time as Immich writes it: `…Z` although no zone is meant.
pub fn iso_civil(at: civil::DateTime) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Standard base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A SHA-1 as clients give it: 28 characters of base64 or 40 of hex.
pub fn parse_sha1(text: &str) -> Option<[u8; 20]> {
    let bytes = match text.len() {
        28 => STANDARD.decode(text).ok()?,
        40 => hex::decode(text).ok()?,
        _ => return None,
    };
    bytes.try_into().ok()
}
