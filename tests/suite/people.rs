//! Faces become people: by themselves, and as their owner decides. Real PostgreSQL; synthetic embeddings.

use std::collections::{BTreeMap, BTreeSet};

use store::Store;
use store::faces::Rules;
use store::people::PersonChanges;
use store::search::{Space, SpaceKind};
use tests::Database;
use types::{AssetId, DetectedFace, PersonId, Rect, UserId};

const DIMENSIONS: usize = 128;
const RULES: Rules = Rules { near: 0.38, very_near: 0.48 };

/// A small generator, so that a failure comes back.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn normal(&mut self) -> f32 {
        let bits = self.next();
        ((0..4).map(|part| ((bits >> (16 * part)) & 0xffff) as f32 / 65_536.0).sum::<f32>() - 2.0) * 1.732
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.next() as usize % (at + 1));
        }
    }
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}

/// Somebody: two faces of theirs are at a cosine of about 1 / (1 + spread^2).
fn face_of(person: usize, spread: f32, chance: &mut Chance) -> Vec<f32> {
    let mut centre = Chance(0x1234_5678_9abc + person as u64 * 0x9e37_79b9_7f4a_7c15);
    let centre = unit((0..DIMENSIONS).map(|_| centre.normal()).collect());
    unit(centre.iter().map(|value| value + spread * chance.normal() / (DIMENSIONS as f32).sqrt()).collect())
}

fn detected(embedding: Vec<f32>, at: f32) -> DetectedFace {
    DetectedFace {
        area: Rect { x: at, y: 0.2, width: 0.1, height: 0.15 },
        score: 0.9,
        landmarks: Vec::new(),
        embedding,
    }
}

struct World {
    store: Store,
    raw: tokio_postgres::Client,
    space: Space,
}

async fn world() -> World {
    let database = Database::new().await;
    let raw = database.raw().await;
    let store = database.store;
    let space = store.space(SpaceKind::Face, "test@1", DIMENSIONS, Some(RULES.near)).await.unwrap();
    World { store, raw, space }
}

impl World {
    async fn owner(&self) -> UserId {
        let owner = UserId::generate();
        let email = format!("{owner}@example.org");
        self.raw
            .execute("INSERT INTO app_user (id, email, name) VALUES ($1, $2, 'x')", &[&owner.0, &email])
            .await
            .unwrap();
        owner
    }

    async fn asset(&self, owner: UserId) -> AssetId {
        let asset = AssetId::generate();
        self.raw
            .execute(
                "INSERT INTO asset (id, owner_id, checksum, sha256, type, original_file_name, original_path, mime_type,
                    file_size, file_created_at, file_modified_at, local_date_time)
                 VALUES ($1::uuid, $2, substr(sha256($1::uuid::text::bytea), 1, 20), sha256($1::uuid::text::bytea), 'IMAGE', 'a.jpg', 'x:a',
                    'image/jpeg', 1, now(), now(), now()::timestamp)",
                &[&asset.0, &owner.0],
            )
            .await
            .unwrap();
        asset
    }

    /// A photo with one face.
    async fn photo(&self, owner: UserId, embedding: Vec<f32>) -> AssetId {
        let asset = self.asset(owner).await;
        self.faces(asset, &[detected(embedding, 0.3)]).await;
        asset
    }

    async fn faces(&self, asset: AssetId, faces: &[DetectedFace]) {
        self.store.save_faces(asset, &self.space, (1000, 800), faces, &RULES).await.unwrap();
    }

    /// Locations that the sweeper will delete.
    async fn garbage(&self) -> Vec<String> {
        let query = "SELECT location FROM blob_intent WHERE state = 'garbage' ORDER BY location";
        self.raw.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    async fn person_on(&self, asset: AssetId) -> Option<PersonId> {
        self.store.faces_of(asset).await.unwrap()[0].person
    }

    /// Which photos show one person, as indices into `photos`; strangers are alone.
    async fn groups(&self, photos: &[AssetId]) -> BTreeSet<BTreeSet<usize>> {
        let mut groups: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (at, photo) in photos.iter().enumerate() {
            let key = self.person_on(*photo).await.map_or_else(|| format!("nobody {at}"), |person| person.to_string());
            groups.entry(key).or_default().insert(at);
        }
        groups.into_values().collect()
    }
}

#[tokio::test]
async fn groups_people_alike_in_whatever_order_photos_come() {
    let world = world().await;
    let mut chance = Chance(7);
    // Seven people with 2 to 14 photos each, and five strangers with one.
    let mut faces: Vec<(usize, Vec<f32>)> = Vec::new();
    for person in 0..7 {
        faces.extend((0..2 * person + 2).map(|_| (person, face_of(person, 0.7, &mut chance))));
    }
    faces.extend((100..105).map(|person| (person, face_of(person, 0.7, &mut chance))));
    let mut expected: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (at, (person, _)) in faces.iter().enumerate() {
        expected.entry(*person).or_default().insert(at);
    }
    let expected: BTreeSet<BTreeSet<usize>> = expected.into_values().collect();
    for round in 0..4 {
        let owner = world.owner().await;
        let mut order: Vec<usize> = (0..faces.len()).collect();
        chance.shuffle(&mut order);
        let mut photos = vec![None; faces.len()];
        for at in order {
            photos[at] = Some(world.photo(owner, faces[at].1.clone()).await);
        }
        let photos: Vec<AssetId> = photos.into_iter().flatten().collect();
        assert_eq!(world.groups(&photos).await, expected, "round {round}");
        let page = world.store.people(owner, false, 0, 100).await.unwrap();
        assert_eq!(page.total, 7, "strangers on one photo are not listed");
        world.store.recluster(owner, &world.space, &RULES, true).await.unwrap();
        assert_eq!(world.groups(&photos).await, expected, "round {round}, taken apart and done again");
    }
}

#[tokio::test]
async fn never_merges_strangers_that_are_nearly_alike() {
    let world = world().await;
    let owner = world.owner().await;
    let mut chance = Chance(11);
    // Two people at a cosine of 0.3 to each other: below what the space declares.
    let first = face_of(1, 0.0, &mut chance);
    let other = face_of(2, 0.0, &mut chance);
    let second = unit(first.iter().zip(&other).map(|(a, b)| 0.3 * a + 0.954 * b).collect());
    let mut photos = Vec::new();
    for at in 0..20 {
        let centre = if at % 2 == 0 { &first } else { &second };
        let jitter = unit(centre.iter().map(|v| v + 0.15 * chance.normal() / (DIMENSIONS as f32).sqrt()).collect());
        photos.push(world.photo(owner, jitter).await);
    }
    let even: BTreeSet<usize> = (0..20).step_by(2).collect();
    let odd: BTreeSet<usize> = (1..20).step_by(2).collect();
    assert_eq!(world.groups(&photos).await, BTreeSet::from([even, odd]));
}

#[tokio::test]
async fn keeps_what_was_decided_when_faces_are_looked_at_again() {
    let world = world().await;
    let owner = world.owner().await;
    let mut chance = Chance(13);
    let mut photos = Vec::new();
    for person in [1, 1, 1, 1, 2, 2, 2, 3, 3, 3] {
        photos.push((person, world.photo(owner, face_of(person, 0.6, &mut chance)).await));
    }
    let person_of = |wanted: usize| photos.iter().find(|(person, _)| *person == wanted).unwrap().1;
    let [one, two, three] = [
        world.person_on(person_of(1)).await.unwrap(),
        world.person_on(person_of(2)).await.unwrap(),
        world.person_on(person_of(3)).await.unwrap(),
    ];
    // 1 gets a name; 2 is merged into 1 (they look different to the model); one photo of 1 is said to be 3; 3 is hidden.
    let named = PersonChanges { name: Some("Ada".into()), ..PersonChanges::default() };
    world.store.update_person(owner, one, &named).await.unwrap().unwrap();
    world.store.merge_people(owner, one, &[two]).await.unwrap();
    let moved = world.store.faces_of(photos[3].1).await.unwrap()[0].id;
    assert_eq!(world.store.assign_faces(owner, &[moved], three).await.unwrap(), [one]);
    let hidden = PersonChanges { is_hidden: Some(true), ..PersonChanges::default() };
    world.store.update_person(owner, three, &hidden).await.unwrap().unwrap();
    let decided = world.groups(&photos.iter().map(|(_, photo)| *photo).collect::<Vec<_>>()).await;

    world.store.recluster(owner, &world.space, &RULES, true).await.unwrap();
    for person in [1, 2, 3] {
        photos.push((person, world.photo(owner, face_of(person, 0.6, &mut chance)).await));
    }

    let assets: Vec<AssetId> = photos.iter().map(|(_, photo)| *photo).collect();
    assert_eq!(world.groups(&assets[..10]).await, decided);
    assert_eq!(world.person_on(assets[10]).await, Some(one));
    assert_eq!(world.person_on(assets[11]).await, Some(one), "a new photo of the merged person joins the merged");
    assert_eq!(world.person_on(assets[12]).await, Some(three));
    assert_eq!(world.store.person(one).await.unwrap().unwrap().name, "Ada");
    assert_eq!(world.store.people(owner, false, 0, 10).await.unwrap().people.len(), 1, "the hidden one is not listed");
    assert_eq!(world.store.people(owner, true, 0, 10).await.unwrap().people.len(), 2);
}

#[tokio::test]
async fn keeps_a_face_when_its_step_runs_again() {
    let world = world().await;
    let owner = world.owner().await;
    let mut chance = Chance(17);
    let embedding = face_of(1, 0.5, &mut chance);
    let photo = world.photo(owner, embedding.clone()).await;
    world.photo(owner, face_of(1, 0.5, &mut chance)).await;
    let before = world.store.faces_of(photo).await.unwrap();
    assert!(before[0].person.is_some(), "two photos that are very much alike make a person");
    world.faces(photo, &[detected(embedding, 0.301)]).await;
    let after = world.store.faces_of(photo).await.unwrap();
    assert_eq!((after.len(), after[0].id, after[0].person), (1, before[0].id, before[0].person));
    world.faces(photo, &[]).await;
    assert_eq!(world.store.faces_of(photo).await.unwrap(), []);
}

#[tokio::test]
async fn leaves_deleted_people_and_faces_alone() {
    let world = world().await;
    let owner = world.owner().await;
    let mut chance = Chance(19);
    let mut photos = Vec::new();
    for _ in 0..4 {
        photos.push(world.photo(owner, face_of(1, 0.5, &mut chance)).await);
    }
    let person = world.person_on(photos[0]).await.unwrap();
    let other = world.owner().await;
    world.store.delete_people(other, &[person]).await.unwrap();
    assert!(world.store.person(person).await.unwrap().is_some(), "somebody else's person stays");
    world.store.delete_people(owner, &[person]).await.unwrap();
    world.store.recluster(owner, &world.space, &RULES, true).await.unwrap();
    assert_eq!(world.store.people(owner, true, 0, 10).await.unwrap().total, 0);
    let face = world.store.faces_of(photos[0]).await.unwrap()[0].id;
    world.store.delete_face(owner, face, false).await.unwrap();
    world.faces(photos[0], &[detected(face_of(1, 0.5, &mut chance), 0.3)]).await;
    assert_eq!(world.store.faces_of(photos[0]).await.unwrap(), [], "a face that was taken away is not found anew");
}

#[tokio::test]
async fn what_lies_in_the_trash_or_is_locked_makes_nobody_known() {
    let world = world().await;
    let owner = world.owner().await;
    let mut chance = Chance(23);
    let hidden = [("deleted_at = now()", 1), ("visibility = 'locked'", 2)];
    for (how, person) in hidden {
        let away = world.photo(owner, face_of(person, 0.4, &mut chance)).await;
        world.raw.execute(&format!("UPDATE asset SET {how} WHERE id = $1"), &[&away.0]).await.unwrap();
        let shown = world.photo(owner, face_of(person, 0.4, &mut chance)).await;
        assert_eq!(world.person_on(shown).await, None, "one photo alone is nobody, with {how} beside it");
        let second = world.photo(owner, face_of(person, 0.4, &mut chance)).await;
        let known = world.person_on(second).await.unwrap();
        assert_eq!(world.person_on(away).await, None);
        let sources = world.store.thumbnail_sources(&[known]).await.unwrap();
        assert!(sources.iter().all(|source| source.asset != away), "{how}");
    }
}

#[tokio::test]
async fn a_pass_over_all_faces_forgets_neighbours_that_are_gone() {
    let world = world().await;
    let owner = world.owner().await;
    let mut chance = Chance(29);
    let mut photos = Vec::new();
    for _ in 0..3 {
        photos.push(world.photo(owner, face_of(1, 0.5, &mut chance)).await);
    }
    let dense = format!("SELECT count(*) FROM face_embedding_{} WHERE near >= 2", world.space.id);
    let count = async || world.raw.query_one(&dense, &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(count().await, 3);
    world.store.delete_assets_forever(owner, &photos[..1], &[]).await.unwrap();
    assert_eq!(world.store.stale_people(0.0).await.unwrap(), [owner]);
    world.store.clear_stale(owner).await.unwrap();
    world.store.recluster(owner, &world.space, &RULES, false).await.unwrap();
    assert_eq!(count().await, 0);
    assert!(world.person_on(photos[1]).await.is_some(), "who is known stays known");
}

#[tokio::test]
async fn when_the_photo_of_a_thumbnail_goes_the_person_gets_another_or_goes_too() {
    let world = world().await;
    let owner = world.owner().await;
    let mut chance = Chance(31);
    let mut photos = Vec::new();
    for _ in 0..3 {
        photos.push(world.photo(owner, face_of(1, 0.5, &mut chance)).await);
    }
    let person = world.person_on(photos[0]).await.unwrap();
    let face = world.store.faces_of(photos[0]).await.unwrap()[0].id;
    assert!(world.store.save_person_thumbnail((owner, person), face, "main:thumbs/one.jpeg").await.unwrap());
    let removed = world.store.delete_assets_forever(owner, &photos[..1], &[]).await.unwrap();
    assert_eq!(removed.people, [person]);
    assert_eq!(world.store.person(person).await.unwrap().unwrap().thumbnail_location, None);
    assert_eq!(world.garbage().await, ["main:thumbs/one.jpeg"]);

    let face = world.store.faces_of(photos[1]).await.unwrap()[0].id;
    assert!(world.store.save_person_thumbnail((owner, person), face, "main:thumbs/two.jpeg").await.unwrap());
    world.store.delete_assets_forever(owner, &photos[1..], &[]).await.unwrap();
    assert_eq!(world.store.person(person).await.unwrap(), None);
    assert_eq!(world.garbage().await, ["main:thumbs/one.jpeg", "main:thumbs/two.jpeg"]);
}

#[tokio::test]
async fn naming_somebody_waits_for_clustering_and_clustering_for_naming() {
    let world = world().await;
    let owner = world.owner().await;
    let mut chance = Chance(37);
    let first = world.photo(owner, face_of(1, 0.5, &mut chance)).await;
    world.photo(owner, face_of(1, 0.5, &mut chance)).await;
    let person = world.person_on(first).await.unwrap();
    let lock = format!("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('people:{owner}', 0))");
    world.raw.batch_execute(&lock).await.unwrap();
    let named = PersonChanges { name: Some("Ada".into()), ..PersonChanges::default() };
    let mut naming = std::pin::pin!(world.store.update_person(owner, person, &named));
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), &mut naming).await;
    assert!(early.is_err(), "clustering is under way");
    // It finds that this is somebody else, about whom nobody decided anything: then there is nobody to be named.
    world.raw.batch_execute("DELETE FROM person; COMMIT").await.unwrap();
    assert_eq!(naming.await.unwrap(), None);
}

#[tokio::test]
async fn a_page_behind_the_last_still_says_how_many_there_are() {
    let world = world().await;
    let owner = world.owner().await;
    let named = |name: &str| PersonChanges { name: Some(name.into()), ..PersonChanges::default() };
    let hidden = PersonChanges { is_hidden: Some(true), ..named("Eve") };
    for changes in [named("Ada"), named("Bob"), hidden] {
        world.store.create_person(owner, &changes).await.unwrap();
    }
    let page = world.store.people(owner, false, 0, 1).await.unwrap();
    assert_eq!((page.people.len(), page.total, page.hidden), (1, 3, 1));
    let page = world.store.people(owner, false, 100, 10).await.unwrap();
    assert_eq!((page.people.len(), page.total, page.hidden), (0, 3, 1));
}
