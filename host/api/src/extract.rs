//! What handlers ask for in their signatures.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use gallery::accounts::Identity;
use serde::de::DeserializeOwned;
use store::accounts::User;

use crate::cookies::{self, ACCESS_TOKEN};
use crate::{ApiError, ApiState};

/// A signed-in user.
pub struct Auth(pub Identity);

impl Auth {
    /// The user, if the means of sign-in has this permission.
    pub fn may(&self, permission: &str) -> Result<&User, ApiError> {
        self.0.may(permission)?;
        Ok(&self.0.user)
    }

    /// The same, for administrators only.
    pub fn admin(&self, permission: &str) -> Result<&User, ApiError> {
        let user = self.may(permission)?;
        if user.is_admin { Ok(user) } else { Err(ApiError::new(axum::http::StatusCode::FORBIDDEN, "Forbidden")) }
    }
}

impl FromRequestParts<ApiState> for Auth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        identify(parts, state).await.map(Self)
    }
}

/// Session token first, then API key, each in every place where clients put it.
pub async fn identify(parts: &Parts, state: &ApiState) -> Result<Identity, ApiError> {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let query = |name: &str| {
        let pairs = parts.uri.query().unwrap_or("").split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
    };
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

fn decoded(value: &str) -> String {
    percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned()
}

/// A JSON body. Fields that we do not know are dropped, as Immich does.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(rejection @ JsonRejection::BytesRejection(_)) => {
                Err(ApiError::new(rejection.status(), rejection.body_text()))
            }
            Err(rejection) => Err(validation(&rejection.body_text())),
        }
    }
}

/// A query string.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
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
fn validation(text: &str) -> ApiError {
    let reason = text.split_once(": ").map_or(text, |(_, reason)| reason);
    let quoted = |marker: &str| Some(reason.split_once(marker)?.1.split_once('`')?.0.to_owned());
    let named = reason.split_once(": ").map(|(field, _)| field.to_owned()).filter(|field| !field.contains(' '));
    let field = quoted("missing field `").or(named).unwrap_or_else(|| "body".into());
    ApiError::field(field, reason)
}
