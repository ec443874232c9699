//! Tag "Shared links".

use std::net::SocketAddr;

use axum::Json as Answer;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::patch;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gallery::Viewer;
use gallery::links::{NewLink, Shows, Visit};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use store::links::{Link, LinkChanges};
use types::wire::iso;
use types::{AlbumId, AssetId, LinkId};

use crate::albums::{bulk, check_count, reason};
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Caller, Id, Json, LinkName, Query, present};
use crate::routes::{Access, Routes};
use crate::{ApiState, albums, assets, cookies, is_kept};

/// Assets that one link shows one by one.
const MOST_ASSETS: usize = 10_000;

pub fn routes() -> Routes {
    Routes::new()
        .get("/shared-links", "getAllSharedLinks", Access::User("sharedLink.read"), get_all_shared_links)
        .post("/shared-links", "createSharedLink", Access::User("sharedLink.create"), create_shared_link)
        .post("/shared-links/login", "sharedLinkLogin", Access::SharedSignedIn, shared_link_login)
        .get("/shared-links/me", "getMySharedLink", Access::SharedSignedIn, get_my_shared_link)
        .get("/shared-links/{id}", "getSharedLinkById", Access::User("sharedLink.read"), get_shared_link_by_id)
        .add(
            Method::PATCH,
            "/shared-links/{id}",
            "updateSharedLink",
            Access::User("sharedLink.update"),
            patch(update_shared_link),
        )
        .delete("/shared-links/{id}", "removeSharedLink", Access::User("sharedLink.delete"), remove_shared_link)
        .put(
            "/shared-links/{id}/assets",
            "addSharedLinkAssets",
            Access::User("sharedLink.update"),
            add_shared_link_assets,
        )
        .delete(
            "/shared-links/{id}/assets",
            "removeSharedLinkAssets",
            Access::User("sharedLink.update"),
            remove_shared_link_assets,
        )
}

/// SharedLinkResponseDtos. Only the owner reads the password again.
async fn answers(state: &ApiState, viewer: Viewer<'_>, links: &[&Link]) -> Result<Vec<Value>> {
    let mut answers = Vec::with_capacity(links.len());
    for (link, ids) in links.iter().zip(state.gallery.link_assets(links).await?) {
        let shown = state.gallery.store().assets(&ids).await.map_err(gallery::GalleryError::from)?;
        let mut answer = json!({
            "id": link.id,
            "userId": link.owner,
            "key": URL_SAFE_NO_PAD.encode(&link.key),
            "slug": link.slug,
            "type": if link.album.is_some() { "ALBUM" } else { "INDIVIDUAL" },
            "description": link.description,
            "password": link.password.as_ref().filter(|_| viewer.user().is_some()),
            "createdAt": iso(link.created_at),
            "expiresAt": link.expires_at.map(iso),
            "allowUpload": link.allow_upload,
            "allowDownload": link.allow_download,
            "showMetadata": link.show_metadata,
            "assets": shown.iter().map(|asset| assets::json_for(viewer, asset)).collect::<Vec<_>>(),
        });
        if let Some(album) = link.album {
            answer["album"] = albums::json(viewer, &state.gallery.album(viewer, album).await?);
        }
        answers.push(answer);
    }
    Ok(answers)
}

async fn answer(state: &ApiState, viewer: Viewer<'_>, link: &Link) -> Result<Value> {
    Ok(answers(state, viewer, &[link]).await?.pop().unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    id: Option<LinkId>,
    album_id: Option<AlbumId>,
}

async fn get_all_shared_links(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Listing>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    let links = state.gallery.links(user, query.id, query.album_id).await?;
    let links: Vec<&Link> = links.iter().collect();
    Ok(Answer(answers(&state, Viewer::User(user), &links).await?.into()))
}

async fn get_shared_link_by_id(State(state): State<ApiState>, auth: Auth, Id(id): Id<LinkId>) -> Result<Answer<Value>> {
    let user = auth.user();
    let link = state.gallery.link(user, id, "sharedLink.read").await?;
    Ok(Answer(answer(&state, Viewer::User(user), &link).await?))
}

/// The link that somebody came by.
async fn get_my_shared_link(State(state): State<ApiState>, caller: Caller) -> Result<Answer<Value>> {
    match caller.viewer() {
        viewer @ Viewer::Link(Visit { link, .. }) => Ok(Answer(answer(&state, viewer, link).await?)),
        Viewer::User(_) => Err(ApiError::new(StatusCode::FORBIDDEN, "Forbidden")),
    }
}

/// A link that is named, locked or not.
struct Named(LinkName);

impl FromRequestParts<ApiState> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self> {
        match LinkName::of(parts) {
            Some(name) => Ok(Self(name)),
            // Nobody, or somebody who is signed in and has no link.
            None => {
                Auth::from_request_parts(parts, state).await?;
                Err(ApiError::new(StatusCode::FORBIDDEN, "Forbidden"))
            }
        }
    }
}

#[derive(Deserialize)]
struct Login {
    password: String,
}

async fn shared_link_login(
    State(state): State<ApiState>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Named(name): Named,
    headers: HeaderMap,
    Json(body): Json<Login>,
) -> Result<Response> {
    let (visit, token) = state.gallery.unlock_link(name.way(), &body.password, &from.ip().to_string()).await?;
    let answer = answer(&state, Viewer::Link(&visit), &visit.link).await?;
    let mut response = (StatusCode::CREATED, Answer(answer)).into_response();
    cookies::open_link(&headers, response.headers_mut(), &token, state.secure_cookies);
    Ok(response)
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Album,
    Individual,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    #[serde(rename = "type")]
    kind: Kind,
    album_id: Option<AlbumId>,
    #[serde(default)]
    asset_ids: Vec<AssetId>,
    slug: Option<String>,
    description: Option<String>,
    password: Option<String>,
    expires_at: Option<Timestamp>,
    allow_upload: Option<bool>,
    allow_download: Option<bool>,
    show_metadata: Option<bool>,
}

async fn create_shared_link(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Create>,
) -> Result<impl IntoResponse> {
    let user = auth.user();
    let shows = match (body.kind, body.album_id) {
        (Kind::Album, Some(album)) => Shows::Album(album),
        (Kind::Album, None) => return Err(ApiError::bad_request("Invalid albumId")),
        (Kind::Individual, _) if body.asset_ids.is_empty() => return Err(ApiError::bad_request("Invalid assetIds")),
        (Kind::Individual, _) => Shows::Assets(body.asset_ids),
    };
    if let Shows::Assets(assets) = &shows {
        check_count("assetIds", assets.len(), MOST_ASSETS)?;
    }
    check_date(body.expires_at)?;
    let new = NewLink {
        shows,
        slug: body.slug,
        description: body.description,
        password: body.password,
        expires_at: body.expires_at,
        allow_upload: body.allow_upload.unwrap_or(false),
        allow_download: body.allow_download.unwrap_or(true),
        show_metadata: body.show_metadata.unwrap_or(true),
    };
    let link = state.gallery.create_link(user, new).await?;
    Ok((StatusCode::CREATED, Answer(answer(&state, Viewer::User(user), &link).await?)))
}

fn check_date(at: Option<Timestamp>) -> Result<()> {
    match at.is_none_or(is_kept) {
        true => Ok(()),
        false => Err(ApiError::field("expiresAt", "is in no year from 1 to 9999")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    // Absent: as it is; null: taken away.
    #[serde(default, deserialize_with = "present")]
    slug: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    password: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    expires_at: Option<Option<Timestamp>>,
    allow_upload: Option<bool>,
    allow_download: Option<bool>,
    show_metadata: Option<bool>,
}

async fn update_shared_link(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<LinkId>,
    Json(body): Json<Changes>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    check_date(body.expires_at.flatten())?;
    let changes = LinkChanges {
        slug: body.slug,
        description: body.description,
        password: body.password,
        expires_at: body.expires_at,
        allow_upload: body.allow_upload,
        allow_download: body.allow_download,
        show_metadata: body.show_metadata,
    };
    let link = state.gallery.update_link(user, id, changes).await?;
    Ok(Answer(answer(&state, Viewer::User(user), &link).await?))
}

async fn remove_shared_link(State(state): State<ApiState>, auth: Auth, Id(id): Id<LinkId>) -> Result<StatusCode> {
    state.gallery.delete_link(auth.user(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assets {
    asset_ids: Vec<AssetId>,
}

async fn add_shared_link_assets(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<LinkId>,
    Json(body): Json<Assets>,
) -> Result<Answer<Value>> {
    check_count("assetIds", body.asset_ids.len(), MOST_ASSETS)?;
    let added = state.gallery.add_to_link(auth.user(), id, &body.asset_ids).await?;
    Ok(Answer(added.into_iter().map(|(id, outcome)| bulk("assetId", id, reason(outcome))).collect()))
}

async fn remove_shared_link_assets(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<LinkId>,
    Json(body): Json<Assets>,
) -> Result<Answer<Value>> {
    check_count("assetIds", body.asset_ids.len(), MOST_ASSETS)?;
    let removed = state.gallery.remove_from_link(auth.user(), id, &body.asset_ids).await?;
    let answers = removed.into_iter().map(|(id, was_there)| bulk("assetId", id, (!was_there).then_some("not_found")));
    Ok(Answer(answers.collect()))
}
