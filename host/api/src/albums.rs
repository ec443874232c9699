//! Tag "Albums".

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use axum::routing::patch;
use gallery::Viewer;
use gallery::albums::{AddedOne, AlbumDraft};
use serde::Deserialize;
use serde_json::{Value, json};
use store::albums::{Album, AlbumChanges, AlbumFilter, Marker};
use types::wire::{iso, iso_civil};
use types::{AlbumId, AlbumRole, AssetId, UserId};

use crate::error::{ApiError, Result};
use crate::extract::{Auth, Caller, Id, Json, Query, present};
use crate::routes::{Access, Routes};
use crate::timeline::Direction;
use crate::{ApiState, users};

/// Assets, and albums, that one request names.
const MOST_ASSETS: usize = 100_000;
const MOST_ALBUMS: usize = 1_000;

pub fn routes() -> Routes {
    Routes::new()
        .get("/albums", "getAllAlbums", Access::User("album.read"), get_all_albums)
        .post("/albums", "createAlbum", Access::User("album.create"), create_album)
        .put("/albums/assets", "addAssetsToAlbums", Access::User("albumAsset.create"), add_assets_to_albums)
        .get("/albums/statistics", "getAlbumStatistics", Access::User("album.statistics"), get_album_statistics)
        .get("/albums/{id}", "getAlbumInfo", Access::Shared("album.read"), get_album_info)
        .add(Method::PATCH, "/albums/{id}", "updateAlbumInfo", Access::User("album.update"), patch(update_album_info))
        .delete("/albums/{id}", "deleteAlbum", Access::User("album.delete"), delete_album)
        .put("/albums/{id}/assets", "addAssetsToAlbum", Access::User("albumAsset.create"), add_assets_to_album)
        .delete(
            "/albums/{id}/assets",
            "removeAssetFromAlbum",
            Access::User("albumAsset.delete"),
            remove_asset_from_album,
        )
        .get("/albums/{id}/map-markers", "getAlbumMapMarkers", Access::Shared("album.read"), get_album_map_markers)
        .put("/albums/{id}/users", "addUsersToAlbum", Access::User("albumUser.create"), add_users_to_album)
        .put("/albums/{id}/user/{userId}", "updateAlbumUser", Access::User("albumUser.update"), update_album_user)
        .delete(
            "/albums/{id}/user/{userId}",
            "removeUserFromAlbum",
            Access::User("albumUser.delete"),
            remove_user_from_album,
        )
}

/// AlbumResponseDto. Whoever has only a link sees the owner's name and nobody else.
pub fn json(viewer: Viewer<'_>, album: &Album) -> Value {
    let is_link = viewer.user().is_none();
    let users = album.users.iter().filter(|(role, _)| !is_link || *role == AlbumRole::Owner).map(|(role, user)| {
        let mut user = users::json(user);
        if is_link {
            user["email"] = "".into();
        }
        json!({ "role": role, "user": user })
    });
    let mut answer = json!({
        "id": album.id,
        "albumName": album.name,
        "description": album.description,
        "albumThumbnailAssetId": album.thumbnail,
        "albumUsers": users.collect::<Vec<_>>(),
        "assetCount": album.asset_count,
        "createdAt": iso(album.created_at),
        "updatedAt": iso(album.updated_at),
        "hasSharedLink": album.has_link,
        "shared": album.has_link || album.users.len() > 1,
        "isActivityEnabled": album.is_activity_enabled,
        "order": if album.oldest_first { "asc" } else { "desc" },
    });
    if let Some((first, last)) = album.span {
        answer["startDate"] = iso_civil(first).into();
        answer["endDate"] = iso_civil(last).into();
    }
    if let Some(at) = album.changed_at {
        answer["lastModifiedAssetTimestamp"] = iso(at).into();
    }
    answer
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    id: Option<AlbumId>,
    asset_id: Option<AssetId>,
    name: Option<String>,
    is_owned: Option<bool>,
    is_shared: Option<bool>,
}

async fn get_all_albums(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Listing>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    let Listing { id, asset_id: asset, name, is_owned, is_shared } = query;
    let albums = state.gallery.albums(user, &AlbumFilter { id, asset, name, is_owned, is_shared }).await?;
    Ok(Answer(albums.iter().map(|album| json(Viewer::User(user), album)).collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    album_name: String,
    description: Option<String>,
    #[serde(default)]
    album_users: Vec<AlbumUser>,
    #[serde(default)]
    asset_ids: Vec<AssetId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlbumUser {
    user_id: UserId,
    /// An editor, unless said otherwise.
    role: Option<AlbumRole>,
}

fn roles(users: Vec<AlbumUser>) -> Vec<(UserId, AlbumRole)> {
    users.into_iter().map(|user| (user.user_id, user.role.unwrap_or(AlbumRole::Editor))).collect()
}

async fn create_album(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Create>,
) -> Result<impl IntoResponse> {
    let user = auth.user();
    check_count("assetIds", body.asset_ids.len(), MOST_ASSETS)?;
    let draft = AlbumDraft {
        name: body.album_name,
        description: body.description.unwrap_or_default(),
        users: roles(body.album_users),
        assets: body.asset_ids,
    };
    let album = state.gallery.create_album(user, draft).await?;
    Ok((StatusCode::CREATED, Answer(json(Viewer::User(user), &album))))
}

async fn get_album_statistics(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let (owned, shared, not_shared) = state.gallery.count_albums(auth.user()).await?;
    Ok(Answer(json!({ "owned": owned, "shared": shared, "notShared": not_shared })))
}

async fn get_album_info(State(state): State<ApiState>, caller: Caller, Id(id): Id<AlbumId>) -> Result<Answer<Value>> {
    let viewer = caller.viewer();
    let mut answer = json(viewer, &state.gallery.album(viewer, id).await?);
    if viewer.user().is_some() {
        let counts = state.gallery.album_contributors(id).await?;
        answer["contributorCounts"] =
            counts.iter().map(|(user, count)| json!({ "userId": user, "assetCount": count })).collect();
    }
    Ok(Answer(answer))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    album_name: Option<String>,
    /// Absent: as it is; null: taken away.
    #[serde(default, deserialize_with = "present")]
    description: Option<Option<String>>,
    album_thumbnail_asset_id: Option<AssetId>,
    is_activity_enabled: Option<bool>,
    order: Option<Direction>,
}

async fn update_album_info(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<AlbumId>,
    Json(body): Json<Changes>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    let changes = AlbumChanges {
        name: body.album_name,
        description: body.description.map(Option::unwrap_or_default),
        thumbnail: body.album_thumbnail_asset_id,
        is_activity_enabled: body.is_activity_enabled,
        oldest_first: body.order.map(|order| order == Direction::Asc),
    };
    Ok(Answer(json(Viewer::User(user), &state.gallery.update_album(user, id, &changes).await?)))
}

async fn delete_album(State(state): State<ApiState>, auth: Auth, Id(id): Id<AlbumId>) -> Result<StatusCode> {
    state.gallery.delete_album(auth.user(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Ids {
    ids: Vec<AssetId>,
}

async fn add_assets_to_album(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<AlbumId>,
    Json(body): Json<Ids>,
) -> Result<Answer<Value>> {
    check_count("ids", body.ids.len(), MOST_ASSETS)?;
    let added = state.gallery.add_to_album(auth.user(), id, &body.ids).await?;
    Ok(Answer(added.into_iter().map(|(id, outcome)| bulk("id", id, reason(outcome))).collect()))
}

/// One line of a bulk answer. `error`: why it failed, as Immich names it.
pub fn bulk(name: &str, id: AssetId, error: Option<&str>) -> Value {
    match error {
        None => json!({ name: id, "success": true }),
        Some(error) => json!({ name: id, "success": false, "error": error }),
    }
}

pub fn reason(outcome: AddedOne) -> Option<&'static str> {
    match outcome {
        AddedOne::Added => None,
        AddedOne::Duplicate => Some("duplicate"),
        AddedOne::NoPermission => Some("no_permission"),
    }
}

pub fn check_count(field: &str, count: usize, most: usize) -> Result<()> {
    match count <= most {
        true => Ok(()),
        false => Err(ApiError::field(field, format!("at most {most} at once"))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Many {
    album_ids: Vec<AlbumId>,
    asset_ids: Vec<AssetId>,
}

/// Each album is a transaction of its own; one that the caller may not edit does not keep the others from theirs.
async fn add_assets_to_albums(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Many>,
) -> Result<Answer<Value>> {
    check_count("albumIds", body.album_ids.len(), MOST_ALBUMS)?;
    check_count("assetIds", body.asset_ids.len(), MOST_ASSETS)?;
    let mut outcomes = Vec::new();
    for album in &body.album_ids {
        match state.gallery.add_to_album(auth.user(), *album, &body.asset_ids).await {
            Ok(added) => outcomes.extend(added.into_iter().map(|(_, outcome)| outcome)),
            Err(gallery::GalleryError::Invalid(_)) => outcomes.push(AddedOne::NoPermission),
            Err(error) => return Err(error.into()),
        }
    }
    let error = [AddedOne::Duplicate, AddedOne::NoPermission].into_iter().find(|error| outcomes.contains(error));
    Ok(Answer(match error.filter(|_| !outcomes.contains(&AddedOne::Added)) {
        Some(error) => json!({ "success": false, "error": reason(error) }),
        None => json!({ "success": true }),
    }))
}

async fn remove_asset_from_album(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<AlbumId>,
    Json(body): Json<Ids>,
) -> Result<Answer<Value>> {
    check_count("ids", body.ids.len(), MOST_ASSETS)?;
    let removed = state.gallery.remove_from_album(auth.user(), id, &body.ids).await?;
    let answers = removed.into_iter().map(|(id, was_there)| bulk("id", id, (!was_there).then_some("not_found")));
    Ok(Answer(answers.collect()))
}

/// MapMarkerResponseDto.
fn marker(marker: &Marker) -> Value {
    json!({
        "id": marker.asset,
        "lat": marker.latitude,
        "lon": marker.longitude,
        "city": marker.city,
        "state": marker.state,
        "country": marker.country,
    })
}

async fn get_album_map_markers(
    State(state): State<ApiState>,
    caller: Caller,
    Id(id): Id<AlbumId>,
) -> Result<Answer<Value>> {
    let markers = state.gallery.album_markers(caller.viewer(), id).await?;
    Ok(Answer(markers.iter().map(marker).collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Users {
    album_users: Vec<AlbumUser>,
}

async fn add_users_to_album(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<AlbumId>,
    Json(body): Json<Users>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    if body.album_users.is_empty() {
        return Err(ApiError::field("albumUsers", "must name at least one"));
    }
    let album = state.gallery.share_album(user, id, &roles(body.album_users)).await?;
    Ok(Answer(json(Viewer::User(user), &album)))
}

/// Album and user in a path; `me` is whoever asks.
fn member((album, user): &(String, String), me: UserId) -> Result<(AlbumId, UserId)> {
    let wrong = |field: &'static str| move |error: types::ParseIdError| ApiError::field(field, error.to_string());
    let user = if user == "me" { Ok(me) } else { user.parse().map_err(wrong("userId")) };
    Ok((album.parse().map_err(wrong("id"))?, user?))
}

#[derive(Deserialize)]
struct Role {
    role: AlbumRole,
}

async fn update_album_user(
    State(state): State<ApiState>,
    auth: Auth,
    Path(path): Path<(String, String)>,
    Json(body): Json<Role>,
) -> Result<StatusCode> {
    let user = auth.user();
    let (album, of) = member(&path, user.id)?;
    state.gallery.set_album_role(user, album, of, body.role).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_user_from_album(
    State(state): State<ApiState>,
    auth: Auth,
    Path(path): Path<(String, String)>,
) -> Result<StatusCode> {
    let user = auth.user();
    let (album, who) = member(&path, user.id)?;
    state.gallery.leave_album(user, album, who).await?;
    Ok(StatusCode::NO_CONTENT)
}
