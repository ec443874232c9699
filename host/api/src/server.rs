//! Tag "Server", and what clients ask for before anything else.

use axum::Json as Answer;
use axum::extract::State;
use gallery::GalleryError;
use serde_json::{Value, json};
use types::AssetType;

use crate::ApiState;
use crate::error::Result;
use crate::extract::Auth;
use crate::routes::{Access, Routes};

/// The Immich whose API this is: the apps ask for sync types by it.
const VERSION: (u32, u32, u32) = (3, 2, 2);

pub fn routes() -> Routes {
    Routes::new()
        .get("/server/ping", "pingServer", Access::Public, ping_server)
        .get("/server/version", "getServerVersion", Access::Public, get_server_version)
        .get("/server/features", "getServerFeatures", Access::Public, get_server_features)
        .get("/server/config", "getServerConfig", Access::Public, get_server_config)
        .get("/server/about", "getAboutInfo", Access::User("server.about"), get_about_info)
        .get("/server/storage", "getStorage", Access::User("server.storage"), get_storage)
        .get("/server/statistics", "getServerStatistics", Access::Admin("server.statistics"), get_server_statistics)
        .get("/server/media-types", "getSupportedMediaTypes", Access::Public, get_supported_media_types)
}

async fn ping_server() -> Answer<Value> {
    Answer(json!({ "res": "pong" }))
}

/// Also the payload of `on_server_version`.
pub fn version() -> Value {
    json!({ "major": VERSION.0, "minor": VERSION.1, "patch": VERSION.2, "prerelease": null })
}

async fn get_server_version() -> Answer<Value> {
    Answer(version())
}

/// What is not there says so, and no client calls it.
async fn get_server_features(State(state): State<ApiState>) -> Answer<Value> {
    let plugins = state.gallery.plugins();
    Answer(json!({
        "configFile": true,
        "duplicateDetection": plugins.embedder.is_some(),
        "email": false,
        "facialRecognition": plugins.face_detector.is_some(),
        "importFaces": false,
        "map": false,
        "oauth": false,
        "oauthAutoLaunch": false,
        "ocr": false,
        "passwordLogin": true,
        "realtimeTranscoding": false,
        "reverseGeocoding": true,
        "search": true,
        "sidecar": false,
        "smartSearch": plugins.embedder.is_some(),
        "trash": true,
    }))
}

async fn get_server_config(State(state): State<ApiState>) -> Result<Answer<Value>> {
    let is_initialized = state.gallery.store().has_admin().await.map_err(GalleryError::from)?;
    Ok(Answer(json!({
        "isInitialized": is_initialized,
        "isOnboarded": is_initialized,
        "externalDomain": "",
        "loginPageMessage": "",
        "maintenanceMode": false,
        "mapDarkStyleUrl": "",
        "mapLightStyleUrl": "",
        "minFaces": store::people::LISTED_FROM,
        "oauthButtonText": "",
        "publicUsers": true,
        "trashDays": 30,
        "userDeleteDelay": 7,
    })))
}

async fn get_about_info(_: Auth) -> Result<Answer<Value>> {
    Ok(Answer(json!({
        "version": format!("v{}.{}.{}", VERSION.0, VERSION.1, VERSION.2),
        "versionUrl": "",
        "licensed": false,
        "build": concat!("latent ", env!("CARGO_PKG_VERSION")),
    })))
}

async fn get_storage(State(state): State<ApiState>, _: Auth) -> Result<Answer<Value>> {
    let (used, free) = state.gallery.room().await?;
    let size = used + free;
    let percentage = if size == 0 { 0.0 } else { (used as f64 / size as f64 * 10_000.0).round() / 100.0 };
    Ok(Answer(json!({
        "diskSize": human(size),
        "diskUse": human(used),
        "diskAvailable": human(free),
        "diskSizeRaw": size,
        "diskUseRaw": used,
        "diskAvailableRaw": free,
        "diskUsagePercentage": percentage,
    })))
}

/// `1.5 GiB`.
fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].into_iter();
    let mut unit = units.next().unwrap_or("B");
    while value >= 1024.0
        && let Some(next) = units.next()
    {
        value /= 1024.0;
        unit = next;
    }
    format!("{:.1} {unit}", value)
}

async fn get_server_statistics(State(state): State<ApiState>, _: Auth) -> Result<Answer<Value>> {
    let users = state.gallery.store().usage_by_user().await.map_err(GalleryError::from)?;
    let (mut photos, mut videos, mut photo_bytes, mut video_bytes) = (0, 0, 0, 0);
    for user in &users {
        photos += user.2;
        videos += user.3;
        photo_bytes += user.4;
        video_bytes += user.5;
    }
    let by_user: Vec<Value> = users
        .iter()
        .map(|(id, name, photos, videos, photo_bytes, video_bytes, quota)| {
            json!({
                "userId": id,
                "userName": name,
                "photos": photos,
                "videos": videos,
                "usage": photo_bytes + video_bytes,
                "usagePhotos": photo_bytes,
                "usageVideos": video_bytes,
                "quotaSizeInBytes": quota,
            })
        })
        .collect();
    Ok(Answer(json!({
        "photos": photos,
        "videos": videos,
        "usage": photo_bytes + video_bytes,
        "usagePhotos": photo_bytes,
        "usageVideos": video_bytes,
        "usageByUser": by_user,
    })))
}

async fn get_supported_media_types() -> Answer<Value> {
    let dotted = |kind| media::extensions(kind).map(|extension| format!(".{extension}")).collect::<Vec<_>>();
    // The CLI sends an XMP file beside its photo.
    Answer(json!({ "image": dotted(AssetType::Image), "video": dotted(AssetType::Video), "sidecar": [".xmp"] }))
}
