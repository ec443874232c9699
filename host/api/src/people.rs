//! Tag "People".

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use axum::{Json as Answer, Router};
use gallery::Gallery;
use gallery::people::PersonUpdate;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use store::people::{Person, PersonChanges};
use types::wire::iso;
use types::{AssetId, PersonId};

use crate::error::{ApiError, Result};
use crate::extract::{Auth, Id, Json, Query};
use crate::{ApiState, faces};

/// People on a page unless the client says otherwise.
const PAGE: u32 = 500;

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/people", get(get_all_people).post(create_person).put(update_people).delete(delete_people))
        .route("/people/merge", post(merge_people))
        .route("/people/{id}", get(get_person).put(update_person).delete(delete_person))
        .route("/people/{id}/merge", post(merge_person_legacy))
        .route("/people/{id}/reassign", put(reassign_faces))
        .route("/people/{id}/statistics", get(get_person_statistics))
        .route("/people/{id}/thumbnail", get(get_person_thumbnail))
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
}

async fn get_all_people(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Listing>,
) -> Result<Answer<Value>> {
    let user = auth.may("person.read")?;
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
    let user = auth.may("person.read")?;
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

/// Absent is `None`, null is `Some(None)`.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Changes {
    fn read(self) -> Result<PersonUpdate> {
        if self.name.as_ref().is_some_and(|name| name.contains('\0')) {
            return Err(ApiError::field("name", "must not contain NUL"));
        }
        let color = self.color.map(|color| color.filter(|color| !color.is_empty()));
        if color.iter().flatten().any(|color| !is_hex_colour(color)) {
            return Err(ApiError::field("color", "is no colour such as #3366ff"));
        }
        Ok(PersonUpdate {
            changes: PersonChanges {
                name: self.name.map(|name| name.trim().to_owned()),
                birth_date: self.birth_date.map(birth_date).transpose()?,
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
fn birth_date(text: Option<String>) -> Result<Option<Date>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = || ApiError::field("birthDate", format!("{text:?} is no date such as 1984-02-29"));
    Ok(Some(text.get(..10).ok_or_else(wrong)?.parse().map_err(|_| wrong())?))
}

async fn create_person(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Changes>,
) -> Result<impl IntoResponse> {
    let user = auth.may("person.create")?;
    let person = state.gallery.people().create(user.id, &body.read()?.changes).await?;
    Ok((StatusCode::CREATED, Answer(json(&person))))
}

async fn update_person(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<PersonId>,
    Json(body): Json<Changes>,
) -> Result<Answer<Value>> {
    let user = auth.may("person.update")?;
    Ok(Answer(json(&state.gallery.people().update(user.id, id, &body.read()?).await?)))
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
    let user = auth.may("person.update")?;
    let mut answers = Vec::with_capacity(body.people.len());
    for OneOfMany { id, changes } in body.people {
        let done = state.gallery.people().update(user.id, id, &changes.read()?).await;
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
    state.gallery.people().delete(auth.may("person.delete")?.id, &body.ids).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_person(State(state): State<ApiState>, auth: Auth, Id(id): Id<PersonId>) -> Result<StatusCode> {
    state.gallery.people().delete(auth.may("person.delete")?.id, &[id]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The first one stays.
async fn merge_people(State(state): State<ApiState>, auth: Auth, Json(body): Json<Ids>) -> Result<Answer<Value>> {
    let user = auth.may("person.merge")?;
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
    let user = auth.may("person.merge")?;
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
    let user = auth.may("person.reassign")?;
    let from: Vec<(AssetId, PersonId)> = body.data.iter().map(|one| (one.asset_id, one.person_id)).collect();
    let people = state.gallery.people().reassign(user.id, id, &from).await?;
    Ok(Answer(people.iter().map(json).collect()))
}

async fn get_person_statistics(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<PersonId>,
) -> Result<Answer<Value>> {
    let user = auth.may("person.statistics")?;
    Ok(Answer(json!({ "assets": state.gallery.people().count_photos(user.id, id).await? })))
}

async fn get_person_thumbnail(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<PersonId>,
) -> Result<impl IntoResponse> {
    let user = auth.may("person.read")?;
    let blob = state.gallery.people().thumbnail(user.id, id).await?;
    let bytes = blob.read().await.map_err(gallery::GalleryError::from)?;
    // The page adds `updatedAt` to the address, so a new face is a new address.
    Ok(([(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private, max-age=86400, no-transform")], bytes))
}
