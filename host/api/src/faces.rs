//! Tag "Faces".

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use store::faces::{DrawnFace, Face};
use types::{AssetId, FaceId, PersonId};

use crate::error::{ApiError, Result};
use crate::extract::{Auth, Id, Json, Query};
use crate::routes::{Access, Routes};
use crate::{ApiState, people};

pub fn routes() -> Routes {
    Routes::new()
        .get("/faces", "getFaces", Access::User("face.read"), get_faces)
        .post("/faces", "createFace", Access::User("face.create"), create_face)
        .put("/faces/{id}", "reassignFacesById", Access::User("face.update"), reassign_faces_by_id)
        .delete("/faces/{id}", "deleteFace", Access::User("face.delete"), delete_face)
}

/// AssetFaceWithoutPersonResponseDto.
pub fn json(face: &Face) -> Value {
    json!({
        "id": face.id,
        "imageWidth": face.image_width,
        "imageHeight": face.image_height,
        "boundingBoxX1": face.x1,
        "boundingBoxY1": face.y1,
        "boundingBoxX2": face.x2,
        "boundingBoxY2": face.y2,
        "sourceType": face.source,
    })
}

#[derive(Deserialize)]
struct OfAsset {
    id: AssetId,
}

async fn get_faces(State(state): State<ApiState>, auth: Auth, Query(query): Query<OfAsset>) -> Result<Answer<Value>> {
    let user = auth.user();
    let faces = state.gallery.people().faces_of(user.id, query.id).await?;
    let answers = faces.iter().map(|(face, person)| {
        let mut answer = json(face);
        answer["person"] = person.as_ref().map_or(Value::Null, people::json);
        answer
    });
    Ok(Answer(answers.collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Drawn {
    asset_id: AssetId,
    person_id: PersonId,
    x: i32,
    y: i32,
    width: i32,
    height: i32,
    image_width: i32,
    image_height: i32,
}

impl Drawn {
    fn read(&self) -> Result<DrawnFace> {
        let inside =
            |at: i32, size: i32, of: i32| at >= 0 && size > 0 && i64::from(at) + i64::from(size) <= i64::from(of);
        if !inside(self.x, self.width, self.image_width) || !inside(self.y, self.height, self.image_height) {
            return Err(ApiError::field("width", "the face must lie within the image"));
        }
        Ok(DrawnFace {
            asset: self.asset_id,
            person: self.person_id,
            x1: self.x,
            y1: self.y,
            x2: self.x + self.width,
            y2: self.y + self.height,
            image_width: self.image_width,
            image_height: self.image_height,
        })
    }
}

async fn create_face(State(state): State<ApiState>, auth: Auth, Json(body): Json<Drawn>) -> Result<StatusCode> {
    let user = auth.user();
    state.gallery.people().draw(user.id, &body.read()?).await?;
    Ok(StatusCode::CREATED)
}

#[derive(Deserialize)]
struct Of {
    id: FaceId,
}

/// Immich's way round: the person is in the path, the face in the body.
async fn reassign_faces_by_id(
    State(state): State<ApiState>,
    auth: Auth,
    Id(person): Id<PersonId>,
    Json(body): Json<Of>,
) -> Result<Answer<Value>> {
    let user = auth.user();
    Ok(Answer(people::json(&state.gallery.people().assign(user.id, body.id, person).await?)))
}

#[derive(Deserialize)]
struct Deletion {
    #[serde(default)]
    force: bool,
}

async fn delete_face(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<FaceId>,
    Json(body): Json<Deletion>,
) -> Result<StatusCode> {
    state.gallery.people().delete_face(auth.user().id, id, body.force).await?;
    Ok(StatusCode::NO_CONTENT)
}
