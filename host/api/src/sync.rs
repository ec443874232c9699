//! Shapes of the sync stream, which the phone's websocket shares.

use serde_json::{Value, json};
use store::assets::Asset;
use store::edits::Edit;
use types::wire::{base64, iso, iso_civil};

/// The payload of `AssetUploadReadyV2`.
pub fn upload_ready(asset: &Asset) -> Value {
    json!({ "asset": asset_v2(asset), "exif": exif_v1(asset) })
}

/// The payload of `AssetEditReadyV2`, which the phone waits for after an edit.
pub fn edit_ready(asset: &Asset, edits: &[Edit]) -> Value {
    let edit = |(sequence, edit): (usize, &Edit)| {
        json!({
            "id": edit.id,
            "assetId": asset.id,
            "sequence": sequence,
            "action": edit.action,
            "parameters": edit.parameters,
        })
    };
    json!({ "asset": asset_v2(asset), "edit": edits.iter().enumerate().map(edit).collect::<Value>() })
}

/// SyncAssetV2.
fn asset_v2(asset: &Asset) -> Value {
    json!({
        "id": asset.id,
        "ownerId": asset.owner,
        "originalFileName": asset.file_name,
        "checksum": base64(&asset.checksum),
        "type": asset.kind,
        "visibility": asset.visibility,
        "thumbhash": asset.thumbhash.as_deref().map(base64),
        "createdAt": iso(asset.created_at),
        "fileCreatedAt": iso(asset.file_created_at),
        "fileModifiedAt": iso(asset.file_modified_at),
        "localDateTime": iso_civil(asset.local_date_time),
        "deletedAt": asset.deleted_at.map(iso),
        "duration": asset.duration_ms,
        "isEdited": asset.is_edited,
        "isFavorite": asset.is_favorite,
        "libraryId": null,
        "livePhotoVideoId": asset.live_photo_video,
        "stackId": asset.stack,
        "width": asset.width,
        "height": asset.height,
    })
}

/// SyncAssetExifV1. Before the metadata step everything in it is unknown.
fn exif_v1(asset: &Asset) -> Value {
    let exif = asset.exif.clone().unwrap_or_default();
    json!({
        "assetId": asset.id,
        "city": exif.city,
        "country": exif.country,
        "dateTimeOriginal": exif.date_time_original.map(iso),
        "description": exif.description,
        "exifImageHeight": exif.height.or(asset.height),
        "exifImageWidth": exif.width.or(asset.width),
        "exposureTime": exif.exposure_time,
        "fNumber": exif.f_number,
        "fileSizeInByte": asset.file_size,
        "focalLength": exif.focal_length,
        "fps": exif.fps,
        "iso": exif.iso,
        "latitude": exif.latitude,
        "lensModel": exif.lens_model,
        "longitude": exif.longitude,
        "make": exif.make,
        "model": exif.model,
        "modifyDate": iso(asset.file_modified_at),
        "orientation": exif.orientation.map(|value| value.to_string()),
        "profileDescription": null,
        "projectionType": exif.projection_type,
        "rating": exif.rating,
        "state": exif.state,
        "timeZone": exif.time_zone,
    })
}
