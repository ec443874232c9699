//! Tag "People".

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use gallery::Gallery;
use gallery::people::PersonUpdate;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::Deserialize;
use serde_json::{Value, json};
use store::people::{Person, PersonChanges};
use types::wire::iso;
use types::{AssetId, PersonId};

use crate::error::{ApiError, Result};
use crate::extract::{Auth, Id, Json, Query, present};
use crate::routes::{Access, Routes};
use crate::{ApiState, faces};

/// People on a page unless the client says otherwise.
const PAGE: u32 = 500;
/// Bytes of a name.
const LONGEST_NAME: usize = 1_000;

pub fn routes() -> Routes {
    Routes::new()
        .get("/people", "getAllPeople", Access::User("person.read"), get_all_people)
        .post("/people", "createPerson", Access::User("person.create"), create_person)
        .put("/people", "updatePeople", Access::User("person.update"), update_people)
        .delete("/people", "deletePeople", Access::User("person.delete"), delete_people)
        .post("/people/merge", "mergePeople", Access::User("person.merge"), merge_people)
        .get("/people/{id}", "getPerson", Access::User("person.read"), get_person)
        .put("/people/{id}", "updatePerson", Access::User("person.update"), update_person)
        .delete("/people/{id}", "deletePerson", Access::User("person.delete"), delete_person)
        .post("/people/{id}/merge", "mergePersonLegacy", Access::User("person.merge"), merge_person_legacy)
        .put("/people/{id}/reassign", "reassignFaces", Access::User("person.reassign"), reassign_faces)
        .get("/people/{id}/statistics", "getPersonStatistics", Access::User("person.statistics"), get_person_statistics)
        .get("/people/{id}/thumbnail", "getPersonThumbnail", Access::User("person.read"), get_person_thumbnail)
}

/// PersonResponseDto.
pub fn json(person: &Person) -> Value {
    let mut json = json!({
        "id": person.id,
        "name": person.name,
        "birthDate": person.birth_date,
        "thumbnailPath": person.thumbnail_location.as_deref().unwrap_or(""),
        "isHidden": person.is_hidden,
        "isFavorite": person.is_favorite,
        "updatedAt": iso(person.updated_at),
    });
    if let Some(color) = &person.color {
        json["color"] = color.as_str().into();
    }
    json
}

/// Adds `people` and `unassignedFaces` to AssetResponseDtos that the caller may see.
pub async fn add_to(gallery: &Gallery, assets: &mut [(AssetId, &mut Value)]) -> Result<()> {
    let ids: Vec<AssetId> = assets.iter().map(|(id, _)| *id).collect();
    let seen = gallery.people().seen_on(&ids).await?;
    for (id, answer) in assets {
        let Some(seen) = seen.get(id) else { continue };
        let people = seen.people.iter().filter(|(person, _)| !person.is_hidden).map(|(person, faces)| {
            let mut json = json(person);
            json["faces"] = faces.iter().map(faces::json).collect();
            json
        });
        answer["people"] = people.collect();
        answer["unassignedFaces"] = seen.unassigned.iter().map(faces::json).collect();
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    page: Option<u32>,
    size: Option<u32>,
    #[serde(default)]
    with_hidden: bool,
    // Not there yet, and a client would take any order for that of likeness.
    closest_person_id: Option<String>,
    closest_asset_id: Option<String>,
}

async fn get_all_people(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Listing>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    for (name, closest) in [("closestPersonId", &query.closest_person_id), ("closestAssetId", &query.closest_asset_id)]
    {
        if closest.is_some() {
            return Err(ApiError::field(name, "is not supported yet"));
        }
    }
    let (page, size) = (query.page.unwrap_or(1), query.size.unwrap_or(PAGE));
    if page == 0 || !(1..=1_000).contains(&size) {
        return Err(ApiError::field("page", "page must be at least 1, size 1 to 1000"));
    }
    let found = state.gallery.people().list(user.id, query.with_hidden, page, size).await?;
    let listed = if query.with_hidden { found.total } else { found.total - found.hidden };
    Ok(Answer(json!({
        "people": found.people.iter().map(json).collect::<Vec<_>>(),
        "total": found.total,
        "hidden": found.hidden,
        "hasNextPage": i64::from(page) * i64::from(size) < listed,
    })))
}

async fn get_person(State(state): State<ApiState>, auth: Auth, Id(id): Id<PersonId>) -> Result<Answer<Value>> {
    let user = auth.user();
    Ok(Answer(json(&state.gallery.people().get(user.id, id, "person.read").await?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    birth_date: Option<Option<String>>,
    is_hidden: Option<bool>,
    is_favorite: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    color: Option<Option<String>>,
    feature_face_asset_id: Option<AssetId>,
}

impl Changes {
    fn read(self, now: Timestamp) -> Result<PersonUpdate> {
        if self.name.as_ref().is_some_and(|name| name.len() > LONGEST_NAME) {
            return Err(ApiError::field("name", format!("is longer than {LONGEST_NAME} bytes")));
        }
        let color = self.color.map(|color| color.filter(|color| !color.is_empty()));
        if color.iter().flatten().any(|color| !is_hex_colour(color)) {
            return Err(ApiError::field("color", "is no colour such as #3366ff"));
        }
        Ok(PersonUpdate {
            changes: PersonChanges {
                name: self.name.map(|name| name.trim().to_owned()),
                birth_date: self.birth_date.map(|text| birth_date(text, now)).transpose()?,
                is_hidden: self.is_hidden,
                is_favorite: self.is_favorite,
                color,
                feature_face: None,
            },
            feature_photo: self.feature_face_asset_id,
        })
    }
}

fn is_hex_colour(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 4 | 6 | 8) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// A date; the phone sends a time after it. Nobody is born tomorrow, wherever they are.
fn birth_date(text: Option<String>, now: Timestamp) -> Result<Option<Date>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = || ApiError::field("birthDate", format!("{text:?} is no date such as 1984-02-29"));
    let date: Date = text.get(..10).ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
    // Where the day begins first, it is 14 hours ahead of UTC.
    let today = Offset::constant(14).to_datetime(now).date();
    if date > today || date.year() < 1 {
        return Err(ApiError::field("birthDate", format!("{date} is no day on which somebody was born")));
    }
    Ok(Some(date))
}

async fn create_person(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Changes>,
) -> Result<impl IntoResponse> {
    let user = auth.user();
    let person = state.gallery.people().create(user.id, &body.read(state.gallery.now())?.changes).await?;
    Ok((StatusCode::CREATED, Answer(json(&person))))
}

async fn update_person(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<PersonId>,
    Json(body): Json<Changes>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    Ok(Answer(json(&state.gallery.people().update(user.id, id, &body.read(state.gallery.now())?).await?)))
}

#[derive(Deserialize)]
struct ManyChanges {
    people: Vec<OneOfMany>,
}

#[derive(Deserialize)]
struct OneOfMany {
    id: PersonId,
    #[serde(flatten)]
    changes: Changes,
}

async fn update_people(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<ManyChanges>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    let mut answers = Vec::with_capacity(body.people.len());
    for OneOfMany { id, changes } in body.people {
        let done = state.gallery.people().update(user.id, id, &changes.read(state.gallery.now())?).await;
        answers.push(match done {
            Ok(_) => json!({ "id": id, "success": true }),
            Err(gallery::GalleryError::Invalid(_)) => json!({ "id": id, "success": false, "error": "not_found" }),
            Err(error) => return Err(error.into()),
        });
    }
    Ok(Answer(answers.into()))
}

#[derive(Deserialize)]
struct Ids {
    ids: Vec<PersonId>,
}

async fn delete_people(State(state): State<ApiState>, auth: Auth, Json(body): Json<Ids>) -> Result<StatusCode> {
    state.gallery.people().delete(auth.user().id, &body.ids).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_person(State(state): State<ApiState>, auth: Auth, Id(id): Id<PersonId>) -> Result<StatusCode> {
    state.gallery.people().delete(auth.user().id, &[id]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The first one stays.
async fn merge_people(State(state): State<ApiState>, auth: Auth, Json(body): Json<Ids>) -> Result<Answer<Value>> {
    let user = auth.user();
    let Some((into, others)) = body.ids.split_first() else {
        return Err(ApiError::field("ids", "must name at least two people"));
    };
    merge(&state, user.id, *into, others).await
}

async fn merge_person_legacy(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<PersonId>,
    Json(body): Json<Ids>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    if body.ids.contains(&id) {
        return Err(ApiError::bad_request("Cannot merge a person into themselves"));
    }
    merge(&state, user.id, id, &body.ids).await
}

async fn merge(state: &ApiState, owner: types::UserId, into: PersonId, others: &[PersonId]) -> Result<Answer<Value>> {
    let merged = state.gallery.people().merge(owner, into, others).await?;
    let answers = others.iter().map(|id| match merged.contains(id) {
        true => json!({ "id": id, "success": true }),
        false => json!({ "id": id, "success": false, "error": "not_found" }),
    });
    Ok(Answer(answers.collect()))
}

#[derive(Deserialize)]
struct Moves {
    data: Vec<Move>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Move {
    asset_id: AssetId,
    person_id: PersonId,
}

async fn reassign_faces(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<PersonId>,
    Json(body): Json<Moves>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    let from: Vec<(AssetId, PersonId)> = body.data.iter().map(|one| (one.asset_id, one.person_id)).collect();
    let people = state.gallery.people().reassign(user.id, id, &from).await?;
    Ok(Answer(people.iter().map(json).collect()))
}

async fn get_person_statistics(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<PersonId>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    Ok(Answer(json!({ "assets": state.gallery.people().count_photos(user.id, id).await? })))
}

async fn get_person_thumbnail(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<PersonId>,
) -> Result<impl IntoResponse> {
    let user = auth.user();
    let blob = state.gallery.people().thumbnail(user.id, id).await?;
    let bytes = blob.read().await.map_err(gallery::GalleryError::from)?;
    // The page adds `updatedAt` to the address, so a new face is a new address.
    Ok(([(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private, max-age=86400, no-transform")], bytes))
}
