//! Tag "System metadata", and what can be said of paths.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use gallery::GalleryError;
use serde_json::{Value, json};

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Auth, Json};
use crate::routes::{Access, Routes};
use crate::server::version_check;
use crate::users::Onboarding;

/// Under which it is noted that an administrator was shown around.
const ONBOARDING: &str = "admin-onboarding";

pub fn routes() -> Routes {
    let (onboarding, read) = ("/system-metadata/admin-onboarding", "systemMetadata.read");
    Routes::new()
        .get(onboarding, "getAdminOnboarding", Access::Admin(read), get_admin_onboarding)
        .post(onboarding, "updateAdminOnboarding", Access::Admin("systemMetadata.update"), update_admin_onboarding)
        .get(
            "/system-metadata/reverse-geocoding-state",
            "getReverseGeocodingState",
            Access::Admin(read),
            get_reverse_geocoding_state,
        )
        .get(
            "/system-metadata/version-check-state",
            "getVersionCheckState",
            Access::Admin(read),
            get_version_check_state,
        )
}

pub async fn is_onboarded(state: &ApiState) -> Result<bool> {
    let noted = state.gallery.store().fact(ONBOARDING).await.map_err(GalleryError::from)?;
    Ok(noted.is_some_and(|value| value["isOnboarded"] == true))
}

async fn get_admin_onboarding(State(state): State<ApiState>, _: Auth) -> Result<Answer<Value>> {
    Ok(Answer(json!({ "isOnboarded": is_onboarded(&state).await? })))
}

async fn update_admin_onboarding(
    State(state): State<ApiState>,
    _: Auth,
    Json(body): Json<Onboarding>,
) -> Result<StatusCode> {
    let value = json!({ "isOnboarded": body.is_onboarded });
    state.gallery.store().set_fact(ONBOARDING, &value).await.map_err(GalleryError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The names of places are part of the program: nothing is imported, and never at a later date.
async fn get_reverse_geocoding_state(_: Auth) -> Answer<Value> {
    Answer(json!({ "lastImportFileName": null, "lastUpdate": null }))
}

async fn get_version_check_state(_: Auth) -> Answer<Value> {
    Answer(version_check())
}
