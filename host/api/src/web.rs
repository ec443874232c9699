//! The page, inside the binary.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::ApiState;

#[derive(RustEmbed)]
#[folder = "$LATENT_WEB_DIST"]
struct Page;

/// Nothing but our own files and our own server; `'self'` covers its websocket too. Thumbhashes are drawn as data addresses.
pub const POLICY: &str = "default-src 'self'; img-src 'self' data:; media-src 'self'; style-src 'self'; script-src 'self'; \
    connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub fn routes() -> Router<ApiState> {
    Router::new().fallback(page)
}

/// A file of the page, or for any other path that a browser asks for as HTML the page itself, which knows its own routes.
async fn page(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Page::get(path) {
        // Vite puts a hash of the content into the names under assets/.
        let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        return answer(file.data.into_owned(), file.metadata.mimetype(), cache);
    }
    let wants_html =
        headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().windows(9).any(|part| part == b"text/html"));
    match Page::get("index.html") {
        Some(file) if wants_html => answer(file.data.into_owned(), "text/html; charset=utf-8", "no-cache"),
        _ => (StatusCode::NOT_FOUND, "Not found").into_response(),
    }
}

fn answer(body: Vec<u8>, kind: &str, cache: &'static str) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap_or(HeaderValue::from_static("text/plain")));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
