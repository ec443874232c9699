//! Counts requests by the route that took them: paths with ids would be a series each.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use metrics::{counter, histogram};

pub async fn count(request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let is_upload = method == Method::POST && route == "/api/assets";
    let response = next.run(request).await;
    let status = response.status();
    if is_upload {
        let outcome = match status {
            StatusCode::CREATED => "created",
            StatusCode::OK => "duplicate",
            status if status.is_server_error() => "failed",
            _ => "refused",
        };
        counter!("latent_uploads_total", "outcome" => outcome).increment(1);
    }
    // Anybody may invent a method; a label is for ever.
    let method = if method.as_str().len() <= 7 { method.to_string() } else { "other".to_owned() };
    let labels = [("method", method), ("route", route), ("status", status.as_u16().to_string())];
    counter!("latent_http_requests_total", &labels).increment(1);
    histogram!("latent_http_request_seconds", &labels).record(begin.elapsed());
    response
}
