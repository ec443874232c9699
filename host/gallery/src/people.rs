//! People: found by themselves in the faces of an owner's photos, then named, merged and hidden as the owner likes.

use std::collections::HashMap;
use std::time::Duration;

use blobs::{Blob, BlobClass, Object};
use bytes::Bytes;
use media::{Codec, Filter, Fit, Limits};
use sha2::{Digest as _, Sha256};
use store::faces::{DrawnFace, Face, Rules};
use store::people::{PeoplePage, Person, PersonChanges, ThumbnailSource};
use store::search::SpaceKind;
use types::{AssetId, DetectedFace, FaceId, PersonId, Rect, Size, UserId};

use crate::plugins::face_space;
use crate::{Event, Gallery, GalleryError, Result, failpoint};

/// Pixels of a person's thumbnail, each way.
const THUMBNAIL: u32 = 250;
/// The thumbnail shows so much more than the face.
const AROUND: f32 = 1.7;

/// What a face detector says of its embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceSpace {
    /// Plugin and model revision.
    pub name: String,
    pub dimensions: usize,
    /// Two faces are of one person from this cosine on.
    pub same_person: f32,
}

/// The changes that an owner makes to a person.
#[derive(Debug, Clone, Default)]
pub struct PersonUpdate {
    pub changes: PersonChanges,
    /// The person's face on this photo stands for them from now on.
    pub feature_photo: Option<AssetId>,
}

/// Who is seen on an asset.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub people: Vec<(Person, Vec<Face>)>,
    pub unassigned: Vec<Face>,
}

/// People and faces of a gallery.
#[derive(Clone, Copy)]
pub struct People<'a>(&'a Gallery);

impl Gallery {
    pub fn people(&self) -> People<'_> {
        People(self)
    }
}

impl People<'_> {
    /// Writes down the faces that were found on an asset, and who they are. An asset that is gone is no error.
    pub async fn save_faces(&self, asset: AssetId, space: &FaceSpace, faces: &[DetectedFace]) -> Result<()> {
        let Some(found) = self.0.store().asset(asset).await? else { return Ok(()) };
        let size = found.width.zip(found.height).unwrap_or((1, 1));
        let rules = Rules::from_same_person(space.same_person);
        let space =
            self.0.store().space(SpaceKind::Face, &space.name, space.dimensions, Some(space.same_person)).await?;
        let clustered = self.0.store().save_faces(asset, &space, size, faces, &rules).await?;
        failpoint::hit("ingest.faces-saved");
        self.make_thumbnails(&clustered.people).await
    }

    /// Looks at all faces of an owner again. `reset`: people about whom nothing was decided are taken apart first.
    pub async fn recluster(&self, owner: UserId, space: &FaceSpace, reset: bool) -> Result<()> {
        let rules = Rules::from_same_person(space.same_person);
        let space =
            self.0.store().space(SpaceKind::Face, &space.name, space.dimensions, Some(space.same_person)).await?;
        let clustered = self.0.store().recluster(owner, &space, &rules, reset).await?;
        self.make_thumbnails(&clustered.people).await
    }

    /// The same for everybody who has faces, in the space of the detector that is installed: what Immich calls
    /// `facialRecognition`. Returns for how many.
    pub async fn recluster_all(&self, reset: bool) -> Result<usize> {
        let Some(space) = self.present_space() else { return Ok(0) };
        let Some(known) = self.0.store().known_space(SpaceKind::Face, &space.name).await? else { return Ok(0) };
        let owners = self.0.store().owners_of_faces(&known).await?;
        for owner in &owners {
            self.0.store().clear_stale(*owner).await?;
            self.recluster(*owner, &space, reset).await?;
        }
        Ok(owners.len())
    }

    /// The deferred pass: for owners whose faces changed in ways that placing one face at a time does not see, once their
    /// import has been calm for so long. Returns for how many.
    pub async fn recluster_stale(&self, calm: Duration) -> Result<usize> {
        let Some(space) = self.present_space() else { return Ok(0) };
        let owners = self.0.store().stale_people(calm.as_secs_f64()).await?;
        for owner in &owners {
            self.0.store().clear_stale(*owner).await?;
            self.recluster(*owner, &space, false).await?;
        }
        Ok(owners.len())
    }

    fn present_space(&self) -> Option<FaceSpace> {
        self.0.plugins().face_detector.as_ref().map(face_space)
    }

    /// `page` counts from 1.
    pub async fn list(&self, owner: UserId, with_hidden: bool, page: u32, size: u32) -> Result<PeoplePage> {
        let offset = i64::from(page.max(1) - 1) * i64::from(size);
        Ok(self.0.store().people(owner, with_hidden, offset, i64::from(size)).await?)
    }

    /// The person, if it is this owner's; otherwise no `permission` access.
    pub async fn get(&self, owner: UserId, id: PersonId, permission: &str) -> Result<Person> {
        let person = self.0.store().person(id).await?.filter(|person| person.owner == owner);
        person.ok_or_else(|| GalleryError::no_access(permission))
    }

    pub async fn named(&self, owner: UserId, name: &str, with_hidden: bool) -> Result<Vec<Person>> {
        Ok(self.0.store().people_named(owner, name, with_hidden, 1_000).await?)
    }

    pub async fn create(&self, owner: UserId, changes: &PersonChanges) -> Result<Person> {
        Ok(self.0.store().create_person(owner, changes).await?)
    }

    /// # Errors
    /// Also when the person is not on the photo that shall stand for them.
    pub async fn update(&self, owner: UserId, id: PersonId, update: &PersonUpdate) -> Result<Person> {
        self.get(owner, id, "person.update").await?;
        let mut changes = update.changes.clone();
        if let Some(photo) = update.feature_photo {
            let faces = self.0.store().faces_of_person_on(id, photo).await?;
            let face = faces.first().ok_or_else(|| GalleryError::Invalid("Invalid assetId for feature face".into()))?;
            changes.feature_face = Some(*face);
        }
        let person = self.0.store().update_person(owner, id, &changes).await?;
        if changes.feature_face.is_some() {
            self.make_thumbnails(&[id]).await?;
        }
        person.ok_or_else(|| GalleryError::no_access("person.update"))
    }

    /// Makes one person of several; answers which of `others` were merged. Ids of other owners are not found.
    pub async fn merge(&self, owner: UserId, into: PersonId, others: &[PersonId]) -> Result<Vec<PersonId>> {
        self.get(owner, into, "person.merge").await?;
        let known = self.0.store().people_by_id(others).await?;
        let mine: Vec<PersonId> =
            known.iter().filter(|person| person.owner == owner && person.id != into).map(|person| person.id).collect();
        if !mine.is_empty() {
            if !self.0.store().merge_people(owner, into, &mine).await? {
                return Err(GalleryError::no_access("person.merge"));
            }
            self.make_thumbnails(&[into]).await?;
            self.0.sweep_now().await;
        }
        Ok(mine)
    }

    /// # Errors
    /// One of them is not this owner's: then none is deleted.
    pub async fn delete(&self, owner: UserId, ids: &[PersonId]) -> Result<()> {
        for id in ids {
            self.get(owner, *id, "person.delete").await?;
        }
        self.0.store().delete_people(owner, ids).await?;
        self.0.sweep_now().await;
        Ok(())
    }

    /// Photos on which the person is seen.
    pub async fn count_photos(&self, owner: UserId, id: PersonId) -> Result<i64> {
        self.get(owner, id, "person.statistics").await?;
        Ok(self.0.store().count_photos_of(id).await?)
    }

    /// The JPEG of a person's face; made now where it is missing.
    pub async fn thumbnail(&self, owner: UserId, id: PersonId) -> Result<Blob> {
        let mut person = self.get(owner, id, "person.read").await?;
        if person.thumbnail_location.is_none() {
            self.make_thumbnails(&[id]).await?;
            person = self.get(owner, id, "person.read").await?;
        }
        let location = person
            .thumbnail_location
            .ok_or_else(|| GalleryError::NotFound("This person has no face with a preview yet".into()))?;
        self.0.read(&location, 0, None).await
    }

    /// The faces of an asset of this owner, with who they are.
    pub async fn faces_of(&self, owner: UserId, asset: AssetId) -> Result<Vec<(Face, Option<Person>)>> {
        self.own_asset(owner, asset, "asset.read").await?;
        let faces = self.0.store().faces_of(asset).await?;
        let people = self.people_of(&faces).await?;
        Ok(faces
            .into_iter()
            .map(|face| {
                let person = face.person.and_then(|id| people.get(&id).cloned());
                (face, person)
            })
            .collect())
    }

    /// Who is seen on these assets; for assets that the caller may see.
    pub async fn seen_on(&self, assets: &[AssetId]) -> Result<HashMap<AssetId, Seen>> {
        let faces = self.0.store().faces_of_all(assets).await?;
        let people = self.people_of(&faces).await?;
        let mut seen: HashMap<AssetId, Seen> = HashMap::new();
        for face in faces {
            let seen = seen.entry(face.asset).or_default();
            let Some(person) = face.person.and_then(|id| people.get(&id)) else {
                seen.unassigned.push(face);
                continue;
            };
            match seen.people.iter_mut().find(|(known, _)| known.id == person.id) {
                Some((_, faces)) => faces.push(face),
                None => seen.people.push((person.clone(), vec![face])),
            }
        }
        Ok(seen)
    }

    /// Adds a face that the owner drew.
    pub async fn draw(&self, owner: UserId, face: &DrawnFace) -> Result<FaceId> {
        self.own_asset(owner, face.asset, "asset.update").await?;
        self.get(owner, face.person, "person.read").await?;
        let id = self.0.store().add_face(owner, face).await?;
        let id = id.ok_or_else(|| GalleryError::no_access("person.read"))?;
        self.make_thumbnails(&[face.person]).await?;
        Ok(id)
    }

    /// The owner says who this face is.
    pub async fn assign(&self, owner: UserId, face: FaceId, person: PersonId) -> Result<Person> {
        self.get(owner, person, "person.update").await?;
        self.own_face(owner, face, "face.update").await?;
        self.assign_all(owner, &[face], person).await?;
        self.get(owner, person, "person.update").await
    }

    /// On each of these photos, the face of the person beside it belongs to `person`.
    pub async fn reassign(&self, owner: UserId, person: PersonId, from: &[(AssetId, PersonId)]) -> Result<Vec<Person>> {
        self.get(owner, person, "person.reassign").await?;
        let mut faces = Vec::new();
        for (asset, other) in from {
            self.get(owner, *other, "person.reassign").await?;
            faces.extend(self.0.store().faces_of_person_on(*other, *asset).await?);
        }
        self.assign_all(owner, &faces, person).await?;
        Ok(vec![self.get(owner, person, "person.reassign").await?])
    }

    pub async fn delete_face(&self, owner: UserId, face: FaceId, force: bool) -> Result<()> {
        let person = self.own_face(owner, face, "face.delete").await?.person;
        self.0.store().delete_face(owner, face, force).await?;
        self.make_thumbnails(person.as_slice()).await
    }

    async fn assign_all(&self, owner: UserId, faces: &[FaceId], person: PersonId) -> Result<()> {
        let mut people = self.0.store().assign_faces(owner, faces, person).await?;
        people.push(person);
        self.make_thumbnails(&people).await
    }

    async fn people_of(&self, faces: &[Face]) -> Result<HashMap<PersonId, Person>> {
        let mut ids: Vec<PersonId> = faces.iter().filter_map(|face| face.person).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        Ok(self.0.store().people_by_id(&ids).await?.into_iter().map(|person| (person.id, person)).collect())
    }

    async fn own_asset(&self, owner: UserId, asset: AssetId, permission: &str) -> Result<()> {
        match self.0.store().owned(owner, &[asset], false).await?.is_empty() {
            true => Err(GalleryError::no_access(permission)),
            false => Ok(()),
        }
    }

    async fn own_face(&self, owner: UserId, face: FaceId, permission: &str) -> Result<Face> {
        let found = self.0.store().face(face).await?.filter(|(_, of)| *of == owner);
        found.map(|(face, _)| face).ok_or_else(|| GalleryError::no_access(permission))
    }

    /// For those whose thumbnail is missing or shows another face. What cannot be made now is made when somebody looks.
    pub(crate) async fn make_thumbnails(&self, people: &[PersonId]) -> Result<()> {
        for source in self.0.store().thumbnail_sources(people).await? {
            if source.present.as_ref().is_some_and(|(face, _)| *face == source.face) {
                continue;
            }
            if let Err(error) = self.make_thumbnail(&source).await {
                tracing::warn!(person.id = %source.person, %error, "Cannot make a person's thumbnail");
            }
        }
        Ok(())
    }

    async fn make_thumbnail(&self, source: &ThumbnailSource) -> Result<()> {
        let Some(preview) = &source.preview else { return Ok(()) };
        let bytes = self.0.read(preview, 0, None).await?.read().await?;
        let area = source.area;
        let jpeg = tokio::task::spawn_blocking(move || cut_out(&bytes, area))
            .await
            .map_err(|error| GalleryError::Io(std::io::Error::other(error)))?
            .map_err(|error| GalleryError::Invalid(format!("the preview cannot be used: {error}")))?;
        let sha256: [u8; 32] = Sha256::digest(&jpeg).into();
        let object = Object {
            key: source.person.to_string(),
            class: BlobClass::Derivative,
            owner: source.owner.to_string(),
            owner_label: None,
            taken_ms: None,
            file_name: format!("{}-face-{}.jpeg", source.person, hex::encode(&sha256[..4])),
            sha256,
        };
        let blob = Blob::from_bytes(Bytes::from(jpeg)).mark_from_image();
        failpoint::hit("person.thumbnail-cut");
        let (location, _) = self.0.blobs().put(&object, &blob).await?;
        failpoint::hit("person.thumbnail-put");
        let person = (source.owner, source.person);
        if !self.0.store().save_person_thumbnail(person, source.face, &location).await? {
            self.0.store().add_garbage(source.owner, &[location]).await?;
            return Ok(());
        }
        self.0.events().publish(Event::PersonThumbnail { owner: source.owner, person: source.person });
        Ok(())
    }
}

/// A square around `area` (x1, y1, x2, y2 in fractions), as far as the picture goes, as JPEG.
fn cut_out(image: &[u8], area: [f32; 4]) -> Result<Vec<u8>, media::MediaError> {
    let pixels = media::decode(image, None, &Limits::default())?;
    let (width, height) = (pixels.width as f32, pixels.height as f32);
    let [x1, y1, x2, y2] = area;
    let side = ((x2 - x1) * width).max((y2 - y1) * height).max(1.0) * AROUND;
    let side = side.min(width).min(height);
    let left = ((x1 + x2) / 2.0 * width - side / 2.0).clamp(0.0, width - side);
    let top = ((y1 + y2) / 2.0 * height - side / 2.0).clamp(0.0, height - side);
    let square = Rect { x: left / width, y: top / height, width: side / width, height: side / height };
    let square = media::crop(&pixels, square)?;
    let small = media::resize(&square, Size { width: THUMBNAIL, height: THUMBNAIL }, Fit::Stretch, Filter::Lanczos3)?;
    media::encode(&small, Codec::Jpeg, 80)
}
