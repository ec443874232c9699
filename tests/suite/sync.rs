//! What phones keep a copy of: the stream, its acks, and what happens in between.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, TestApp, contract, photos};
use tokio_postgres::Client as Raw;
use uuid::Uuid;

use crate::contract::save_face;

/// As app 3.2 asks.
pub const TYPES: [&str; 22] = [
    "AuthUsersV1",
    "UsersV1",
    "AssetsV2",
    "AssetExifsV1",
    "AssetEditsV1",
    "AssetMetadataV1",
    "PartnersV1",
    "PartnerAssetsV2",
    "PartnerAssetExifsV1",
    "AlbumsV2",
    "AlbumUsersV1",
    "AlbumAssetsV2",
    "AlbumAssetExifsV1",
    "AlbumToAssetsV1",
    "MemoriesV1",
    "MemoryToAssetsV1",
    "StacksV1",
    "PartnerStacksV1",
    "UserMetadataV1",
    "PeopleV1",
    "AssetFacesV2",
    "AssetOcrV1",
];

async fn stream(client: &Client, types: &[&str]) -> Vec<Value> {
    let answer = client.post("/sync/stream", &json!({ "types": types })).await.ok();
    lines(&answer)
}

/// One line alone is JSON already.
fn lines(body: &Value) -> Vec<Value> {
    match body {
        Value::String(text) => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        one => vec![one.clone()],
    }
}

/// As the app does: the last ack of each run of lines of one type.
async fn ack(client: &Client, lines: &[Value]) {
    for (at, line) in lines.iter().enumerate() {
        if lines.get(at + 1).is_none_or(|next| next["type"] != line["type"]) {
            client.post("/sync/ack", &json!({ "acks": [line["ack"]] })).await.ok();
        }
    }
}

/// Syncs these families and gives what came, without the end.
async fn synced(client: &Client, types: &[&str]) -> Vec<(String, Value)> {
    let mut lines = stream(client, types).await;
    ack(client, &lines).await;
    assert_eq!(lines.pop().unwrap()["type"], "SyncCompleteV1");
    lines.into_iter().map(|line| (line["type"].as_str().unwrap().to_owned(), line["data"].clone())).collect()
}

/// A row that was written while a transaction was open comes once more (decision 0061); then nothing does.
async fn nothing_more(client: &Client, types: &[&str]) {
    tests::eventually("nothing more comes", || async { synced(client, types).await.is_empty().then_some(()) }).await;
}

fn kinds(lines: &[(String, Value)]) -> Vec<&str> {
    lines.iter().map(|(kind, _)| &**kind).collect()
}

/// Types with one field of what came.
fn told(lines: &[(String, Value)], field: &str) -> Vec<(String, String)> {
    lines.iter().map(|(kind, data)| (kind.clone(), data[field].as_str().unwrap_or("").to_owned())).collect()
}

fn pair(kind: &str, id: impl ToString) -> (String, String) {
    (kind.to_owned(), id.to_string())
}

fn id_of(client: &Client) -> Uuid {
    client.user_id.parse().unwrap()
}

async fn insert_asset(raw: &Raw, owner: Uuid) -> Uuid {
    let row = raw
        .query_one(
            "INSERT INTO asset (id, owner_id, checksum, sha256, type, original_file_name, original_path, mime_type,
                file_size, file_created_at, file_modified_at, local_date_time)
             SELECT id, $1, substring(sha256(id::text::bytea) FOR 20), sha256(id::text::bytea), 'IMAGE', 'a \"photo\".jpg',
                'main:' || id, 'image/jpeg', 5, '2024-03-15T12:00Z', '2024-03-15T12:00Z', '2024-03-15T12:00'
             FROM (SELECT uuidv7() AS id) new RETURNING id",
            &[&owner],
        )
        .await
        .unwrap();
    let id: Uuid = row.get(0);
    raw.execute("INSERT INTO asset_exif (asset_id, city) VALUES ($1, 'Delft')", &[&id]).await.unwrap();
    id
}

#[test]
fn the_types_are_those_of_immich() {
    let entities: BTreeSet<&str> = gallery::sync::ENTITIES.into_iter().collect();
    assert_eq!(entities, contract::values("SyncEntityType").into_iter().collect());
    let families = store::sync::FAMILIES.iter().map(|family| family.request);
    let requests: BTreeSet<&str> = families.chain(gallery::sync::RETIRED).collect();
    assert_eq!(requests, contract::values("SyncRequestType").into_iter().collect());
}

#[tokio::test]
async fn a_phone_gets_everything_once_and_then_what_is_new() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    let all = synced(&client, &TYPES).await;
    assert_eq!(kinds(&all)[..4], ["AuthUserV1", "UserV1", "AssetV2", "AssetExifV1"]);
    let asset = client.get(&format!("/assets/{id}")).await.ok();
    assert_eq!(all[2].1["checksum"], asset["checksum"]);
    assert_eq!(all[2].1["thumbhash"], asset["thumbhash"]);
    assert_eq!(all[2].1["createdAt"], asset["createdAt"], "dates are written as everywhere");
    assert_eq!(all[3].1["assetId"], id.as_str());
    nothing_more(&client, &TYPES).await;
    client.put(&format!("/assets/{id}"), &json!({ "isFavorite": true })).await.ok();
    let changed = synced(&client, &TYPES).await;
    assert_eq!(kinds(&changed), ["AssetV2"]);
    assert_eq!(changed[0].1["isFavorite"], true);
    client.put(&format!("/assets/{id}"), &json!({ "description": "a \"quoted\" \u{1}\\ line\nand ü" })).await.ok();
    let changed = synced(&client, &["AssetExifsV1"]).await;
    assert_eq!(changed[0].1["description"], "a \"quoted\" \u{1}\\ line\nand ü");
    // Another session is as new as the first was.
    let mut tablet = client.clone();
    tablet.log_in().await;
    assert_eq!(kinds(&synced(&tablet, &["AssetsV2"]).await), ["AssetV2"]);
    client.delete("/assets", &json!({ "ids": [id], "force": true })).await.ok();
    for phone in [&client, &tablet] {
        assert_eq!(told(&synced(phone, &["AssetsV2"]).await, "assetId"), [pair("AssetDeleteV1", &id)]);
    }
}

#[tokio::test]
async fn nothing_is_lost_that_is_committed_after_what_came_later() {
    let app = TestApp::serving(|_| ()).await;
    let client = app.sign_up().await;
    let mut early = app.database.raw().await;
    let late = app.database.raw().await;
    let (first, second) = (insert_asset(&late, id_of(&client)).await, insert_asset(&late, id_of(&client)).await);
    synced(&client, &["AssetsV2", "AssetExifsV1"]).await;
    let touch = "UPDATE asset SET is_favorite = true WHERE id = $1";
    let transaction = early.transaction().await.unwrap();
    transaction.execute(touch, &[&first]).await.unwrap();
    late.execute(touch, &[&second]).await.unwrap();
    let born = insert_asset(&late, id_of(&client)).await;
    // What is there is sent, and what hangs on it never comes without it.
    let lines = synced(&client, &["AssetsV2", "AssetExifsV1"]).await;
    let assets: Vec<String> = told(&lines, "id").into_iter().map(|(_, id)| id).filter(|id| !id.is_empty()).collect();
    assert_eq!(assets, [second.to_string(), born.to_string()]);
    assert_eq!(kinds(&lines), ["AssetV2", "AssetV2", "AssetExifV1"]);
    transaction.commit().await.unwrap();
    let lines = synced(&client, &["AssetsV2"]).await;
    assert!(told(&lines, "id").contains(&pair("AssetV2", first)), "{lines:?}");
    assert_eq!(synced(&client, &["AssetsV2", "AssetExifsV1"]).await.len(), 1, "the exif of the new one, once more");
    nothing_more(&client, &["AssetsV2", "AssetExifsV1"]).await;
}

#[tokio::test]
async fn acks_are_kept_by_session_and_type_and_forgotten_when_asked() {
    let app = TestApp::serving(|_| ()).await;
    let client = app.sign_up().await;
    let mut other = client.clone();
    other.log_in().await;
    synced(&client, &["AuthUsersV1", "UsersV1"]).await;
    let acks = client.get("/sync/ack").await.ok();
    let types: Vec<&str> = acks.as_array().unwrap().iter().map(|ack| ack["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["AuthUserV1", "SyncCompleteV1", "UserV1"]);
    assert_eq!(other.get("/sync/ack").await.ok(), json!([]));
    client.delete("/sync/ack", &json!({ "types": ["UserV1"] })).await.ok();
    assert_eq!(kinds(&synced(&client, &["AuthUsersV1", "UsersV1"]).await), ["UserV1"]);
    client.delete("/sync/ack", &json!({})).await.ok();
    assert_eq!(client.get("/sync/ack").await.ok(), json!([]));
    client.post("/auth/logout", &json!({})).await.ok();
    let left: i64 =
        app.database.raw().await.query_one("SELECT count(*) FROM sync_checkpoint", &[]).await.unwrap().get(0);
    assert_eq!(left, 0, "they go with the session");
}

#[tokio::test]
async fn a_client_that_was_away_too_long_or_is_told_to_begins_anew() {
    let app = TestApp::serving(|_| ()).await;
    let client = app.sign_up().await;
    let types = ["UsersV1"];
    let reset = json!({ "type": "SyncResetV1", "data": {}, "ack": "SyncResetV1|reset" });
    synced(&client, &types).await;
    // 2023.
    let old = json!({ "acks": ["SyncCompleteV1|018572a0-0000-7000-8000-000000000000"] });
    client.post("/sync/ack", &old).await.ok();
    assert_eq!(stream(&client, &types).await, std::slice::from_ref(&reset));
    assert_eq!(stream(&client, &types).await, std::slice::from_ref(&reset), "until it has wiped everything");
    client.post("/sync/ack", &json!({ "acks": ["SyncResetV1|reset"] })).await.ok();
    assert_eq!(client.get("/sync/ack").await.ok(), json!([]));
    assert_eq!(kinds(&synced(&client, &types).await), ["UserV1"]);
    let raw = app.database.raw().await;
    raw.execute("UPDATE session SET is_pending_sync_reset = true", &[]).await.unwrap();
    assert_eq!(stream(&client, &types).await, [reset]);
    client.post("/sync/ack", &json!({ "acks": ["SyncResetV1|reset"] })).await.ok();
    assert_eq!(kinds(&synced(&client, &types).await), ["UserV1"]);
    nothing_more(&client, &types).await;
    let anew = client.post("/sync/stream", &json!({ "types": types, "reset": true })).await.ok();
    assert_eq!(lines(&anew)[0]["type"], "UserV1", "whoever asks for it gets everything again");
}

#[tokio::test]
async fn refuses_keys_and_what_is_no_type_and_no_ack() {
    let app = TestApp::serving(|_| ()).await;
    let client = app.sign_up().await;
    let key = client.post("/api-keys", &json!({ "name": "x", "permissions": ["all"] })).await.ok();
    for (method, path, body) in [
        (Method::POST, "/sync/stream", json!({ "types": ["UsersV1"] })),
        (Method::GET, "/sync/ack", json!({})),
        (Method::POST, "/sync/ack", json!({ "acks": [] })),
        (Method::DELETE, "/sync/ack", json!({})),
    ] {
        let request = app.anonymous.request(method, path).header("x-api-key", key["secret"].as_str().unwrap());
        let answer = app.anonymous.answer(request.json(&body)).await;
        assert_eq!(answer.error(), "403 Sync endpoints cannot be used with API keys");
    }
    for types in [json!(["AssetsV1"]), json!(["UsersV1", "AssetFacesV1"]), json!(["Nonsense"]), json!(["a\u{0}"])] {
        assert_eq!(client.post("/sync/stream", &json!({ "types": types })).await.status, 400, "{types}");
    }
    assert_eq!(client.post("/sync/stream", &json!({ "types": vec!["UsersV1"; 101] })).await.status, 400);
    for ack in [
        "",
        "UserV1",
        "UserV1|x",
        "Nobody|018572a0-0000-7000-8000-000000000000",
        "SyncCompleteV1|never",
        "UserV1|018572a0-0000-7000-8000-000000000000|what|ever",
    ] {
        let answer = client.post("/sync/ack", &json!({ "acks": [ack] })).await;
        assert!(answer.error().starts_with("400 acks: "), "{ack}: {}", answer.body);
    }
    assert_eq!(client.post("/sync/ack", &json!({ "acks": vec!["UserV1"; 1_001] })).await.status, 400);
    assert_eq!(client.delete("/sync/ack", &json!({ "types": ["UsersV1"] })).await.status, 400);
    assert_eq!(client.get("/sync/ack").await.ok(), json!([]), "nothing of that was kept");
}

#[tokio::test]
async fn people_memories_stacks_and_what_clients_keep_come_with_their_ends() {
    let app = TestApp::serving(|_| ()).await;
    let client = app.sign_up().await;
    let raw = app.database.raw().await;
    let (a, b) = (insert_asset(&raw, id_of(&client)).await, insert_asset(&raw, id_of(&client)).await);
    save_face(&app, &a.to_string(), 0).await;
    save_face(&app, &b.to_string(), 0).await;
    let owner = id_of(&client);
    raw.batch_execute(&format!(
        "BEGIN;
         UPDATE person SET name = 'Aunt', birth_date = '1984-02-29';
         INSERT INTO stack (id, owner_id, primary_asset_id) VALUES (uuidv7(), '{owner}', '{a}');
         UPDATE asset SET stack_id = (SELECT id FROM stack);
         INSERT INTO memory (id, owner_id, type, data, memory_at)
            VALUES (uuidv7(), '{owner}', 'on_this_day', '{{\"year\": 2020}}', '2024-02-29T00:00Z');
         INSERT INTO memory_asset (memory_id, asset_id) SELECT id, '{a}' FROM memory;
         INSERT INTO asset_metadata (asset_id, key, value) VALUES ('{a}', 'mobile-app', '{{\"iCloudId\": \"x\"}}');
         INSERT INTO asset_edit (id, asset_id, sequence, action, parameters)
            VALUES (uuidv7(), '{a}', 0, 'rotate', '{{\"angle\": 90}}');
         INSERT INTO user_metadata (user_id, key, value) VALUES ('{owner}', 'preferences', '{{}}');
         COMMIT"
    ))
    .await
    .unwrap();
    let types = [
        "StacksV1",
        "MemoriesV1",
        "MemoryToAssetsV1",
        "PeopleV1",
        "AssetFacesV2",
        "UserMetadataV1",
        "AssetMetadataV1",
        "AssetEditsV1",
    ];
    let lines = synced(&client, &types).await;
    let mut shapes: Vec<String> = lines.iter().map(|(kind, data)| format!("{kind} {}", shape(data))).collect();
    shapes.dedup();
    insta::assert_snapshot!(shapes.join("\n"), @r#"
    StackV1 {"createdAt":"[date]","id":"[id]","ownerId":"[id]","primaryAssetId":"[id]","updatedAt":"[date]"}
    MemoryV1 {"createdAt":"[date]","data":{"year":2020},"deletedAt":null,"hideAt":null,"id":"[id]","isSaved":false,"memoryAt":"2024-02-29T00:00:00.000Z","ownerId":"[id]","seenAt":null,"showAt":null,"type":"on_this_day","updatedAt":"[date]"}
    MemoryToAssetV1 {"assetId":"[id]","memoryId":"[id]"}
    PersonV1 {"birthDate":"1984-02-29T00:00:00.000Z","color":null,"createdAt":"[date]","faceAssetId":"[id]","id":"[id]","isFavorite":false,"isHidden":false,"name":"Aunt","ownerId":"[id]","updatedAt":"[date]"}
    AssetFaceV2 {"assetId":"[id]","boundingBoxX1":0,"boundingBoxX2":1,"boundingBoxY1":0,"boundingBoxY2":1,"deletedAt":null,"id":"[id]","imageHeight":1,"imageWidth":1,"isVisible":true,"personId":"[id]","sourceType":"machine-learning"}
    UserMetadataV1 {"key":"preferences","userId":"[id]","value":{}}
    AssetMetadataV1 {"assetId":"[id]","key":"mobile-app","value":{"iCloudId":"x"}}
    AssetEditV1 {"action":"rotate","assetId":"[id]","id":"[id]","parameters":{"angle":90},"sequence":0}
    "#);
    nothing_more(&client, &types).await;
    raw.batch_execute(
        "DELETE FROM face; DELETE FROM person; DELETE FROM memory_asset; DELETE FROM asset_metadata;
         DELETE FROM asset_edit; DELETE FROM user_metadata; DELETE FROM stack; DELETE FROM memory",
    )
    .await
    .unwrap();
    let gone = synced(&client, &types).await;
    let kinds: BTreeSet<&str> = kinds(&gone).into_iter().collect();
    let ends = [
        "AssetEditDeleteV1",
        "AssetFaceDeleteV1",
        "AssetMetadataDeleteV1",
        "MemoryDeleteV1",
        "MemoryToAssetDeleteV1",
        "PersonDeleteV1",
        "StackDeleteV1",
        "UserMetadataDeleteV1",
    ];
    assert!(ends.iter().all(|end| kinds.contains(end)), "{kinds:?}");
}

/// The data with ids and dates of now taken out, on one line.
fn shape(data: &Value) -> String {
    let mut data = data.clone();
    for (name, value) in data.as_object_mut().unwrap() {
        if value.as_str().is_some_and(|text| text.parse::<Uuid>().is_ok()) {
            *value = "[id]".into();
        } else if ["createdAt", "updatedAt"].contains(&&**name) {
            *value = "[date]".into();
        }
    }
    data.to_string()
}

/// Ann and Bob, and a photo of Ann's.
async fn ann_and_bob(app: &TestApp) -> (Client, Client, Raw, Uuid) {
    let ann = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let raw = app.database.raw().await;
    let asset = insert_asset(&raw, id_of(&ann)).await;
    (ann, bob, raw, asset)
}

const OF_PARTNERS: [&str; 4] = ["PartnersV1", "PartnerAssetsV2", "PartnerAssetExifsV1", "PartnerStacksV1"];

#[tokio::test]
async fn a_partners_timeline_comes_whole_and_what_leaves_it_goes() {
    let app = TestApp::serving(|_| ()).await;
    let (ann, bob, raw, old) = ann_and_bob(&app).await;
    // Bob has something of another partner already: Ann's older photos have to be filled in.
    let carol = app.anonymous.beside(&app.running.gallery, "Carol").await;
    let carols = insert_asset(&raw, id_of(&carol)).await;
    let share = "INSERT INTO partner (shared_by_id, shared_with_id) VALUES ($1, $2)";
    raw.execute(share, &[&id_of(&carol), &id_of(&bob)]).await.unwrap();
    let locked = insert_asset(&raw, id_of(&ann)).await;
    let set = "UPDATE asset SET visibility = $2, is_favorite = true WHERE id = $1";
    raw.execute(set, &[&locked, &"locked"]).await.unwrap();
    let first = synced(&bob, &OF_PARTNERS).await;
    assert_eq!(told(&first, "id")[1], pair("PartnerAssetV2", carols));
    raw.execute(share, &[&id_of(&ann), &id_of(&bob)]).await.unwrap();
    let filled = synced(&bob, &OF_PARTNERS).await;
    let of_assets = |lines: &[(String, Value)]| -> Vec<(String, String)> {
        told(lines, "id").into_iter().filter(|(_, id)| !id.is_empty()).collect()
    };
    let filled_in = of_assets(&filled);
    assert!(filled_in.contains(&pair("PartnerAssetBackfillV2", old)), "{filled_in:?}");
    assert!(
        filled_in.iter().all(|(_, id)| *id != locked.to_string()),
        "what is behind the PIN stays there: {filled_in:?}"
    );
    assert!(kinds(&filled).contains(&"PartnerAssetExifBackfillV1"), "{filled:?}");
    nothing_more(&bob, &OF_PARTNERS).await;
    assert_eq!(synced(&ann, &["PartnerAssetsV2"]).await, [], "it goes one way");
    raw.execute(set, &[&old, &"timeline"]).await.unwrap();
    let changed = synced(&bob, &OF_PARTNERS).await;
    assert_eq!(changed[0].1["isFavorite"], false, "whose favourite it is, is Ann's business");
    raw.execute(set, &[&old, &"archive"]).await.unwrap();
    assert_eq!(told(&synced(&bob, &OF_PARTNERS).await, "assetId"), [pair("PartnerAssetDeleteV1", old)]);
    raw.execute(set, &[&old, &"timeline"]).await.unwrap();
    assert_eq!(kinds(&synced(&bob, &OF_PARTNERS).await), ["PartnerAssetV2", "PartnerAssetExifV1"]);
    raw.execute("DELETE FROM partner WHERE shared_by_id = $1", &[&id_of(&ann)]).await.unwrap();
    assert_eq!(kinds(&synced(&bob, &OF_PARTNERS).await), ["PartnerDeleteV1"]);
    insert_asset(&raw, id_of(&ann)).await;
    nothing_more(&bob, &OF_PARTNERS).await;
}

const OF_ALBUMS: [&str; 5] = ["AlbumsV2", "AlbumUsersV1", "AlbumAssetsV2", "AlbumAssetExifsV1", "AlbumToAssetsV1"];

async fn album_of(raw: &Raw, owner: &Client, assets: &[Uuid]) -> Uuid {
    let id = Uuid::now_v7();
    raw.execute("INSERT INTO album (id, name) VALUES ($1, 'Trip')", &[&id]).await.unwrap();
    join(raw, id, owner, "owner").await;
    for asset in assets {
        raw.execute("INSERT INTO album_asset (album_id, asset_id) VALUES ($1, $2)", &[&id, asset]).await.unwrap();
    }
    id
}

async fn join(raw: &Raw, album: Uuid, who: &Client, role: &str) {
    let sql = "INSERT INTO album_user (album_id, user_id, role) VALUES ($1, $2, $3)";
    raw.execute(sql, &[&album, &id_of(who), &role]).await.unwrap();
}

#[tokio::test]
async fn an_album_that_somebody_is_let_into_is_filled_in_and_then_followed() {
    let app = TestApp::serving(|_| ()).await;
    let (ann, bob, raw, asset) = ann_and_bob(&app).await;
    let album = album_of(&raw, &ann, &[asset]).await;
    // Bob's own is younger than what is in Ann's.
    let bobs = insert_asset(&raw, id_of(&bob)).await;
    album_of(&raw, &bob, &[bobs]).await;
    let own = synced(&bob, &OF_ALBUMS).await;
    assert_eq!(
        kinds(&own),
        ["AlbumAssetCreateV2", "AlbumV2", "AlbumUserV1", "AlbumToAssetV1", "AlbumAssetExifCreateV1"]
    );
    nothing_more(&bob, &OF_ALBUMS).await;
    join(&raw, album, &bob, "viewer").await;
    let filled = synced(&bob, &OF_ALBUMS).await;
    assert_eq!(
        kinds(&filled),
        [
            "AlbumAssetBackfillV2",
            "SyncAckV1",
            "AlbumV2",
            "AlbumUserBackfillV1",
            "AlbumUserV1",
            "SyncAckV1",
            "AlbumToAssetBackfillV1",
            "SyncAckV1",
            "AlbumAssetExifBackfillV1",
            "SyncAckV1",
        ]
    );
    assert_eq!(filled[0].1["id"], asset.to_string());
    nothing_more(&bob, &OF_ALBUMS).await;

    raw.execute("UPDATE asset SET width = 7 WHERE id = $1", &[&asset]).await.unwrap();
    let changed = synced(&bob, &OF_ALBUMS).await;
    assert_eq!((kinds(&changed), &changed[0].1["width"]), (vec!["AlbumAssetUpdateV2"], &json!(7)));
    raw.execute("UPDATE asset_exif SET city = 'Leiden'", &[]).await.unwrap();
    let changed = synced(&bob, &["AlbumAssetExifsV1"]).await;
    assert_eq!(kinds(&changed), ["AlbumAssetExifUpdateV1"; 2], "of both albums");
    raw.execute("UPDATE asset SET visibility = 'locked' WHERE id = $1", &[&asset]).await.unwrap();
    let changed = synced(&bob, &OF_ALBUMS).await;
    assert!(told(&changed, "assetId").contains(&pair("AlbumToAssetDeleteV1", asset)), "behind Ann's PIN: {changed:?}");
    // It has left its albums, and comes back when somebody puts it there.
    raw.execute("UPDATE asset SET visibility = 'timeline' WHERE id = $1", &[&asset]).await.unwrap();
    raw.execute("INSERT INTO album_asset (album_id, asset_id) VALUES ($1, $2)", &[&album, &asset]).await.unwrap();
    let back = synced(&bob, &OF_ALBUMS).await;
    assert!(told(&back, "assetId").contains(&pair("AlbumToAssetV1", asset)), "{back:?}");
    raw.execute("DELETE FROM album_asset WHERE asset_id = $1", &[&asset]).await.unwrap();
    let taken = synced(&bob, &["AlbumToAssetsV1"]).await;
    assert_eq!(told(&taken, "assetId"), [pair("AlbumToAssetDeleteV1", asset)]);
    synced(&bob, &OF_ALBUMS).await;
    raw.execute("DELETE FROM album_user WHERE user_id = $1 AND album_id = $2", &[&id_of(&bob), &album]).await.unwrap();
    assert_eq!(told(&synced(&bob, &OF_ALBUMS).await, "albumId"), [pair("AlbumDeleteV1", album)]);
    assert_eq!(kinds(&synced(&ann, &["AlbumUsersV1"]).await), ["AlbumUserDeleteV1", "AlbumUserV1"]);
    let old_shape = &stream(&ann, &["AlbumsV1"]).await[0];
    assert_eq!((&old_shape["type"], &old_shape["data"]["ownerId"]), (&json!("AlbumV1"), &json!(ann.user_id)));
}

/// A backfill that broke off goes on where it was.
#[tokio::test]
async fn a_backfill_goes_on_where_the_client_left_it() {
    let app = TestApp::serving(|_| ()).await;
    let (ann, bob, raw, first) = ann_and_bob(&app).await;
    let more = [insert_asset(&raw, id_of(&ann)).await, insert_asset(&raw, id_of(&ann)).await];
    let album = album_of(&raw, &ann, &[first, more[0], more[1]]).await;
    let bobs = insert_asset(&raw, id_of(&bob)).await;
    album_of(&raw, &bob, &[bobs]).await;
    synced(&bob, &OF_ALBUMS).await;
    join(&raw, album, &bob, "editor").await;
    let lines = stream(&bob, &["AlbumToAssetsV1"]).await;
    assert_eq!(lines.iter().filter(|line| line["type"] == "AlbumToAssetBackfillV1").count(), 3);
    ack(&bob, &lines[..1]).await;
    let rest = synced(&bob, &["AlbumToAssetsV1"]).await;
    assert_eq!(
        told(&rest, "assetId")[..2],
        [pair("AlbumToAssetBackfillV1", more[0]), pair("AlbumToAssetBackfillV1", more[1])]
    );
    assert_eq!(kinds(&rest)[2..], ["SyncAckV1"]);
    nothing_more(&bob, &["AlbumToAssetsV1"]).await;
}

#[tokio::test]
async fn clients_that_do_not_read_keep_nobody_from_anything() {
    let app = TestApp::with(|settings| settings.database.pool_size = 4).await;
    let client = app.sign_up().await;
    let raw = app.database.raw().await;
    raw.execute(
        "INSERT INTO asset (id, owner_id, checksum, sha256, type, original_file_name, original_path, mime_type, file_size,
            file_created_at, file_modified_at, local_date_time)
         SELECT id, $1, substring(sha256(id::text::bytea) FOR 20), sha256(id::text::bytea), 'IMAGE', repeat('n', 200), 'x', 'y',
            5, now(), now(), now() FROM (SELECT uuidv7() AS id FROM generate_series(1, 60000)) new",
        &[&id_of(&client)],
    )
    .await
    .unwrap();
    let mut idle = Vec::new();
    for _ in 0..3 {
        let request = client.request(Method::POST, "/sync/stream").json(&json!({ "types": ["AssetsV2"] }));
        idle.push(request.send().await.unwrap());
        assert_eq!(client.get("/users/me").await.status, 200);
    }
    // The last of this session goes on; the ones before were given up.
    let text = idle.pop().unwrap().text().await.unwrap();
    assert_eq!(text.lines().count(), 60_001);
    assert!(text.lines().last().unwrap().contains("SyncCompleteV1"));
    let text = idle.pop().unwrap().text().await.unwrap();
    assert!(!text.contains("SyncCompleteV1"), "a stream that broke does not say that it is complete");
}
