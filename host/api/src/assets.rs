//! Tag "Assets".

mod download;
mod upload;
mod work;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use gallery::Viewer;
use gallery::corrections::{Correction, When, Zone};
use gallery::visible::Permission;
use serde::Deserialize;
use serde_json::{Value, json};
use store::accounts::User;
use store::assets::{Asset, AssetChanges};
use store::exif::Exif;
use types::wire::{base64, iso, iso_civil, parse_sha1};
use types::{AssetId, DuplicateId, Visibility};

use crate::error::{ApiError, Result};
use crate::extract::{Auth, Caller, Id, Json, Query, present};
use crate::routes::{Access, Routes};
use crate::{ApiState, people, stacks, tags, users};

/// What `bulk-upload-check` takes at once.
const MOST_CHECKED: usize = 5_000;

pub fn routes() -> Routes {
    Routes::new()
        .add(Method::POST, "/assets", "uploadAsset", Access::Shared("asset.upload"), upload::route())
        .put("/assets", "updateAssets", Access::User("asset.update"), update_assets)
        .delete("/assets", "deleteAssets", Access::User("asset.delete"), delete_assets)
        .put("/assets/copy", "copyAsset", Access::User("asset.copy"), work::copy_asset)
        .post("/assets/jobs", "runAssetJobs", Access::User("job.create"), work::run_asset_jobs)
        .post("/assets/bulk-upload-check", "checkBulkUpload", Access::User("asset.upload"), check_bulk_upload)
        .get("/assets/statistics", "getAssetStatistics", Access::User("asset.statistics"), get_asset_statistics)
        .get("/assets/{id}", "getAssetInfo", Access::Shared("asset.read"), get_asset_info)
        .put("/assets/{id}", "updateAsset", Access::User("asset.update"), update_asset)
        .get("/assets/{id}/original", "downloadAsset", Access::Shared("asset.download"), download::download_asset)
        .get("/assets/{id}/thumbnail", "viewAsset", Access::Shared("asset.view"), download::view_asset)
        .get("/assets/{id}/video/playback", "playAssetVideo", Access::Shared("asset.view"), download::play_asset_video)
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
        "isEdited": asset.is_edited,
        "visibility": asset.visibility,
        "duration": asset.duration_ms,
        "livePhotoVideoId": asset.live_photo_video,
        "people": [],
        "tags": [],
        "stack": null,
        "checksum": base64(&asset.checksum),
        "duplicateId": asset.duplicate,
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

/// What somebody may see of an asset: its owner everything, others not where it lies and what only its owner thinks of it, and
/// those with a link no more than the link says.
pub fn json_for(viewer: Viewer<'_>, asset: &Asset) -> Value {
    let mut answer = json(asset);
    if viewer.owns(asset) {
        return answer;
    }
    answer["originalPath"] = "".into();
    answer["isFavorite"] = false.into();
    if !viewer.sees_metadata() {
        answer.as_object_mut().and_then(|answer| answer.remove("exifInfo"));
        for text in ["originalFileName", "checksum"] {
            answer[text] = "".into();
        }
        // The instant beside the local time would tell the time zone, and so the place.
        for date in ["fileCreatedAt", "fileModifiedAt", "createdAt", "updatedAt"] {
            answer[date] = answer["localDateTime"].clone();
        }
        answer["hasMetadata"] = false.into();
    }
    answer
}

async fn get_asset_info(State(state): State<ApiState>, caller: Caller, Id(id): Id<AssetId>) -> Result<Answer<Value>> {
    whole(&state, caller.viewer(), id).await
}

/// With its owner, and for them the people on it, its tags and its stack.
async fn whole(state: &ApiState, viewer: Viewer<'_>, id: AssetId) -> Result<Answer<Value>> {
    let asset = state.gallery.asset_for(viewer, id, Permission::Read).await?;
    let mut answer = json_for(viewer, &asset);
    match viewer.user() {
        Some(user) if user.id == asset.owner => {
            answer["owner"] = users::json(user);
            people::add_to(&state.gallery, &mut [(id, &mut answer)]).await?;
            tags::add_to(state, id, &mut answer).await?;
            stacks::add_to(state, &[asset], std::slice::from_mut(&mut answer)).await?;
        }
        Some(_) => {
            let owner = state.gallery.store().user(asset.owner).await.map_err(gallery::GalleryError::from)?;
            answer["owner"] = owner.as_ref().map_or(Value::Null, users::json);
        }
        None => {}
    }
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
    date_time_original: Option<String>,
    /// Minutes to shift by; only for several assets at once, as `timeZone` and `duplicateId`.
    date_time_relative: Option<i64>,
    time_zone: Option<String>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    // What cannot be changed yet must not be taken for changed.
    #[serde(default, deserialize_with = "present")]
    live_photo_video_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    duplicate_id: Option<Option<DuplicateId>>,
}

impl Changes {
    fn read(self) -> Result<(AssetChanges, Correction)> {
        if self.live_photo_video_id.is_some() {
            return Err(ApiError::field("livePhotoVideoId", "cannot be changed yet"));
        }
        if self.rating.flatten().is_some_and(|rating| !(-1..=5).contains(&rating)) {
            return Err(ApiError::field("rating", "must be -1 to 5"));
        }
        let correction = Correction {
            when: self.when()?,
            time_zone: self.time_zone.as_deref().map(time_zone).transpose()?,
            position: self.position()?,
        };
        let changes = AssetChanges {
            is_favorite: self.is_favorite,
            visibility: self.visibility,
            description: self.description,
            rating: self.rating,
            duplicate: self.duplicate_id,
        };
        Ok((changes, correction))
    }

    fn when(&self) -> Result<Option<When>> {
        let absolute = self.date_time_original.as_deref().map(|text| {
            let wrong = || {
                ApiError::field("dateTimeOriginal", format!("{text:?} is no date such as 2024-03-15T12:00:00+01:00"))
            };
            When::parse(text).ok_or_else(wrong)
        });
        match (absolute.transpose()?, self.date_time_relative) {
            (Some(_), Some(_)) => Err(ApiError::field("dateTimeRelative", "cannot be combined with dateTimeOriginal")),
            // A thousand years.
            (None, Some(minutes)) if minutes.unsigned_abs() > 1_000 * 366 * 24 * 60 => {
                Err(ApiError::field("dateTimeRelative", "is too far"))
            }
            (None, Some(minutes)) => Ok(Some(When::Shifted { minutes })),
            (at, None) => Ok(at),
        }
    }

    fn position(&self) -> Result<Option<(f64, f64)>> {
        match (self.latitude, self.longitude) {
            (None, None) => Ok(None),
            (Some(latitude), Some(longitude)) if latitude.abs() <= 90.0 && longitude.abs() <= 180.0 => {
                Ok(Some((latitude, longitude)))
            }
            (Some(_), Some(_)) => Err(ApiError::field("latitude", "must be -90 to 90, and longitude -180 to 180")),
            _ => Err(ApiError::field("latitude", "and longitude go together")),
        }
    }
}

fn time_zone(name: &str) -> Result<Zone> {
    Zone::parse(name)
        .ok_or_else(|| ApiError::field("timeZone", format!("{name:?} is no time zone such as Europe/Berlin")))
}

async fn update_asset(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<AssetId>,
    Json(body): Json<Changes>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    change(&state, user, &[id], body).await?;
    // Whoever has just locked it away sees that it is: the page of Immich asks for no PIN code to do that.
    whole(&state, Viewer::User(&User { sees_locked: true, ..user.clone() }), id).await
}

#[derive(Deserialize)]
struct BulkChanges {
    ids: Vec<AssetId>,
    #[serde(flatten)]
    changes: Changes,
}

async fn update_assets(State(state): State<ApiState>, auth: Auth, Json(body): Json<BulkChanges>) -> Result<StatusCode> {
    let user = auth.user();
    change(&state, user, &body.ids, body.changes).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change(state: &ApiState, user: &User, ids: &[AssetId], changes: Changes) -> Result<()> {
    let (changes, correction) = changes.read()?;
    Ok(state.gallery.correct_assets(user, ids, &changes, &correction).await?)
}

#[derive(Deserialize)]
struct Delete {
    ids: Vec<AssetId>,
    #[serde(default)]
    force: bool,
}

async fn delete_assets(State(state): State<ApiState>, auth: Auth, Json(body): Json<Delete>) -> Result<StatusCode> {
    state.gallery.delete_assets(auth.user(), &body.ids, body.force).await?;
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
    let user = auth.user();
    if query.visibility == Some(Visibility::Locked) && !user.sees_locked {
        return Err(ApiError::elevation());
    }
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
    let user = auth.user();
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
