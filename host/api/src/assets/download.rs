//! Bytes of an asset.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gallery::assets::Rendition;
use serde::Deserialize;
use store::assets::StoredFile;
use types::AssetId;
use types::wire::base64;

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Auth, Id, Query};
use crate::ranges;

pub async fn download_asset(
    State(state): State<ApiState>,
    auth: Auth,
    headers: HeaderMap,
    Id(id): Id<AssetId>,
    Query(query): Query<Download>,
) -> Result<Response> {
    let mut file = state.gallery.file_of(auth.user(), id, Rendition::Original).await?;
    if query.edited {
        file = state.gallery.edited_instead(file, Rendition::Original).await?;
        if file.kind.is_some() {
            return ranges::serve(&state.gallery, &headers, &file, "image/jpeg", &content(&file)).await;
        }
    }
    ranges::serve(&state.gallery, &headers, &file, &file.mime_type, &base64(&file.checksum)).await
}

#[derive(Deserialize)]
pub struct Download {
    /// As its edits leave it.
    #[serde(default)]
    edited: bool,
}

/// The hash of the content, which is in a derivative's location.
fn content(file: &StoredFile) -> String {
    file.location.rsplit('/').next().unwrap_or("").replace(['"', '\\'], "")
}

/// What was made for playback, or else the original.
pub async fn play_asset_video(
    State(state): State<ApiState>,
    auth: Auth,
    headers: HeaderMap,
    Id(id): Id<AssetId>,
) -> Result<Response> {
    let (file, kind) = state.gallery.playback_of(auth.user(), id).await?;
    let etag = match file.kind {
        Some(_) => content(&file),
        None => base64(&file.checksum),
    };
    ranges::serve(&state.gallery, &headers, &file, &kind, &etag).await
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Size {
    Thumbnail,
    Preview,
    Fullsize,
    /// Deprecated, still asked for.
    Original,
}

#[derive(Deserialize)]
pub struct View {
    size: Option<Size>,
    /// As its edits leave it.
    #[serde(default)]
    edited: bool,
}

pub async fn view_asset(
    State(state): State<ApiState>,
    auth: Auth,
    headers: HeaderMap,
    Id(id): Id<AssetId>,
    Query(query): Query<View>,
) -> Result<Response> {
    let user = auth.user();
    let (rendition, kind) = match query.size.unwrap_or(Size::Thumbnail) {
        Size::Thumbnail => (Rendition::Thumbnail, "image/webp"),
        Size::Preview => (Rendition::Preview, "image/jpeg"),
        Size::Fullsize | Size::Original => return redirect(&state, user, id, query.edited).await,
    };
    let mut file = state.gallery.file_of(user, id, rendition).await?;
    if query.edited {
        file = state.gallery.edited_instead(file, rendition).await?;
    }
    ranges::serve(&state.gallery, &headers, &file, kind, &content(&file)).await
}

/// To the original where a browser can show it, else to the preview.
async fn redirect(state: &ApiState, user: &store::accounts::User, id: AssetId, edited: bool) -> Result<Response> {
    let mut file = state.gallery.file_of(user, id, Rendition::Original).await?;
    if edited {
        file = state.gallery.edited_instead(file, Rendition::Original).await?;
        if file.kind.is_some() {
            let to = format!("/api/assets/{id}/original?edited=true");
            return Ok((StatusCode::FOUND, [(header::LOCATION, to)]).into_response());
        }
    }
    let shown = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"].contains(&&*file.mime_type);
    let to = if shown { "original" } else { "thumbnail?size=preview" };
    Ok((StatusCode::FOUND, [(header::LOCATION, format!("/api/assets/{id}/{to}"))]).into_response())
}
