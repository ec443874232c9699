//! Tag "Server", and what clients ask for before anything else.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use gallery::GalleryError;
use gallery::preferences::no_license;
use serde_json::{Value, json};
use types::AssetType;
use types::wire::iso;

use crate::error::Result;
use crate::extract::{Auth, Json};
use crate::routes::{Access, Routes};
use crate::users::License;
use crate::{ApiState, system};

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
        .get("/server/version-history", "getVersionHistory", Access::Public, get_version_history)
        .get("/server/version-check", "getVersionCheck", Access::User("server.versionCheck"), get_version_check)
        .get("/server/apk-links", "getApkLinks", Access::User("server.apkLinks"), get_apk_links)
        .merge(license_routes())
}

fn license_routes() -> Routes {
    let path = "/server/license";
    Routes::new()
        .get(path, "getServerLicense", Access::Admin("serverLicense.read"), get_server_license)
        .put(path, "setServerLicense", Access::Admin("serverLicense.update"), set_server_license)
        .delete(path, "deleteServerLicense", Access::Admin("serverLicense.delete"), delete_server_license)
}

async fn ping_server() -> Answer<Value> {
    Answer(json!({ "res": "pong" }))
}

/// Also the payload of `on_server_version`.
pub fn version() -> Value {
    json!({ "major": VERSION.0, "minor": VERSION.1, "patch": VERSION.2, "prerelease": null })
}

/// `3.2.2`
pub fn version_text() -> String {
    format!("{}.{}.{}", VERSION.0, VERSION.1, VERSION.2)
}

async fn get_server_version() -> Answer<Value> {
    Answer(version())
}

/// What is not there says so, and no client calls it.
async fn get_server_features(State(state): State<ApiState>) -> Answer<Value> {
    let plugins = state.gallery.plugins();
    Answer(json!({
        // The page of Immich lets nobody change anything where this is true; some of it can be (config.rs).
        "configFile": false,
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
    let is_onboarded = system::is_onboarded(&state).await?;
    let config = state.gallery.running_config().await?;
    Ok(Answer(json!({
        "isInitialized": is_initialized,
        "isOnboarded": is_onboarded,
        "externalDomain": config.external_domain,
        "loginPageMessage": config.login_page_message,
        "maintenanceMode": false,
        "mapDarkStyleUrl": "",
        "mapLightStyleUrl": "",
        "minFaces": store::people::LISTED_FROM,
        "oauthButtonText": "",
        "publicUsers": config.public_users,
        "trashDays": config.trash_days,
        "userDeleteDelay": config.user_delete_delay,
    })))
}

async fn get_about_info(State(state): State<ApiState>, _: Auth) -> Result<Answer<Value>> {
    Ok(Answer(json!({
        "version": format!("v{}", version_text()),
        "versionUrl": "",
        "licensed": state.gallery.server_license().await?.is_some(),
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

async fn get_version_history(State(state): State<ApiState>) -> Result<Answer<Value>> {
    let versions = state.gallery.store().version_history().await.map_err(GalleryError::from)?;
    let one = |id: String, version: &str, at| json!({ "id": id, "version": version, "createdAt": iso(at) });
    Ok(Answer(versions.iter().map(|(id, version, at)| one(id.to_string(), version, *at)).collect()))
}

/// Nobody is asked for newer versions: a server at home does not call out by itself.
pub fn version_check() -> Value {
    json!({ "checkedAt": null, "releaseVersion": null })
}

async fn get_version_check(_: Auth) -> Answer<Value> {
    Answer(version_check())
}

/// Where Immich publishes the app of this version for Android.
async fn get_apk_links(_: Auth) -> Answer<Value> {
    let release = format!("https://github.com/immich-app/immich/releases/download/v{}", version_text());
    let link = |kind: &str| format!("{release}/app-{kind}release.apk");
    Answer(json!({
        "arm64v8a": link("arm64-v8a-"),
        "armeabiv7a": link("armeabi-v7a-"),
        "universal": link(""),
        "x86_64": link("x86_64-"),
    }))
}

async fn get_server_license(State(state): State<ApiState>, _: Auth) -> Result<Answer<Value>> {
    Ok(Answer(state.gallery.server_license().await?.ok_or_else(no_license)?))
}

async fn set_server_license(
    State(state): State<ApiState>,
    _: Auth,
    Json(body): Json<License>,
) -> Result<Answer<Value>> {
    Ok(Answer(state.gallery.set_server_license(&body.license_key, &body.activation_key).await?))
}

async fn delete_server_license(State(state): State<ApiState>, _: Auth) -> Result<StatusCode> {
    state.gallery.delete_server_license().await?;
    Ok(StatusCode::NO_CONTENT)
}
