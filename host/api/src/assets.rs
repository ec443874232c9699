//! Tag "Assets".

mod download;
mod upload;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json as Answer, Router};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use store::assets::{Asset, AssetChanges};
use store::exif::Exif;
use types::wire::{base64, iso, iso_civil, parse_sha1};
use types::{AssetId, Visibility};

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Id, Json, Query};

/// What `bulk-upload-check` takes at once.
const MOST_CHECKED: usize = 5_000;

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/assets", post(upload::upload_asset).put(update_assets).delete(delete_assets).layer(upload::limit()))
        .route("/assets/bulk-upload-check", post(check_bulk_upload))
        .route("/assets/statistics", get(get_asset_statistics))
        .route("/assets/{id}", get(get_asset_info).put(update_asset))
        .route("/assets/{id}/original", get(download::download_asset))
        .route("/assets/{id}/thumbnail", get(download::view_asset))
        .route("/assets/{id}/video/playback", get(download::play_asset_video))
}

/// AssetResponseDto.
pub fn json(asset: &Asset) -> Value {
    let mut json = json!({
        "id": asset.id,
        "ownerId": asset.owner,
        "libraryId": null,
        "type": asset.kind,
        "originalPath": asset.location,
        "originalFileName": asset.file_name,
        "originalMimeType": asset.mime_type,
        "thumbhash": asset.thumbhash.as_deref().map(base64),
        "fileCreatedAt": iso(asset.file_created_at),
        "fileModifiedAt": iso(asset.file_modified_at),
        "localDateTime": iso_civil(asset.local_date_time),
        "createdAt": iso(asset.created_at),
        "updatedAt": iso(asset.updated_at),
        "isFavorite": asset.is_favorite,
        "isArchived": asset.visibility == Visibility::Archive,
        "isTrashed": asset.deleted_at.is_some(),
        "isOffline": false,
        "isEdited": false,
        "visibility": asset.visibility,
        "duration": asset.duration_ms,
        "livePhotoVideoId": asset.live_photo_video,
        "people": [],
        "tags": [],
        "stack": null,
        "checksum": base64(&asset.checksum),
        "duplicateId": null,
        "resized": asset.resized,
        "hasMetadata": asset.exif.is_some(),
        "width": asset.width,
        "height": asset.height,
    });
    if let Some(exif) = &asset.exif {
        json["exifInfo"] = exif_json(asset, exif);
    }
    json
}

/// ExifResponseDto.
fn exif_json(asset: &Asset, exif: &Exif) -> Value {
    json!({
        "make": exif.make,
        "model": exif.model,
        "lensModel": exif.lens_model,
        "exposureTime": exif.exposure_time,
        "fNumber": exif.f_number,
        "focalLength": exif.focal_length,
        "iso": exif.iso,
        "orientation": exif.orientation.map(|value| value.to_string()),
        "latitude": exif.latitude,
        "longitude": exif.longitude,
        "city": exif.city,
        "state": exif.state,
        "country": exif.country,
        "description": exif.description,
        "rating": exif.rating,
        "timeZone": exif.time_zone,
        "dateTimeOriginal": exif.date_time_original.map(iso),
        "modifyDate": iso(asset.file_modified_at),
        "fileSizeInByte": asset.file_size,
        "exifImageWidth": exif.width.or(asset.width),
        "exifImageHeight": exif.height.or(asset.height),
        "projectionType": exif.projection_type,
    })
}

async fn get_asset_info(State(state): State<ApiState>, auth: Auth, Id(id): Id<AssetId>) -> Result<Answer<Value>> {
    let user = auth.may("asset.read")?;
    let mut answer = json(&state.gallery.asset_of(user, id).await?);
    answer["owner"] = crate::users::json(user);
    Ok(Answer(answer))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    is_favorite: Option<bool>,
    visibility: Option<Visibility>,
    description: Option<String>,
    /// Absent: as it is; null: taken away.
    #[serde(default, deserialize_with = "present")]
    rating: Option<Option<i16>>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Option<i16>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Changes {
    fn read(self) -> Result<AssetChanges> {
        if self.rating.flatten().is_some_and(|rating| !(-1..=5).contains(&rating)) {
            return Err(ApiError::field("rating", "must be -1 to 5"));
        }
        if self.description.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(ApiError::field("description", "must not contain NUL"));
        }
        if self.visibility == Some(Visibility::Locked) {
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "Elevated permission is required"));
        }
        Ok(AssetChanges {
            is_favorite: self.is_favorite,
            visibility: self.visibility,
            description: self.description,
            rating: self.rating,
        })
    }
}

async fn update_asset(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<AssetId>,
    Json(body): Json<Changes>,
) -> Result<Answer<Value>> {
    let user = auth.may("asset.update")?;
    state.gallery.update_assets(user, &[id], &body.read()?).await?;
    Ok(Answer(json(&state.gallery.asset_of(user, id).await?)))
}

#[derive(Deserialize)]
struct BulkChanges {
    ids: Vec<AssetId>,
    #[serde(flatten)]
    changes: Changes,
}

async fn update_assets(State(state): State<ApiState>, auth: Auth, Json(body): Json<BulkChanges>) -> Result<StatusCode> {
    let user = auth.may("asset.update")?;
    state.gallery.update_assets(user, &body.ids, &body.changes.read()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Delete {
    ids: Vec<AssetId>,
    #[serde(default)]
    force: bool,
}

async fn delete_assets(State(state): State<ApiState>, auth: Auth, Json(body): Json<Delete>) -> Result<StatusCode> {
    state.gallery.delete_assets(auth.may("asset.delete")?, &body.ids, body.force).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statistics {
    is_favorite: Option<bool>,
    #[serde(default)]
    is_trashed: bool,
    visibility: Option<Visibility>,
}

async fn get_asset_statistics(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Statistics>,
) -> Result<Answer<Value>> {
    let user = auth.may("asset.statistics")?;
    let (images, videos) =
        state.gallery.statistics(user, query.visibility, query.is_favorite, query.is_trashed).await?;
    Ok(Answer(json!({ "images": images, "videos": videos, "total": images + videos })))
}

#[derive(Deserialize)]
struct BulkCheck {
    assets: Vec<BulkCheckItem>,
}

#[derive(Deserialize)]
struct BulkCheckItem {
    /// The client's own, given back.
    id: String,
    checksum: String,
}

async fn check_bulk_upload(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<BulkCheck>,
) -> Result<Answer<Value>> {
    let user = auth.may("asset.upload")?;
    if body.assets.len() > MOST_CHECKED {
        return Err(ApiError::field("assets", format!("at most {MOST_CHECKED} at once")));
    }
    let checksums = body
        .assets
        .iter()
        .map(|item| {
            parse_sha1(&item.checksum).ok_or_else(|| ApiError::field("checksum", "is no SHA-1 in base64 or hex"))
        })
        .collect::<Result<Vec<_>>>()?;
    let known = state.gallery.known(user, &checksums).await?;
    let results: Vec<Value> = body
        .assets
        .iter()
        .zip(known)
        .map(|(item, known)| match known {
            None => json!({ "id": item.id, "action": "accept" }),
            Some(known) => json!({
                "id": item.id,
                "action": "reject",
                "reason": "duplicate",
                "assetId": known.id,
                "isTrashed": known.is_trashed,
            }),
        })
        .collect();
    Ok(Answer(json!({ "results": results })))
}
