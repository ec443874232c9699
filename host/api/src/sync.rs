//! Tag "Sync": what phones keep a copy of. And shapes of the stream that the phone's websocket shares.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Json as Answer;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use gallery::sync::Lines;
use hyper::body::Frame;
use serde::Deserialize;
use serde_json::{Value, json};
use store::assets::Asset;
use store::edits::Edit;
use types::wire::{base64, iso, iso_civil};

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Json};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    Routes::new()
        .post("/sync/stream", "getSyncStream", Access::User("sync.stream"), get_sync_stream)
        .get("/sync/ack", "getSyncAck", Access::User("syncCheckpoint.read"), get_sync_ack)
        .post("/sync/ack", "sendSyncAck", Access::User("syncCheckpoint.update"), send_sync_ack)
        .delete("/sync/ack", "deleteSyncAck", Access::User("syncCheckpoint.delete"), delete_sync_ack)
}

/// There are fewer types of anything.
const MOST_TYPES: usize = 100;

#[derive(Deserialize)]
struct Stream {
    types: Vec<String>,
    #[serde(default)]
    reset: bool,
}

/// The body of a stream. Where it breaks it ends without its last line, which is how clients know.
struct Sending(Lines);

impl hyper::body::Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|lines| lines.map(|lines| Ok(Frame::data(lines.into()))))
    }
}

async fn get_sync_stream(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Stream>,
) -> Result<impl IntoResponse> {
    check_count(&body.types)?;
    let lines = state.gallery.sync_stream(&auth.0, &body.types, body.reset).await?;
    Ok(([(header::CONTENT_TYPE, "application/jsonlines+json")], Body::new(Sending(lines))))
}

async fn get_sync_ack(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let acks = state.gallery.sync_acks(&auth.0).await?;
    Ok(Answer(acks.iter().map(|(kind, ack)| json!({ "type": kind, "ack": ack })).collect()))
}

#[derive(Deserialize)]
struct Acks {
    acks: Vec<String>,
}

async fn send_sync_ack(State(state): State<ApiState>, auth: Auth, Json(body): Json<Acks>) -> Result<StatusCode> {
    state.gallery.set_sync_acks(&auth.0, &body.acks).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Types {
    types: Option<Vec<String>>,
}

async fn delete_sync_ack(State(state): State<ApiState>, auth: Auth, Json(body): Json<Types>) -> Result<StatusCode> {
    check_count(body.types.as_deref().unwrap_or_default())?;
    state.gallery.delete_sync_acks(&auth.0, body.types.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check_count(types: &[String]) -> Result<()> {
    if types.len() > MOST_TYPES {
        return Err(ApiError::field("types", format!("must be at most {MOST_TYPES}")));
    }
    Ok(())
}

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
