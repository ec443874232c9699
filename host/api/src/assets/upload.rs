//! Uploads: fields may come after the file, so the file is streamed first and decided upon last.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use gallery::uploads::{Arriving, UploadFields, Uploaded};
use gallery::visible::Permission;
use gallery::{GalleryError, Viewer};
use jiff::Timestamp;
use serde_json::json;
use store::accounts::User;
use tokio::sync::Semaphore;
use types::wire::parse_sha1;
use types::{AssetId, Visibility};

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::Caller;

/// A text field is a date or a name, never a payload.
const LONGEST_FIELD: usize = 64 << 10;
const MOST_FIELDS: usize = 64;

/// Of an XMP file: real ones have a few kilobytes.
const LONGEST_SIDECAR: usize = 4 << 20;
/// A client that sends nothing for so long is gone: its inbox file must not wait for it for ever.
const IDLE: Duration = Duration::from_secs(60);
/// Uploads at once, of all clients together. The phone sends three at once, the CLI as many as it is told to; more wait.
static AT_ONCE: Semaphore = Semaphore::const_new(64);

/// The gallery counts bytes itself while they arrive.
pub fn route() -> MethodRouter<ApiState> {
    post(upload_asset).layer(DefaultBodyLimit::disable())
}

pub async fn upload_asset(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    request: Request,
) -> Result<Response> {
    let user = match caller.viewer() {
        Viewer::User(user) => user,
        Viewer::Link(visit) if visit.link.allow_upload => &visit.owner,
        Viewer::Link(_) => return Err(GalleryError::no_access("asset.upload").into()),
    };
    // With a link nobody learns by a hash alone what its owner has, and nobody makes the link show it.
    if let Viewer::User(_) = caller.viewer()
        && let Some(id) = known_by_header(&state, user, &headers).await?
    {
        return Ok(answer(Uploaded::Duplicate(id)));
    }
    // Never closed, so this waits and does not fail.
    let _turn = AT_ONCE.acquire().await;
    let mut multipart = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| ApiError::new(rejection.status(), rejection.body_text()))?;
    let mut form = Form::default();
    let mut count = 0;
    while let Some(field) = in_time(multipart.next_field()).await? {
        count += 1;
        if count > MOST_FIELDS {
            return Err(ApiError::bad_request(format!("more than {MOST_FIELDS} fields")));
        }
        form.take(&state, user, field).await?;
    }
    let (arriving, mut fields) = form.finish()?;
    let Viewer::Link(visit) = caller.viewer() else {
        return Ok(answer(state.gallery.upload(user, arriving, fields).await?));
    };
    if let Some(video) = fields.live_photo_video {
        state.gallery.asset_for(caller.viewer(), video, Permission::View).await?;
    }
    (fields.is_favorite, fields.visibility) = (false, Visibility::Timeline);
    let uploaded = state.gallery.upload(user, arriving, fields).await?;
    let (Uploaded::Created(id) | Uploaded::Duplicate(id)) = uploaded;
    state.gallery.show_upload(visit, id).await?;
    Ok(answer(uploaded))
}

/// immich-go sends the checksum first and tolerates that the answer comes before the body was read.
async fn known_by_header(state: &ApiState, user: &User, headers: &HeaderMap) -> Result<Option<AssetId>> {
    let Some(text) = headers.get("x-immich-checksum") else { return Ok(None) };
    let sha1 = text
        .to_str()
        .ok()
        .and_then(parse_sha1)
        .ok_or_else(|| ApiError::field("x-immich-checksum", "is no SHA-1 in base64 or hex"))?;
    Ok(state.gallery.by_checksum(user, sha1).await?)
}

fn answer(uploaded: Uploaded) -> Response {
    let (status, id, word) = match uploaded {
        Uploaded::Created(id) => (StatusCode::CREATED, id, "created"),
        Uploaded::Duplicate(id) => (StatusCode::OK, id, "duplicate"),
    };
    (status, Answer(json!({ "id": id, "status": word }))).into_response()
}

/// The next piece of the body, unless the client fell silent.
async fn in_time<T>(piece: impl Future<Output = Result<T, MultipartError>>) -> Result<T> {
    match tokio::time::timeout(IDLE, piece).await {
        Ok(piece) => piece.map_err(cut_off),
        Err(_) => {
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, format!("nothing came for {} seconds", IDLE.as_secs())))
        }
    }
}

fn cut_off(error: MultipartError) -> ApiError {
    if error.status().is_server_error() {
        return GalleryError::CutOff(error.body_text()).into();
    }
    ApiError::new(error.status(), error.body_text())
}

/// The parts as they came, in whatever order.
#[derive(Default)]
struct Form {
    file: Option<(Arriving, String)>,
    /// XMP.
    sidecar: Option<Vec<u8>>,
    file_name: Option<String>,
    created: Option<Timestamp>,
    modified: Option<Timestamp>,
    is_favorite: bool,
    visibility: Visibility,
    duration_ms: Option<i32>,
    live_photo_video: Option<AssetId>,
}

impl Form {
    async fn take(&mut self, state: &ApiState, user: &User, mut field: Field<'_>) -> Result<()> {
        let name = field.name().unwrap_or("").to_owned();
        if name == "assetData" {
            if self.file.is_some() {
                return Err(ApiError::field("assetData", "came twice"));
            }
            let file_name = field.file_name().unwrap_or("").to_owned();
            let mut arriving = state.gallery.receive(user).await?;
            while let Some(bytes) = in_time(field.chunk()).await? {
                arriving.write(bytes).await?;
            }
            self.file = Some((arriving, file_name));
            return Ok(());
        }
        let longest = if name == "sidecarData" { LONGEST_SIDECAR } else { LONGEST_FIELD };
        let mut text = Vec::new();
        while let Some(bytes) = in_time(field.chunk()).await? {
            if text.len() + bytes.len() > longest {
                return Err(ApiError::field(name, format!("is longer than {longest} bytes")));
            }
            text.extend_from_slice(&bytes);
        }
        if name == "sidecarData" {
            self.sidecar = Some(text);
            return Ok(());
        }
        let text = String::from_utf8(text).map_err(|_| ApiError::field(name.as_str(), "is not UTF-8"))?;
        self.text(&name, text.trim())
    }

    /// Fields of older clients (deviceAssetId, deviceId, fileSize, ...) are dropped.
    fn text(&mut self, name: &str, text: &str) -> Result<()> {
        match name {
            "fileCreatedAt" => self.created = Some(date(name, text)?),
            "fileModifiedAt" => self.modified = Some(date(name, text)?),
            "filename" if !text.is_empty() => self.file_name = Some(text.to_owned()),
            "isFavorite" if !text.is_empty() => {
                self.is_favorite = text.parse().map_err(|_| ApiError::field(name, "is neither true nor false"))?;
            }
            "visibility" if !text.is_empty() => {
                self.visibility = text.parse().map_err(|why: String| ApiError::field(name, why))?;
                if self.visibility == Visibility::Locked {
                    return Err(ApiError::elevation());
                }
            }
            // Clients of version 2 send "0:00:01.000000"; what is no number is unknown.
            "duration" => self.duration_ms = text.parse().ok().filter(|ms| *ms >= 0),
            "livePhotoVideoId" if !text.is_empty() => {
                let id = text.parse().map_err(|error: types::ParseIdError| ApiError::field(name, error.to_string()))?;
                self.live_photo_video = Some(id);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<(Arriving, UploadFields)> {
        let (arriving, sent_name) = self.file.ok_or_else(|| ApiError::field("assetData", "is missing"))?;
        let created = self.created.ok_or_else(|| ApiError::field("fileCreatedAt", "is missing"))?;
        let modified = self.modified.ok_or_else(|| ApiError::field("fileModifiedAt", "is missing"))?;
        let fields = UploadFields {
            file_name: sane(&self.file_name.unwrap_or(sent_name)),
            created,
            modified,
            is_favorite: self.is_favorite,
            visibility: self.visibility,
            duration_ms: self.duration_ms,
            live_photo_video: self.live_photo_video,
            sidecar: self.sidecar,
        };
        Ok((arriving, fields))
    }
}

fn date(field: &str, text: &str) -> Result<Timestamp> {
    let wrong = || {
        ApiError::field(
            field,
            format!("{:?} is no date such as 2024-03-15T12:00:00.000Z", text.chars().take(64).collect::<String>()),
        )
    };
    let at: Timestamp = text.parse().map_err(|_| wrong())?;
    if crate::is_kept(at) { Ok(at) } else { Err(wrong()) }
}

/// The last part of what may be a path, without control characters, at most 255 bytes with its extension kept. Nothing else of
/// a name is changed: it is what the person sees.
fn sane(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or("");
    let mut clean: String = last.chars().filter(|c| !c.is_control()).collect();
    if clean.len() > 255 {
        let dot = clean.rfind('.').filter(|dot| clean.len() - dot <= 16).unwrap_or(clean.len());
        let extension = clean.split_off(dot);
        let mut end = clean.len().min(255 - extension.len());
        while !clean.is_char_boundary(end) {
            end -= 1;
        }
        clean.truncate(end);
        clean += &extension;
    }
    clean
}
