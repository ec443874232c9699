//! Files over HTTP: ETag, Range, cache and name.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use gallery::Gallery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use store::assets::StoredFile;

use crate::error::{ApiError, Result};

/// What Immich sends: a client may keep a photo for a day, and show an old one while it asks.
const CACHE: &str = "private, max-age=86400, no-transform, stale-while-revalidate=2592000, stale-if-error=2592000";

/// RFC 5987's attr-char stays as it is.
pub const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a range header asks for.
enum Asked {
    Everything,
    /// First and last byte.
    Part(u64, u64),
    Nothing,
}

/// Answers with the file, a part of it, or 304.
pub async fn serve(
    gallery: &Gallery,
    headers: &HeaderMap,
    file: &StoredFile,
    kind: &str,
    etag: &str,
) -> Result<Response> {
    let etag = format!("\"{etag}\"");
    let len = file.size as u64;
    let mut response = Response::new(Body::empty());
    if is_known(headers, &etag, file.modified) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        match asked(headers, len, &etag) {
            Asked::Nothing => {
                let why = format!("the file has {len} bytes");
                let mut response = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, why).into_response();
                insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{len}"));
                return Ok(response);
            }
            Asked::Everything => {
                let blob = gallery.open(file, 0, None).await?;
                insert(&mut response, header::CONTENT_LENGTH, &len.to_string());
                *response.body_mut() = Body::from_stream(blob.into_stream());
            }
            Asked::Part(first, last) => {
                let count = last - first + 1;
                let blob = gallery.open(file, first, Some(count)).await?;
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                insert(&mut response, header::CONTENT_RANGE, &format!("bytes {first}-{last}/{len}"));
                insert(&mut response, header::CONTENT_LENGTH, &count.to_string());
                *response.body_mut() = Body::from_stream(blob.into_stream());
            }
        }
        insert(&mut response, header::CONTENT_TYPE, kind);
        let name = utf8_percent_encode(&file.file_name, NAME);
        insert(&mut response, header::CONTENT_DISPOSITION, &format!("inline; filename*=UTF-8''{name}"));
    }
    insert(&mut response, header::ETAG, &etag);
    insert(&mut response, header::ACCEPT_RANGES, "bytes");
    insert(&mut response, header::CACHE_CONTROL, CACHE);
    insert(&mut response, header::LAST_MODIFIED, &http_date(file.modified));
    // A photo may be an SVG or HTML by a lie: nothing in it may run.
    insert(&mut response, header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    Ok(response)
}

/// Has the client this version? By ETag; by date only where it sends no ETag (RFC 9110, 13.1.3).
fn is_known(headers: &HeaderMap, etag: &str, modified: jiff::Timestamp) -> bool {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(known) = header(header::IF_NONE_MATCH) {
        return known.split(',').any(|one| one.trim().trim_start_matches("W/") == etag || one.trim() == "*");
    }
    header(header::IF_MODIFIED_SINCE)
        .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
        .is_some_and(|since| modified.as_second() <= since.timestamp().as_second())
}

fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn http_date(at: jiff::Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// One range. Several at once, or a malformed one, get everything, as RFC 9110 allows.
fn asked(headers: &HeaderMap, len: u64, etag: &str) -> Asked {
    let Some(range) = headers.get(header::RANGE).and_then(|value| value.to_str().ok()) else {
        return Asked::Everything;
    };
    if headers.get(header::IF_RANGE).is_some_and(|value| value.as_bytes() != etag.as_bytes()) {
        return Asked::Everything;
    }
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Asked::Everything;
    };
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first > last => Asked::Everything,
        (Ok(first), _) if first >= len => Asked::Nothing,
        (Ok(first), Ok(last)) => Asked::Part(first, last.min(len - 1)),
        (Ok(first), Err(_)) if last.trim().is_empty() => Asked::Part(first, len - 1),
        (Err(_), Ok(0)) if first.trim().is_empty() => Asked::Nothing,
        (Err(_), Ok(tail)) if first.trim().is_empty() && len > 0 => Asked::Part(len.saturating_sub(tail), len - 1),
        _ => Asked::Everything,
    }
}
