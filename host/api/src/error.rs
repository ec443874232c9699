//! Errors at the edge: the status, and Immich's body `{"message": …}`.

use std::any::Any;

use axum::Json;
use axum::extract::OriginalUri;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use blobs::StorageError;
use gallery::GalleryError;
use serde_json::json;

pub type Result<T, E = ApiError> = std::result::Result<T, E>;

/// A failed request.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    /// Field and what is wrong with it.
    fields: Vec<(String, String)>,
}

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), fields: Vec::new() }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 400 in the shape of Immich's validation.
    pub fn field(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: "Validation failed".into(),
            fields: vec![(field.into(), what.into())],
        }
    }

    /// The locked folder is behind a PIN code, which was not given in this session.
    pub fn elevation() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Elevated permission is required")
    }

    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Authentication required")
    }
}

impl From<GalleryError> for ApiError {
    fn from(error: GalleryError) -> Self {
        let status = match &error {
            GalleryError::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            GalleryError::Forbidden(_) => StatusCode::FORBIDDEN,
            GalleryError::Invalid(_) | GalleryError::CutOff(_) => StatusCode::BAD_REQUEST,
            GalleryError::NotFound(_) | GalleryError::Storage(StorageError::NotFound(_)) => StatusCode::NOT_FOUND,
            GalleryError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            GalleryError::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            GalleryError::Storage(StorageError::Full(_)) => StatusCode::INSUFFICIENT_STORAGE,
            GalleryError::Io(io) if is_full(io) => StatusCode::INSUFFICIENT_STORAGE,
            GalleryError::Store(store) if store.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            GalleryError::Storage(StorageError::Unavailable(_)) | GalleryError::Queue(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            GalleryError::Store(_) | GalleryError::Storage(_) | GalleryError::Io(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, error.to_string())
    }
}

/// No room on the disk, or none left to this user of the machine.
fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let message = if self.status.is_server_error() {
            tracing::error!(status = self.status.as_u16(), error = self.message, "A request failed");
            // What failed inside is for the log; what an operator can mend may be said.
            match self.status {
                StatusCode::INTERNAL_SERVER_ERROR => "Internal server error".to_owned(),
                _ => self.message,
            }
        } else {
            self.message
        };
        let body = if self.fields.is_empty() {
            json!({ "message": message })
        } else {
            let errors: Vec<_> =
                self.fields.iter().map(|(path, what)| json!({ "path": [path], "message": what })).collect();
            json!({ "message": message, "errors": errors })
        };
        (self.status, Json(body)).into_response()
    }
}

pub async fn unknown_route(method: axum::http::Method, OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("Cannot {method} {}", uri.path()))
}

pub async fn unknown_method(method: axum::http::Method, OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("Cannot {method} {}", uri.path()))
}

/// A panic in a handler is ours: 500, and the words go to the log alone.
pub fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let words = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no words");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("a handler panicked: {words}")).into_response()
}
