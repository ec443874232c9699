//! Pictures of users.

use axum::Json as Answer;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use serde_json::json;
use types::UserId;
use types::wire::iso;

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Id};
use crate::routes::{Access, Routes};
use crate::users::profile_image_path;

/// Bytes of a form with a picture.
const LONGEST: usize = 32 << 20;

pub fn routes() -> Routes {
    let path = "/users/profile-image";
    let create = post(create_profile_image).layer(DefaultBodyLimit::max(LONGEST));
    Routes::new()
        .add(Method::POST, path, "createProfileImage", Access::User("userProfileImage.update"), create)
        .add(
            Method::DELETE,
            path,
            "deleteProfileImage",
            Access::User("userProfileImage.delete"),
            delete(delete_profile_image),
        )
        .get("/users/{id}/profile-image", "getProfileImage", Access::User("userProfileImage.read"), get_profile_image)
}

/// A form with one part, `file`.
async fn create_profile_image(State(state): State<ApiState>, auth: Auth, request: Request) -> Result<Response> {
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| ApiError::new(rejection.status(), rejection.body_text()))?;
    let unread = |error: axum::extract::multipart::MultipartError| ApiError::new(error.status(), error.body_text());
    while let Some(field) = form.next_field().await.map_err(unread)? {
        if field.name() != Some("file") {
            continue;
        }
        let image = field.bytes().await.map_err(unread)?;
        if image.is_empty() {
            return Err(ApiError::field("file", "is empty"));
        }
        let user = state.gallery.set_profile_image(auth.user().id, image).await?;
        let answer = json!({
            "userId": user.id,
            "profileChangedAt": iso(user.profile_changed_at),
            "profileImagePath": profile_image_path(&user),
        });
        return Ok((StatusCode::CREATED, Answer(answer)).into_response());
    }
    Err(ApiError::field("file", "is missing"))
}

async fn delete_profile_image(State(state): State<ApiState>, auth: Auth) -> Result<StatusCode> {
    state.gallery.delete_profile_image(auth.user().id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn get_profile_image(
    State(state): State<ApiState>,
    _: Auth,
    headers: HeaderMap,
    Id(id): Id<UserId>,
) -> Result<Response> {
    let (blob, name) = state.gallery.profile_image(id).await?;
    // The hash of the content is in its name.
    let tag = format!("\"{name}\"");
    let cache = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "private, no-cache, no-transform".to_owned())];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, cache).into_response());
    }
    let bytes = blob.read().await.map_err(gallery::GalleryError::from)?;
    Ok((cache, [(header::CONTENT_TYPE, "image/jpeg")], bytes).into_response())
}
