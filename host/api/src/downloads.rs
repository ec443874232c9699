//! Tag "Download".

mod zip;

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use gallery::downloads::{Archive, Wanted};
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::{Value, json};
use types::{AlbumId, AssetId, UserId};

use crate::ApiState;
use crate::albums::check_count;
use crate::error::{ApiError, Result};
use crate::extract::{Caller, Json};
use crate::ranges::NAME;
use crate::routes::{Access, Routes};

/// Files of one archive.
const MOST_FILES: usize = 100_000;
/// Bytes of an archive unless the client says otherwise.
const ARCHIVE: f64 = 4_294_967_296.0;

pub fn routes() -> Routes {
    Routes::new().post("/download/info", "getDownloadInfo", Access::Shared("asset.download"), get_download_info).post(
        "/download/archive",
        "downloadArchive",
        Access::Shared("asset.download"),
        download_archive,
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    asset_ids: Option<Vec<AssetId>>,
    album_id: Option<AlbumId>,
    user_id: Option<UserId>,
    /// Bytes; JavaScript's number.
    archive_size: Option<f64>,
}

async fn get_download_info(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<Info>,
) -> Result<Answer<Value>> {
    let size = body.archive_size.unwrap_or(ARCHIVE);
    if size.is_nan() || size < 1.0 {
        return Err(ApiError::field("archiveSize", "must be at least 1"));
    }
    let wanted = match (body.asset_ids, body.album_id, body.user_id) {
        (Some(assets), ..) => {
            check_count("assetIds", assets.len(), MOST_FILES)?;
            Wanted::Assets(assets)
        }
        (None, Some(album), _) => Wanted::Album(album),
        (None, None, Some(user)) => Wanted::User(user),
        (None, None, None) => return Err(ApiError::bad_request("assetIds, albumId, or userId is required")),
    };
    // What is too large for an i64 is as large as any library.
    let archives = state.gallery.archives(caller.viewer(), wanted, size as i64).await?;
    let total: i64 = archives.iter().map(|archive| archive.size).sum();
    let json = |archive: &Archive| json!({ "size": archive.size, "assetIds": archive.assets });
    Ok(Answer(json!({ "totalSize": total, "archives": archives.iter().map(json).collect::<Vec<_>>() })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Download {
    asset_ids: Vec<AssetId>,
    archive_name: Option<String>,
}

async fn download_archive(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<Download>,
) -> Result<Response> {
    check_count("assetIds", body.asset_ids.len(), MOST_FILES)?;
    let entries = state.gallery.archive(caller.viewer(), &body.asset_ids).await?;
    let name = body.archive_name.filter(|name| !name.is_empty()).unwrap_or_else(|| "latent".into());
    let name = name.strip_suffix(".zip").unwrap_or(&name).to_owned() + ".zip";
    let name = format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(&name, NAME));
    let mut response = Body::new(zip::stream(state.gallery, entries)).into_response();
    // As Immich calls it.
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}
