//! Who may call what: every operation of the table, by nobody, by somebody else, by one who is no administrator, and by a key.
//! A new operation fails here until [`call`] knows how it is called.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use api::{Access, Operation};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{Client, TestApp, photos};

use crate::contract::somebody_on_two_photos;
use crate::things::{self, Things};

/// What there is of Ann's that others would like to have.
struct Ann {
    client: Client,
    asset: String,
    trashed: String,
    person: String,
    face: String,
    key: String,
    run: String,
    album: String,
    link: String,
    activity: String,
    things: Things,
    session: String,
    notification: String,
    /// Another user, for what administrators do.
    carol: String,
}

/// Words that stand in Ann's data and that nobody sends.
const SECRETS: [&str; 8] = [
    "somebody.jpg",
    "Aunt Secret",
    "behind the house",
    "Ann's key",
    "main:library/admin",
    "Ann's secret album",
    "Ann's tag",
    "Ann alone is told",
];

async fn ann(app: &TestApp) -> Ann {
    let client = app.sign_up().await;
    let ([asset, second], person) = somebody_on_two_photos(app, &client).await;
    let things = things::made(app, &client, [&asset, &second]).await;
    let changes = json!({ "description": "behind the house", "latitude": 52.0116, "longitude": 4.3571 });
    client.put(&format!("/assets/{asset}"), &changes).await.ok();
    client.put(&format!("/people/{person}"), &json!({ "name": "Aunt Secret" })).await.ok();
    let trashed = client.uploaded("somebody.jpg", photos::jpeg(103)).await;
    client.processed(&trashed).await;
    client.delete("/assets", &json!({ "ids": [trashed] })).await.ok();
    let face = client.get(&format!("/faces?id={asset}")).await.ok()[0]["id"].as_str().unwrap().to_owned();
    let key = client.post("/api-keys", &json!({ "name": "Ann's key", "permissions": ["all"] })).await.ok();
    let run = client.post("/latent/pipelines/ingest/run", &json!({})).await.ok();
    let run = run["id"].as_str().unwrap().to_owned();
    let told = json!({ "userId": client.user_id, "title": "Ann alone is told" });
    let notification = client.post("/admin/notifications", &told).await.ok()["id"].as_str().unwrap().to_owned();
    let session = client.get("/sessions").await.ok()[0]["id"].as_str().unwrap().to_owned();
    let carol = json!({ "email": "carol@example.org", "name": "Carol", "password": "correct horse" });
    let carol = client.post("/admin/users", &carol).await.ok()["id"].as_str().unwrap().to_owned();
    client.put("/server/license", &license()).await.ok();
    client.put("/users/me/license", &license()).await.ok();
    let key = key["id"].as_str().unwrap().to_owned();
    let [album, link, activity] = shares(&client, &asset).await;
    Ann { client, asset, trashed, person, face, key, run, album, link, activity, things, session, notification, carol }
}

/// An album with a comment, and a link to it; their ids.
async fn shares(client: &Client, asset: &str) -> [String; 3] {
    let id = |answer: Value| answer["id"].as_str().unwrap().to_owned();
    let album = json!({ "albumName": "Ann's secret album", "assetIds": [asset] });
    let album = id(client.post("/albums", &album).await.ok());
    let link = client.post("/shared-links", &json!({ "type": "ALBUM", "albumId": album })).await.ok();
    let comment = json!({ "albumId": album, "type": "comment", "comment": "Ann's secret album" });
    let activity = client.post("/activities", &comment).await.ok();
    [album, id(link), id(activity)]
}

fn license() -> Value {
    json!({ "licenseKey": "IMCL-0000-1111-2222-3333-4444-5555-6666-7777", "activationKey": "abc" })
}

/// How an operation is called to get at Ann's: path with query, and body.
fn call(operation: &Operation, ann: &Ann) -> (String, Value) {
    let known = of_oneself(operation.id)
        .or_else(|| of_accounts(operation.id, ann))
        .or_else(|| of_assets(operation.id, ann))
        .or_else(|| of_people(operation.id, ann))
        .or_else(|| of_searches(operation.id, ann))
        .or_else(|| of_shares(operation.id, ann))
        .or_else(|| ann.things.call(operation.id, &ann.asset))
        // Who may is the same for all of them; plugin_api.rs calls each as it is called.
        .or_else(|| operation.path.contains("/plugin").then(|| (String::new(), json!({}))));
    let Some((query, body)) = known else {
        panic!("tell this test how {} is called, so that it can try who may", operation.id)
    };
    let id = match operation.id {
        "deleteFace" => &ann.face,
        "getPipelineRun" => &ann.run,
        "reassignFacesById" => &ann.person,
        // Whoever wants may show Ann what is theirs: here it is an id of nobody.
        "createPartnerDeprecated" => &ann.asset,
        _ if operation.path.starts_with("/people/") => &ann.person,
        _ if operation.path.starts_with("/albums/") => &ann.album,
        _ if operation.path.starts_with("/shared-links/") => &ann.link,
        _ if operation.path.starts_with("/activities/") => &ann.activity,
        _ if operation.path.starts_with("/partners/") => &ann.client.user_id,
        _ if operation.path.starts_with("/api-keys/") => &ann.key,
        _ if operation.path.starts_with("/sessions/") => &ann.session,
        _ if operation.path.starts_with("/notifications/") => &ann.notification,
        _ if operation.path.starts_with("/users/") => &ann.client.user_id,
        _ if operation.path.starts_with("/admin/users/") => &ann.carol,
        _ => ann.things.id_of(operation.path).unwrap_or(&ann.asset),
    };
    let name = if operation.id == "runPipeline" { "ingest" } else { "thumbnailGeneration" };
    let path = operation.path.replace("{id}", id).replace("{name}", name).replace("{userId}", &ann.client.user_id);
    (path.replace("{assetId}", &ann.asset).replace("{key}", "key") + &query, body)
}

/// What names nobody's data, and what names it in the path alone.
fn of_oneself(id: &str) -> Option<(String, Value)> {
    let body = match id {
        "pingServer"
        | "getServerVersion"
        | "getServerFeatures"
        | "getServerConfig"
        | "getAboutInfo"
        | "getStorage"
        | "getStorageBackends"
        | "getServerStatistics"
        | "getSupportedMediaTypes"
        | "logout"
        | "validateAccessToken"
        | "getAuthStatus"
        | "searchUsers"
        | "getMyUser"
        | "getMyPreferences"
        | "getApiKeys"
        | "getMyApiKey"
        | "deleteApiKey"
        | "getAssetStatistics"
        | "getAssetInfo"
        | "downloadAsset"
        | "viewAsset"
        | "playAssetVideo"
        | "emptyTrash"
        | "restoreTrash"
        | "getPerson"
        | "deletePerson"
        | "getPersonStatistics"
        | "getPersonThumbnail"
        | "getExploreData"
        | "getAssetsByCity"
        | "getQueuesLegacy"
        | "getQueues"
        | "getQueue"
        | "updateQueue"
        | "emptyQueue"
        | "getPipelines"
        | "getPipelineRun"
        | "reloadPipelines"
        | "getAssetErrors"
        | "getAssetSteps"
        | "uploadAsset"
        | "getTimeBuckets"
        | "getSyncAck"
        | "deleteSyncAck" => json!({}),
        "getSyncStream" => json!({ "types": crate::sync::TYPES }),
        "sendSyncAck" => json!({ "acks": ["SyncResetV1|reset"] }),
        "signUpAdmin" => json!({ "email": "x@example.org", "name": "X", "password": "correct horse" }),
        "login" => json!({ "email": "ann@example.org", "password": "wrong" }),
        "updateMyUser" => json!({ "name": "Bob" }),
        "createApiKey" => json!({ "permissions": ["asset.read"] }),
        "runQueueCommandLegacy" => json!({ "command": "resume" }),
        "runPipeline" => json!({ "dryRun": true }),
        _ => return None,
    };
    Some((String::new(), body))
}

/// Accounts, sessions, and what an administrator sets.
fn of_accounts(id: &str, ann: &Ann) -> Option<(String, Value)> {
    let body = match id {
        "getSessions"
        | "createSession"
        | "deleteAllSessions"
        | "deleteSession"
        | "updateSession"
        | "lockSession"
        | "lockAuthSession"
        | "getUser"
        | "getProfileImage"
        | "createProfileImage"
        | "deleteProfileImage"
        | "getUserOnboarding"
        | "deleteUserOnboarding"
        | "getUserLicense"
        | "deleteUserLicense"
        | "searchUsersAdmin"
        | "getUserAdmin"
        | "deleteUserAdmin"
        | "restoreUserAdmin"
        | "getUserSessionsAdmin"
        | "getUserPreferencesAdmin"
        | "getUserStatisticsAdmin"
        | "getApiKey"
        | "rotateApiKey"
        | "getNotifications"
        | "getNotification"
        | "deleteNotification"
        | "getServerLicense"
        | "deleteServerLicense"
        | "getVersionCheck"
        | "getVersionCheckState"
        | "getApkLinks"
        | "getStorageTemplateOptions"
        | "getAdminOnboarding"
        | "getReverseGeocodingState"
        | "getConfig"
        | "getConfigDefaults"
        | "updateConfig"
        | "getAdminConfig"
        | "getAdminConfigDefaults"
        | "updateAdminConfig"
        | "getUserConfig"
        | "getUserConfigDefaults" => json!({}),
        "changePassword" => json!({ "password": "wrong", "newPassword": "correct horse" }),
        "setupPinCode" => json!({ "pinCode": "no pin" }),
        "changePinCode" => json!({ "pinCode": "123456", "newPinCode": "123457" }),
        "resetPinCode" | "unlockAuthSession" => json!({ "pinCode": "123456" }),
        "updateMyPreferences" | "updateUserPreferencesAdmin" => json!({ "tags": { "enabled": false } }),
        "setUserOnboarding" | "updateAdminOnboarding" => json!({ "isOnboarded": true }),
        "setUserLicense" | "setServerLicense" => license(),
        "createUserAdmin" => json!({ "email": "dan@example.org", "name": "Dan", "password": "correct horse" }),
        "updateUserAdmin" => json!({ "name": "Caroline" }),
        "updateApiKey" => json!({ "name": "Stolen" }),
        "updateNotification" => json!({ "readAt": "2024-03-15T12:00:00.000Z" }),
        "updateNotifications" => json!({ "ids": [ann.notification], "readAt": "2024-03-15T12:00:00.000Z" }),
        "deleteNotifications" => json!({ "ids": [ann.notification] }),
        "createNotification" => json!({ "userId": ann.client.user_id, "title": "x" }),
        _ => return None,
    };
    Some((String::new(), body))
}

fn of_assets(id: &str, ann: &Ann) -> Option<(String, Value)> {
    let asset = &ann.asset;
    let body = match id {
        "updateAssets" => json!({ "ids": [asset], "isFavorite": true, "dateTimeRelative": 60 }),
        "updateAsset" => json!({ "isFavorite": true, "latitude": 1.0, "longitude": 1.0 }),
        "deleteAssets" => json!({ "ids": [asset], "force": true }),
        "checkBulkUpload" => json!({ "assets": [{ "id": "x", "checksum": "0".repeat(40) }] }),
        "restoreAssets" => json!({ "ids": [ann.trashed] }),
        "getTimeBucket" => return Some(("?timeBucket=2024-03-01".into(), json!({}))),
        _ => return None,
    };
    Some((String::new(), body))
}

fn of_people(id: &str, ann: &Ann) -> Option<(String, Value)> {
    let Ann { asset, person, face, .. } = ann;
    let corner = json!({
        "assetId": asset, "personId": person, "x": 1, "y": 1, "width": 2, "height": 2,
        "imageWidth": 320, "imageHeight": 240,
    });
    let body = match id {
        "createPerson" => json!({ "name": "Bob's", "featureFaceAssetId": asset }),
        "updatePeople" => json!({ "people": [{ "id": person, "name": "Stolen" }] }),
        "deletePeople" => json!({ "ids": [person] }),
        "mergePeople" => json!({ "ids": [person, "01a20b32-903f-7236-a193-63acee4e29e3"] }),
        "updatePerson" => json!({ "name": "Stolen" }),
        "mergePersonLegacy" => json!({ "ids": ["01a20b32-903f-7236-a193-63acee4e29e3"] }),
        "reassignFaces" => json!({ "data": [{ "assetId": asset, "personId": person }] }),
        "createFace" => corner,
        "reassignFacesById" => json!({ "id": face }),
        "deleteFace" => json!({ "force": true }),
        "getAllPeople" => return Some(("?withHidden=true".into(), json!({}))),
        "getFaces" => return Some((format!("?id={asset}"), json!({}))),
        _ => return None,
    };
    Some((String::new(), body))
}

fn of_searches(id: &str, ann: &Ann) -> Option<(String, Value)> {
    let Ann { asset, person, .. } = ann;
    let body = match id {
        "searchAssets" => json!({ "id": asset, "withExif": true, "withPeople": true, "withDeleted": true }),
        "searchRandom" => json!({ "personIds": [person], "withExif": true, "withPeople": true }),
        "searchAssetStatistics" => json!({ "personIds": [person] }),
        "searchSmart" => json!({ "queryAssetId": asset, "withExif": true }),
        "searchLargeAssets" => return Some(("?withDeleted=true".into(), json!({}))),
        "searchPerson" => return Some(("?name=Aunt&withHidden=true".into(), json!({}))),
        "getSearchSuggestions" => return Some(("?type=country".into(), json!({}))),
        _ => return None,
    };
    Some((String::new(), body))
}

fn of_shares(id: &str, ann: &Ann) -> Option<(String, Value)> {
    let Ann { asset, album, .. } = ann;
    let assets = json!({ "ids": [asset], "assetIds": [asset], "albumIds": [album] });
    let body = match id {
        "getAllAlbums" => return Some((format!("?assetId={asset}"), json!({}))),
        "getAllSharedLinks" => return Some((format!("?albumId={album}"), json!({}))),
        "getPartners" => return Some(("?direction=shared-with".into(), json!({}))),
        "getActivities" | "getActivityStatistics" => return Some((format!("?albumId={album}"), json!({}))),
        "getAlbumStatistics"
        | "getAlbumInfo"
        | "deleteAlbum"
        | "getAlbumMapMarkers"
        | "removeUserFromAlbum"
        | "getMySharedLink"
        | "getSharedLinkById"
        | "removeSharedLink"
        | "removePartner"
        | "createPartnerDeprecated"
        | "deleteActivity" => json!({}),
        "createAlbum" => json!({ "albumName": "Bob's", "assetIds": [asset] }),
        "updateAlbumInfo" => json!({ "albumName": "Stolen" }),
        "addAssetsToAlbum"
        | "removeAssetFromAlbum"
        | "addAssetsToAlbums"
        | "addSharedLinkAssets"
        | "removeSharedLinkAssets"
        | "getDownloadInfo"
        | "downloadArchive" => assets,
        "addUsersToAlbum" => json!({ "albumUsers": [{ "userId": asset, "role": "editor" }] }),
        "updateAlbumUser" => json!({ "role": "viewer" }),
        "createSharedLink" => json!({ "type": "ALBUM", "albumId": album }),
        "sharedLinkLogin" => json!({ "password": "guessed" }),
        "updateSharedLink" => json!({ "password": null, "allowUpload": true }),
        "createPartner" => json!({ "sharedWithId": asset }),
        "updatePartner" => json!({ "inTimeline": true }),
        "createActivity" => json!({ "albumId": album, "type": "like" }),
        _ => return None,
    };
    Some((String::new(), body))
}

async fn send(client: &Client, operation: &Operation, ann: &Ann, key: Option<&str>) -> (StatusCode, String) {
    let (path, body) = call(operation, ann);
    let mut request = client.request(operation.method.clone(), &path).json(&body);
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned())
}

fn protected() -> impl Iterator<Item = Operation> {
    api::operations().into_iter().filter(|operation| operation.access != Access::Public)
}

/// Everything of hers that somebody may have changed.
async fn state(ann: &Ann) -> Vec<Value> {
    let mut answers = Vec::new();
    for path in [
        format!("/assets/{}", ann.asset),
        format!("/assets/{}", ann.trashed),
        format!("/people/{}", ann.person),
        format!("/faces?id={}", ann.asset),
        "/api-keys".into(),
        "/people?withHidden=true".into(),
        "/timeline/buckets".into(),
        format!("/albums/{}", ann.album),
        format!("/shared-links/{}", ann.link),
        format!("/activities?albumId={}", ann.album),
        "/sessions".into(),
        "/notifications".into(),
        "/users/me".into(),
        "/users/me/preferences".into(),
        format!("/admin/users/{}", ann.carol),
    ] {
        answers.push(ann.client.get(&path).await.ok());
    }
    for path in ann.things.paths(&ann.asset) {
        answers.push(ann.client.get(&path).await.ok());
    }
    answers
}

#[tokio::test]
async fn nobody_and_a_wrong_token_get_401_from_every_operation() {
    let app = TestApp::start().await;
    let ann = ann(&app).await;
    let wrong = Client { token: Some("A".repeat(43)), ..app.anonymous.clone() };
    for operation in protected() {
        for (who, client, key) in [
            ("nobody", &app.anonymous, None),
            ("a wrong token", &wrong, None),
            ("a wrong key", &app.anonymous, Some("B".repeat(43))),
        ] {
            let (status, body) = send(client, &operation, &ann, key.as_deref()).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{} by {who}: {body}", operation.id);
            let body: Value = serde_json::from_str(&body).unwrap();
            assert!(body["message"].is_string(), "{}: {body}", operation.id);
        }
    }
}

#[tokio::test]
async fn somebody_else_gets_no_data_and_changes_nothing() {
    let app = TestApp::start().await;
    let ann = ann(&app).await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let before = state(&ann).await;
    for operation in protected().filter(|operation| operation.id != "logout") {
        let (status, body) = send(&bob, &operation, &ann, None).await;
        for secret in SECRETS {
            assert!(!body.contains(secret), "{} tells Bob {secret:?}: {body}", operation.id);
        }
        // Users see who else there is.
        if operation.path.contains("{id}") && operation.id != "getUser" {
            assert!(status.is_client_error(), "{}: {status} {body}", operation.id);
        }
        assert!(!status.is_server_error(), "{}: {status} {body}", operation.id);
    }
    assert_eq!(state(&ann).await, before);
}

#[tokio::test]
async fn who_is_no_administrator_gets_403_where_one_is_needed() {
    let app = TestApp::start().await;
    let ann = ann(&app).await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    for operation in protected() {
        if let Access::Admin(_) = operation.access {
            let (status, body) = send(&bob, &operation, &ann, None).await;
            assert_eq!((status, &*body), (StatusCode::FORBIDDEN, r#"{"message":"Forbidden"}"#), "{}", operation.id);
            // What an administrator does with plugins is plugin_api.rs's.
            if !operation.path.starts_with("/latent/plugin") {
                let (status, _) = send(&ann.client, &operation, &ann, None).await;
                assert!(status.is_success(), "{}: {status}", operation.id);
            }
        }
    }
}

#[tokio::test]
async fn a_key_without_the_permission_gets_403_from_every_operation() {
    let app = TestApp::start().await;
    let ann = ann(&app).await;
    let body = json!({ "name": "narrow", "permissions": ["timeline.download"] });
    let key = ann.client.post("/api-keys", &body).await.ok();
    let key = key["secret"].as_str().unwrap();
    let before = state(&ann).await;
    for operation in protected() {
        let (Access::User(permission) | Access::Admin(permission) | Access::Shared(permission)) = operation.access
        else {
            continue;
        };
        let (status, body) = send(&app.anonymous, &operation, &ann, Some(key)).await;
        let wanted = json!({ "message": format!("Missing required permission: {permission}") });
        assert_eq!(status, StatusCode::FORBIDDEN, "{}: {body}", operation.id);
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), wanted, "{}", operation.id);
    }
    assert_eq!(state(&ann).await, before);
    let me = app.anonymous.request(Method::GET, "/api-keys/me").header("x-api-key", key).send().await.unwrap();
    assert_eq!(me.status(), StatusCode::OK, "a key may look at itself");
}

#[tokio::test]
async fn a_key_with_the_permission_of_an_operation_and_no_other_may_call_it() {
    let app = TestApp::start().await;
    let ann = ann(&app).await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let mut keys = BTreeMap::new();
    for operation in protected() {
        let (Access::User(permission) | Access::Admin(permission)) = operation.access else { continue };
        for (who, client) in [("ann", &ann.client), ("bob", &bob)] {
            if let Entry::Vacant(missing) = keys.entry((who, permission)) {
                let made = client.post("/api-keys", &json!({ "permissions": [permission] })).await.ok();
                missing.insert(made["secret"].as_str().unwrap().to_owned());
            }
        }
    }
    for operation in protected() {
        let (Access::User(permission) | Access::Admin(permission)) = operation.access else { continue };
        if let Access::Admin(_) = operation.access {
            // A key may at most what its user may.
            let (status, body) = send(&app.anonymous, &operation, &ann, Some(&keys[&("bob", permission)])).await;
            assert_eq!((status, &*body), (StatusCode::FORBIDDEN, r#"{"message":"Forbidden"}"#), "{}", operation.id);
        }
        let (status, body) = send(&app.anonymous, &operation, &ann, Some(&keys[&("ann", permission)])).await;
        assert_ne!(status, StatusCode::UNAUTHORIZED, "{}: {body}", operation.id);
        // That it may call does not mean that it may give away what it may not itself: `createApiKey`.
        let own = json!({ "message": format!("Missing required permission: {permission}") });
        assert_ne!(serde_json::from_str::<Value>(&body).ok(), Some(own), "{}", operation.id);
        assert!(!status.is_server_error(), "{}: {status} {body}", operation.id);
    }
}

#[tokio::test]
async fn a_key_makes_no_key_that_may_more_than_itself() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let body = json!({ "name": "keys", "permissions": ["apiKey.create"] });
    let key = client.post("/api-keys", &body).await.ok();
    for (wanted, status) in [("asset.read", 403), ("all", 403), ("apiKey.create", 201), ("nonsense", 400)] {
        let request = app.anonymous.request(Method::POST, "/api-keys");
        let request = request.header("x-api-key", key["secret"].as_str().unwrap());
        let answer = request.json(&json!({ "name": "more", "permissions": [wanted] })).send().await.unwrap();
        assert_eq!(answer.status(), status, "{wanted}");
    }
    let nonsense = client.post("/api-keys", &json!({ "permissions": ["asset.reed"] })).await;
    assert_eq!(nonsense.status, StatusCode::BAD_REQUEST, "{}", nonsense.body);
}
