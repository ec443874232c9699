//! The API against what Immich publishes. Every answer that any test of this binary gets through [`tests::Client`] is checked against
//! its shape; here is a session that calls everything there is.

use std::collections::BTreeSet;

use api::Access;
use reqwest::Method;
use serde_json::{Value, json};
use tests::contract::{self, operations};
use tests::{Client, TestApp, photos};
use types::{AssetId, DetectedFace, Rect};

/// Whose rights are not in the public declarations, which say "user" there: as their names are, for administrators or everybody.
const NEW_IN_3_2: [&str; 5] =
    ["getAdminConfig", "getAdminConfigDefaults", "updateAdminConfig", "getPublicConfig", "getPublicConfigDefaults"];

fn implemented() -> BTreeSet<&'static str> {
    // /latent is ours alone.
    let ours = api::operations().into_iter().filter(|operation| !operation.path.starts_with("/latent/"));
    ours.map(|operation| operation.id).collect()
}

#[test]
fn the_table_of_operations_says_what_immich_publishes() {
    let published = operations();
    for operation in api::operations().iter().filter(|operation| !operation.path.starts_with("/latent/")) {
        let known = published
            .get(operation.id)
            .unwrap_or_else(|| panic!("{} is no operation of Immich's: put it below /latent", operation.id));
        assert_eq!(operation.method.as_str(), known.method, "{}", operation.id);
        assert_eq!(format!("/api{}", operation.path), known.path, "{}", operation.id);
        let (auth, permission) = match operation.access {
            Access::Public => ("public", None),
            Access::SignedIn => ("user", None),
            Access::User(permission) => ("user", Some(permission)),
            Access::Admin(permission) => ("admin", Some(permission)),
            Access::Shared(permission) => ("user+link", Some(permission)),
            Access::SharedSignedIn => ("user+link", None),
        };
        if !NEW_IN_3_2.contains(&operation.id) {
            assert_eq!(auth, known.auth, "{}", operation.id);
        }
        // New in 3.2: their permissions are not in the public declarations.
        if known.permission.is_some() {
            assert_eq!(permission, known.permission, "{}", operation.id);
        }
    }
}

#[test]
fn the_list_of_what_is_not_implemented_only_shrinks() {
    let path = tests::root().join("tests/fixtures/uncovered.txt");
    let listed = std::fs::read_to_string(path).unwrap();
    let listed: BTreeSet<&str> = listed.lines().collect();
    let implemented = implemented();
    let published: BTreeSet<&str> = operations().into_keys().collect();
    let done: Vec<_> = listed.intersection(&implemented).collect();
    assert!(done.is_empty(), "implemented now: take these lines out of tests/fixtures/uncovered.txt: {done:?}");
    let both: BTreeSet<&str> = listed.union(&implemented).copied().collect();
    let lost: Vec<_> = published.difference(&both).collect();
    assert!(lost.is_empty(), "these were implemented and are gone; the list may not grow: {lost:?}");
    let unknown: Vec<_> = listed.difference(&published).collect();
    assert!(unknown.is_empty(), "no operations of Immich's: {unknown:?}");
}

#[test]
fn the_permissions_of_keys_are_those_of_immich() {
    assert_eq!(api::PERMISSIONS, contract::values("Permission"));
}

/// Two photos of one person: both ids, and theirs.
pub async fn somebody_on_two_photos(app: &TestApp, client: &Client) -> ([String; 2], String) {
    let mut ids = Vec::new();
    for seed in [101, 102] {
        let id = client.uploaded("somebody.jpg", photos::jpeg(seed)).await;
        client.processed(&id).await;
        save_face(app, &id, 0).await;
        ids.push(id);
    }
    let people = client.get("/people").await.ok();
    let person = people["people"][0]["id"].as_str().expect("two photos alike make a person").to_owned();
    (ids.try_into().unwrap(), person)
}

/// What a face detector would find on a photo: faces of the same `who` are alike, others are not.
pub async fn save_face(app: &TestApp, asset: &str, who: usize) {
    let asset: AssetId = asset.parse().unwrap();
    let space = gallery::people::FaceSpace { name: "contract@1".into(), dimensions: 8, same_person: 0.4 };
    let mut embedding = vec![0.0; 8];
    embedding[who] = 1.0;
    let face = DetectedFace {
        area: Rect { x: 0.25, y: 0.25, width: 0.25, height: 0.25 },
        score: 0.9,
        landmarks: Vec::new(),
        embedding,
    };
    app.running.gallery.people().save_faces(asset, &space, &[face]).await.unwrap();
}

#[tokio::test]
async fn a_session_that_calls_everything_gets_the_published_shapes() {
    let app = TestApp::seeing().await;
    let client = app.sign_up().await;
    before_anything(&client).await;
    people_of_the_server(&client).await;
    configuration(&client).await;
    let (ids, person) = somebody_on_two_photos(&app, &client).await;
    let asset = json!({ "ids": [ids[0]] });
    look(&client, &ids[0]).await;
    search(&client, &ids[0]).await;
    people(&app, &client, &ids, &person).await;
    crate::albums::call_everything(&app, &client, &ids[0]).await;
    crate::shared_links::call_everything(&client, &ids[0]).await;
    crate::things::calls(&app, &client, [&ids[0], &ids[1]]).await;
    client.put(&format!("/assets/{}", ids[0]), &json!({ "isFavorite": true, "rating": 3 })).await.ok();
    client.put("/assets", &json!({ "ids": ids, "description": "both" })).await.ok();
    client.delete("/assets", &asset).await.ok();
    client.post("/trash/restore/assets", &asset).await.ok();
    client.delete("/assets", &asset).await.ok();
    client.post("/trash/restore", &json!({})).await.ok();
    client.post("/trash/empty", &json!({})).await.ok();
    for path in ["", "/methods", "/templates", "/latent.face-detection"] {
        client.get(&format!("/plugins{path}")).await.ok();
    }
    client.get("/jobs").await.ok();
    oneself(&client).await;
    client.put("/jobs/thumbnailGeneration", &json!({ "command": "resume" })).await.ok();
    client.get("/queues").await.ok();
    client.get("/queues/faceDetection").await.ok();
    client.put("/queues/faceDetection", &json!({ "isPaused": false })).await.ok();
    client.delete("/queues/faceDetection/jobs", &json!({ "failed": true })).await.ok();
    sync(&client).await;
    client.post("/auth/logout", &json!({})).await.ok();
    let seen = client.seen.lock().unwrap().clone();
    let missed: Vec<_> = implemented().into_iter().filter(|id| !seen.contains(id)).collect();
    assert!(
        missed.is_empty(),
        "no call of these succeeded here; a new operation belongs into this session: {missed:?}"
    );
}

async fn sync(client: &Client) {
    client.post("/sync/stream", &json!({ "types": ["AssetsV2"] })).await.ok();
    let ack = "AssetV2|01a20b32-903f-7236-a193-63acee4e29e3";
    client.post("/sync/ack", &json!({ "acks": [ack] })).await.ok();
    client.get("/sync/ack").await.ok();
    client.delete("/sync/ack", &json!({ "types": ["AssetV2"] })).await.ok();
}

async fn before_anything(client: &Client) {
    for path in ["ping", "version", "features", "config", "about", "storage", "statistics", "media-types"] {
        client.get(&format!("/server/{path}")).await.ok();
    }
    client.post("/auth/validateToken", &json!({})).await.ok();
    for path in ["/auth/status", "/users", "/users/me", "/users/me/preferences", "/api-keys"] {
        client.get(path).await.ok();
    }
    client.put("/users/me", &json!({ "name": "Ann", "avatarColor": "green" })).await.ok();
    let key = client.post("/api-keys", &json!({ "name": "all", "permissions": ["all"] })).await.ok();
    client.get("/api-keys").await.ok();
    let with_key = Client { token: None, ..client.clone() };
    let request = with_key.request(Method::GET, "/api-keys/me").header("x-api-key", key["secret"].as_str().unwrap());
    with_key.answer(request).await.ok();
    client.delete(&format!("/api-keys/{}", key["id"].as_str().unwrap()), &json!({})).await.ok();
}

async fn look(client: &Client, id: &str) {
    for path in ["", "/original", "/thumbnail", "/video/playback"] {
        client.get(&format!("/assets/{id}{path}")).await.ok();
    }
    client.get("/assets/statistics").await.ok();
    let asset = client.get(&format!("/assets/{id}")).await.ok();
    let check =
        json!({ "assets": [{ "id": "x", "checksum": asset["checksum"] }, { "id": "y", "checksum": "0".repeat(40) }] });
    client.post("/assets/bulk-upload-check", &check).await.ok();
    client.get("/timeline/buckets").await.ok();
    client.get("/timeline/bucket?timeBucket=2024-03-01&withCoordinates=true").await.ok();
}

async fn search(client: &Client, id: &str) {
    client.put(&format!("/assets/{id}"), &json!({ "latitude": 52.0116, "longitude": 4.3571 })).await.ok();
    let all = json!({ "withExif": true, "withPeople": true });
    for path in ["metadata", "random", "statistics"] {
        client.post(&format!("/search/{path}"), &all).await.ok();
    }
    client.post("/search/smart", &json!({ "query": "a red square" })).await.ok();
    client.post("/search/large-assets?minFileSize=1", &json!({})).await.ok();
    for path in ["person?name=any", "explore", "cities", "suggestions?type=country"] {
        client.get(&format!("/search/{path}")).await.ok();
    }
}

async fn people(app: &TestApp, client: &Client, ids: &[String; 2], person: &str) {
    client.get(&format!("/people/{person}")).await.ok();
    client.get(&format!("/people/{person}/statistics")).await.ok();
    client.get(&format!("/people/{person}/thumbnail")).await.ok();
    client.put(&format!("/people/{person}"), &json!({ "name": "Somebody", "birthDate": "1984-02-29" })).await.ok();
    client.put("/people", &json!({ "people": [{ "id": person, "isFavorite": true }] })).await.ok();
    client.get("/search/person?name=some").await.ok();
    let faces = client.get(&format!("/faces?id={}", ids[0])).await.ok();
    assert_eq!(faces[0]["person"]["id"], person);
    let mut made = Vec::new();
    for name in ["one", "two", "three", "four"] {
        let one: Value = client.post("/people", &json!({ "name": name })).await.ok();
        made.push(one["id"].as_str().unwrap().to_owned());
    }
    let drawn = json!({
        "assetId": ids[0], "personId": made[0], "x": 1, "y": 1, "width": 20, "height": 20,
        "imageWidth": 320, "imageHeight": 240,
    });
    client.post("/faces", &drawn).await.ok();
    client.put(&format!("/faces/{}", made[1]), &json!({ "id": faces[0]["id"] })).await.ok();
    let back = json!({ "data": [{ "assetId": ids[0], "personId": made[1] }] });
    client.put(&format!("/people/{person}/reassign"), &back).await.ok();
    client.post("/people/merge", &json!({ "ids": [person, made[0]] })).await.ok();
    client.post(&format!("/people/{person}/merge"), &json!({ "ids": [made[1]] })).await.ok();
    client.delete("/people", &json!({ "ids": [made[2]] })).await.ok();
    client.delete(&format!("/people/{}", made[3]), &json!({})).await.ok();
    save_face(app, &ids[1], 0).await;
    let face = client.get(&format!("/faces?id={}", ids[1])).await.ok()[0]["id"].clone();
    client.delete(&format!("/faces/{}", face.as_str().unwrap()), &json!({ "force": false })).await.ok();
}

/// What an administrator does with accounts.
async fn people_of_the_server(client: &Client) {
    let account = json!({ "email": "eve@example.org", "password": "correct horse", "name": "Eve" });
    let eve = client.post("/admin/users", &account).await.ok()["id"].as_str().unwrap().to_owned();
    client.get("/admin/users?withDeleted=true").await.ok();
    let path = format!("/admin/users/{eve}");
    for part in ["", "/sessions", "/preferences", "/statistics"] {
        client.get(&format!("{path}{part}")).await.ok();
    }
    client.put(&path, &json!({ "name": "Eva" })).await.ok();
    client.put(&format!("{path}/preferences"), &json!({ "tags": { "enabled": false } })).await.ok();
    client.get(&format!("/users/{eve}")).await.ok();
    let told = client.post("/admin/notifications", &json!({ "userId": client.user_id, "title": "Hello" })).await.ok();
    let again = client.post("/admin/notifications", &json!({ "userId": client.user_id, "title": "Again" })).await.ok();
    let (told, read) = (format!("/notifications/{}", told["id"].as_str().unwrap()), "2024-03-15T12:00:00.000Z");
    client.get("/notifications").await.ok();
    client.get(&told).await.ok();
    client.put(&told, &json!({ "readAt": read })).await.ok();
    client.put("/notifications", &json!({ "ids": [again["id"]], "readAt": read })).await.ok();
    client.delete(&told, &json!({})).await.ok();
    client.delete("/notifications", &json!({ "ids": [again["id"]] })).await.ok();
    client.delete(&path, &json!({})).await.ok();
    client.post(&format!("{path}/restore"), &json!({})).await.ok();
}

const LICENSE: &str = "IMCL-0000-1111-2222-3333-4444-5555-6666-7777";

async fn configuration(client: &Client) {
    let license = json!({ "licenseKey": LICENSE, "activationKey": "abc" });
    client.put("/server/license", &license).await.ok();
    client.post("/system-metadata/admin-onboarding", &json!({ "isOnboarded": true })).await.ok();
    for path in [
        "/server/license",
        "/server/version-history",
        "/server/version-check",
        "/server/apk-links",
        "/system-metadata/admin-onboarding",
        "/system-metadata/reverse-geocoding-state",
        "/system-metadata/version-check-state",
        "/system-config",
        "/system-config/defaults",
        "/system-config/storage-template-options",
        "/admin/config",
        "/admin/config/defaults",
        "/config",
        "/config/defaults",
        "/public/config",
        "/public/config/defaults",
    ] {
        client.get(path).await.ok();
    }
    let config = client.get("/system-config").await.ok();
    client.put("/system-config", &config).await.ok();
    client.put("/admin/config", &config).await.ok();
    client.delete("/server/license", &json!({})).await.ok();
}

/// What somebody does with their own account.
async fn oneself(client: &Client) {
    let license = json!({ "licenseKey": LICENSE, "activationKey": "abc" });
    client.put("/users/me/license", &license).await.ok();
    client.put("/users/me/onboarding", &json!({ "isOnboarded": true })).await.ok();
    for path in ["license", "onboarding"] {
        client.get(&format!("/users/me/{path}")).await.ok();
        client.delete(&format!("/users/me/{path}"), &json!({})).await.ok();
    }
    client.put("/users/me/preferences", &json!({ "memories": { "duration": 7 } })).await.ok();
    client.set_profile_image(photos::jpeg(9)).await.ok();
    client.get(&format!("/users/{}/profile-image", client.user_id)).await.ok();
    client.delete("/users/profile-image", &json!({})).await.ok();
    let key = client.post("/api-keys", &json!({ "permissions": ["asset.read"] })).await.ok();
    let key = format!("/api-keys/{}", key["id"].as_str().unwrap());
    client.get(&key).await.ok();
    client.put(&key, &json!({ "name": "another" })).await.ok();
    client.post(&format!("{key}/rotate"), &json!({})).await.ok();
    client.post("/auth/pin-code", &json!({ "pinCode": "123456" })).await.ok();
    client.put("/auth/pin-code", &json!({ "pinCode": "123456", "newPinCode": "654321" })).await.ok();
    client.post("/auth/session/unlock", &json!({ "pinCode": "654321" })).await.ok();
    client.post("/auth/session/lock", &json!({})).await.ok();
    client.delete("/auth/pin-code", &json!({ "password": "correct horse" })).await.ok();
    let child = client.post("/sessions", &json!({ "deviceType": "widget", "duration": 60 })).await.ok();
    let child = format!("/sessions/{}", child["id"].as_str().unwrap());
    client.get("/sessions").await.ok();
    client.put(&child, &json!({ "isPendingSyncReset": true })).await.ok();
    client.post(&format!("{child}/lock"), &json!({})).await.ok();
    client.delete(&child, &json!({})).await.ok();
    client.delete("/sessions", &json!({})).await.ok();
    let change = json!({ "password": "correct horse", "newPassword": "correct horses" });
    client.post("/auth/change-password", &change).await.ok();
}
