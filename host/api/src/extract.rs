//! What handlers ask for in their signatures.

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gallery::Viewer;
use gallery::accounts::Identity;
use gallery::links::Visit;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use store::accounts::User;
use store::links::Way;

use crate::cookies::{self, ACCESS_TOKEN};
use crate::routes::Access;
use crate::{ApiError, ApiState};

/// A signed-in user, who may do what the table of operations asks of the caller of this route.
pub struct Auth(pub Identity);

impl Auth {
    pub fn user(&self) -> &User {
        &self.0.user
    }
}

impl FromRequestParts<ApiState> for Auth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let Some(access) = parts.extensions.get::<Access>().copied() else {
            return Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "this route is not in the table of operations",
            ));
        };
        let identity = identify(parts, state).await?;
        match access {
            Access::Public | Access::SignedIn | Access::SharedSignedIn => {}
            Access::User(permission) | Access::Shared(permission) => identity.may(permission)?,
            Access::Admin(permission) => {
                identity.may(permission)?;
                if !identity.user.is_admin {
                    return Err(ApiError::new(StatusCode::FORBIDDEN, "Forbidden"));
                }
            }
        }
        Ok(Self(identity))
    }
}

/// Somebody signed in, or somebody with a link, on a route that the table opens to links. A link goes before a session: whoever
/// opens it sees what it shows, also where they are signed in.
pub enum Caller {
    User(Box<Identity>),
    Link(Box<Visit>),
}

impl Caller {
    pub fn viewer(&self) -> Viewer<'_> {
        match self {
            Self::User(identity) => Viewer::User(&identity.user),
            Self::Link(visit) => Viewer::Link(visit),
        }
    }
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let access = parts.extensions.get::<Access>();
        let is_open = access.is_some_and(|access| matches!(access, Access::Shared(_) | Access::SharedSignedIn));
        if is_open && let Some(link) = LinkName::of(parts) {
            let cookie = cookies::read(&parts.headers, cookies::SHARED_LINK).unwrap_or_default();
            let tokens: Vec<&str> = cookie.split(cookies::BETWEEN).collect();
            return Ok(Self::Link(Box::new(link.open(state, &tokens).await?)));
        }
        let Auth(identity) = Auth::from_request_parts(parts, state).await?;
        Ok(Self::User(Box::new(identity)))
    }
}

/// A link as a request names it, in a header or in the query.
pub enum LinkName {
    /// `None`: what cannot be a key.
    Key(Option<Vec<u8>>),
    Slug(String),
}

impl LinkName {
    pub fn of(parts: &Parts) -> Option<Self> {
        // What is empty names none: a form sends a field that nobody filled in.
        let named = |in_header: &str, in_query: &str| {
            header(parts, in_header).or_else(|| query(parts, in_query)).filter(|name| !name.is_empty())
        };
        match named("x-immich-share-key", "key") {
            Some(key) => Some(Self::Key(parse_key(&key))),
            None => named("x-immich-share-slug", "slug").map(Self::Slug),
        }
    }

    /// What the gallery looks for; no key is empty.
    pub fn way(&self) -> Way<'_> {
        match self {
            Self::Key(key) => Way::Key(key.as_deref().unwrap_or_default()),
            Self::Slug(slug) => Way::Slug(slug),
        }
    }

    async fn open(&self, state: &ApiState, tokens: &[&str]) -> Result<Visit, ApiError> {
        Ok(state.gallery.visit(self.way(), tokens).await?)
    }
}

/// Base64 as in addresses, or hex as old clients write it.
fn parse_key(text: &str) -> Option<Vec<u8>> {
    const HEX: usize = 100;
    match text.len() {
        HEX => hex::decode(text).ok(),
        _ => URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok(),
    }
}

fn header(parts: &Parts, name: &str) -> Option<String> {
    parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Without NUL, which no token has and PostgreSQL does not take.
fn query(parts: &Parts, name: &str) -> Option<String> {
    let found = pairs(parts.uri.query().unwrap_or("")).find(|(key, _)| key == name);
    found.map(|(_, value)| value.replace('\0', ""))
}

/// Session token first, then API key, each in every place where clients put it.
pub async fn identify(parts: &Parts, state: &ApiState) -> Result<Identity, ApiError> {
    let (header, query) = (|name: &str| header(parts, name), |name: &str| query(parts, name));
    let bearer = header("authorization")
        .and_then(|value| value.split_once(' ').map(|(scheme, token)| (scheme.to_ascii_lowercase(), token.to_owned())))
        .filter(|(scheme, _)| scheme == "bearer")
        .map(|(_, token)| token);
    let session = header("x-immich-user-token")
        .or_else(|| header("x-immich-session-token"))
        .or_else(|| query("sessionKey"))
        .or(bearer)
        .or_else(|| cookies::read(&parts.headers, ACCESS_TOKEN));
    if let Some(token) = session {
        return Ok(state.gallery.by_session_token(&token).await?);
    }
    if let Some(key) = header("x-api-key").or_else(|| query("apiKey")) {
        return Ok(state.gallery.by_api_key(&key).await?);
    }
    Err(ApiError::unauthenticated())
}

/// Absent is `None`, null is `Some(None)`.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Names and values of a query string.
pub fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decoded(name), decoded(value)))
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// A JSON body. Fields that we do not know are dropped, as Immich does. No text in it holds a NUL: PostgreSQL's cannot.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let bytes = Bytes::from_request(whole, state)
            .await
            .map_err(|rejection| ApiError::new(rejection.status(), rejection.body_text()))?;
        if escapes_nul(&bytes) {
            return Err(ApiError::field("body", "must not contain NUL"));
        }
        axum::Json::<T>::from_request(Request::from_parts(parts, Body::from(bytes)), state)
            .await
            .map(|axum::Json(body)| Self(body))
            .map_err(|rejection| validation(&rejection.body_text()))
    }
}

/// Is there a `\u0000`? JSON has no other way to write it. A backslash before makes the sequence mean itself.
pub fn escapes_nul(json: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = json[at..].windows(6).position(|part| part == b"\\u0000") {
        let start = at + found;
        let before = json[..start].iter().rev().take_while(|byte| **byte == b'\\').count();
        if before % 2 == 0 {
            return true;
        }
        at = start + 1;
    }
    false
}

/// A query string, without NUL.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(ApiError::field("query", "must not contain NUL"));
        }
        axum::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection: QueryRejection| validation(&rejection.body_text()))
    }
}

/// An id in the path.
pub struct Id<T>(pub T);

impl<T: std::str::FromStr<Err = types::ParseIdError>, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = axum::extract::Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::field("id", rejection.body_text()))?;
        text.parse().map(Self).map_err(|error: types::ParseIdError| ApiError::field("id", error.to_string()))
    }
}

/// serde names the field in its text: `Failed to …: ids: invalid type … at line 1 column 9`.
pub fn validation(text: &str) -> ApiError {
    let reason = text.split_once(": ").map_or(text, |(_, reason)| reason);
    let quoted = |marker: &str| Some(reason.split_once(marker)?.1.split_once('`')?.0.to_owned());
    let named = reason.split_once(": ").map(|(field, _)| field.to_owned()).filter(|field| !field.contains(' '));
    let field = quoted("missing field `").or(named).unwrap_or_else(|| "body".into());
    ApiError::field(field, reason)
}
