//! Tag "Partners".

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use store::partners::Partner;
use types::UserId;

use crate::error::Result;
use crate::extract::{Auth, Id, Json, Query};
use crate::routes::{Access, Routes};
use crate::{ApiState, users};

pub fn routes() -> Routes {
    Routes::new()
        .get("/partners", "getPartners", Access::User("partner.read"), get_partners)
        .post("/partners", "createPartner", Access::User("partner.create"), create_partner)
        .post("/partners/{id}", "createPartnerDeprecated", Access::User("partner.create"), create_partner_deprecated)
        .put("/partners/{id}", "updatePartner", Access::User("partner.update"), update_partner)
        .delete("/partners/{id}", "removePartner", Access::User("partner.delete"), remove_partner)
}

/// PartnerResponseDto.
fn json(partner: &Partner) -> Value {
    let mut answer = users::json(&partner.user);
    answer["inTimeline"] = partner.in_timeline.into();
    answer
}

#[derive(Deserialize)]
struct Listing {
    direction: Direction,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Direction {
    SharedBy,
    SharedWith,
}

async fn get_partners(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Listing>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    let partners = match query.direction {
        Direction::SharedBy => state.gallery.partners_by(user).await?,
        Direction::SharedWith => state.gallery.partners_with(user).await?,
    };
    Ok(Answer(partners.iter().map(json).collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    shared_with_id: UserId,
}

async fn create_partner(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Create>,
) -> Result<(StatusCode, Answer<Value>)> {
    create(&state, &auth, body.shared_with_id).await
}

async fn create_partner_deprecated(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<UserId>,
) -> Result<(StatusCode, Answer<Value>)> {
    create(&state, &auth, id).await
}

async fn create(state: &ApiState, auth: &Auth, with: UserId) -> Result<(StatusCode, Answer<Value>)> {
    let partner = state.gallery.create_partner(auth.user(), with).await?;
    Ok((StatusCode::CREATED, Answer(json(&partner))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    in_timeline: bool,
}

async fn update_partner(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<UserId>,
    Json(body): Json<Changes>,
) -> Result<Answer<Value>> {
    Ok(Answer(json(&state.gallery.update_partner(auth.user(), id, body.in_timeline).await?)))
}

async fn remove_partner(State(state): State<ApiState>, auth: Auth, Id(id): Id<UserId>) -> Result<StatusCode> {
    state.gallery.remove_partner(auth.user(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
