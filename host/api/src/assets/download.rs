//! Bytes of an asset.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use gallery::Viewer;
use gallery::assets::Rendition;
use gallery::visible::Permission;
use serde::Deserialize;
use types::AssetId;
use types::wire::base64;

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Caller, Id, Query};
use crate::ranges;

pub async fn download_asset(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<AssetId>,
) -> Result<Response> {
    let file = state.gallery.file_of(caller.viewer(), id, Rendition::Original).await?;
    ranges::serve(&state.gallery, &headers, &file, &file.mime_type, &base64(&file.checksum)).await
}

/// What was made for playback, or else the original.
pub async fn play_asset_video(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<AssetId>,
) -> Result<Response> {
    let (file, kind) = state.gallery.playback_of(caller.viewer(), id).await?;
    let etag = match file.kind {
        // The hash of the content is in a derivative's location.
        Some(_) => file.location.rsplit('/').next().unwrap_or("").replace(['"', '\\'], ""),
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
}

pub async fn view_asset(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
    Id(id): Id<AssetId>,
    Query(query): Query<View>,
) -> Result<Response> {
    let viewer = caller.viewer();
    let (rendition, kind) = match query.size.unwrap_or(Size::Thumbnail) {
        Size::Thumbnail => (Rendition::Thumbnail, "image/webp"),
        Size::Preview => (Rendition::Preview, "image/jpeg"),
        Size::Fullsize | Size::Original => return redirect(&state, viewer, id, &uri).await,
    };
    let file = state.gallery.file_of(viewer, id, rendition).await?;
    // The hash of the content is in a derivative's location.
    let etag = file.location.rsplit('/').next().unwrap_or("").to_owned();
    ranges::serve(&state.gallery, &headers, &file, kind, &etag.replace(['"', '\\'], "")).await
}

/// To the original where a browser can show it and the caller may have it, else to the preview.
async fn redirect(state: &ApiState, viewer: Viewer<'_>, id: AssetId, uri: &Uri) -> Result<Response> {
    let shown = match state.gallery.file_of(viewer, id, Rendition::Original).await {
        Ok(file) => ["image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"].contains(&&*file.mime_type),
        // A link may show what it does not give away.
        Err(_) if matches!(viewer, Viewer::Link(_)) => {
            state.gallery.asset_for(viewer, id, Permission::View).await?;
            false
        }
        Err(error) => return Err(error.into()),
    };
    let to = if shown { "original?" } else { "thumbnail?size=preview&" };
    let link =
        uri.query().unwrap_or("").split('&').filter(|pair| pair.starts_with("key=") || pair.starts_with("slug="));
    let to = to.to_owned() + &link.collect::<Vec<_>>().join("&");
    let to = format!("/api/assets/{id}/{}", to.trim_end_matches(['?', '&']));
    Ok((StatusCode::FOUND, [(header::LOCATION, to)]).into_response())
}
