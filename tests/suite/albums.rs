//! Albums: who has them, what is in them, and what that lets others see.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::photos::{self, Exif};
use tests::{Client, TestApp};

/// Every operation of albums, partners, activity and downloads, each with success.
pub async fn call_everything(app: &TestApp, client: &Client, asset: &str) {
    let bob = client.beside(&app.running.gallery, "Bob").await;
    let album = client.post("/albums", &json!({ "albumName": "Delft" })).await.ok();
    let album = format!("/albums/{}", album["id"].as_str().unwrap());
    client.patch(&album, &json!({ "description": "by the canal", "order": "asc" })).await.ok();
    let ids = json!({ "ids": [asset] });
    client.put(&format!("{album}/assets"), &ids).await.ok();
    let many = json!({ "albumIds": [album.rsplit('/').next()], "assetIds": [asset] });
    client.put("/albums/assets", &many).await.ok();
    let users = json!({ "albumUsers": [{ "userId": bob.user_id, "role": "viewer" }] });
    client.put(&format!("{album}/users"), &users).await.ok();
    client.put(&format!("{album}/user/{}", bob.user_id), &json!({ "role": "editor" })).await.ok();
    for path in ["/albums", "/albums/statistics", &album, &format!("{album}/map-markers")] {
        client.get(path).await.ok();
    }
    say_everything(client, album.rsplit('/').next().unwrap()).await;
    client.post("/download/info", &json!({ "assetIds": [asset] })).await.ok();
    client.post("/download/archive", &json!({ "assetIds": [asset] })).await.ok();
    client.delete(&format!("{album}/assets"), &ids).await.ok();
    client.delete(&format!("{album}/user/{}", bob.user_id), &json!({})).await.ok();
    client.delete(&album, &json!({})).await.ok();
    let partner = format!("/partners/{}", client.user_id);
    bob.post(&partner, &json!({})).await.ok();
    client.get("/partners?direction=shared-with").await.ok();
    client.put(&format!("/partners/{}", bob.user_id), &json!({ "inTimeline": true })).await.ok();
    bob.delete(&partner, &json!({})).await.ok();
    client.post("/partners", &json!({ "sharedWithId": bob.user_id })).await.ok();
}

async fn say_everything(client: &Client, album: &str) {
    let comment = json!({ "albumId": album, "type": "comment", "comment": "Well!" });
    let said = client.post("/activities", &comment).await.ok();
    client.get(&format!("/activities?albumId={album}")).await.ok();
    client.get(&format!("/activities/statistics?albumId={album}")).await.ok();
    client.delete(&format!("/activities/{}", said["id"].as_str().unwrap()), &json!({})).await.ok();
}

pub fn id(answer: &Value) -> String {
    answer["id"].as_str().unwrap().to_owned()
}

/// A photo, processed; its id.
pub async fn photo(client: &Client, seed: u32, taken: &'static str) -> String {
    let exif = Exif { taken: Some(taken), gps: Some((52.0116, 4.3571)), ..Exif::default() };
    let id = client.uploaded(&format!("{seed}.jpg"), photos::encoded_jpeg(320, 240, seed, Some(&exif))).await;
    client.processed(&id).await;
    id
}

/// An album of a user with these assets; its id.
pub async fn album_of(client: &Client, assets: &[&str]) -> String {
    id(&client.post("/albums", &json!({ "albumName": "Delft", "assetIds": assets })).await.ok())
}

pub async fn let_in(owner: &Client, album: &str, user: &Client, role: &str) {
    let users = json!({ "albumUsers": [{ "userId": user.user_id, "role": role }] });
    owner.put(&format!("/albums/{album}/users"), &users).await.ok();
}

/// How asset, thumbnail, original and playback answer somebody.
pub async fn seen(client: &Client, asset: &str, query: &str) -> [u16; 4] {
    let mut statuses = [0; 4];
    for (status, path) in statuses.iter_mut().zip(["", "/thumbnail", "/original", "/video/playback"]) {
        let request = client.request(Method::GET, &format!("/assets/{asset}{path}{query}"));
        *status = request.send().await.unwrap().status().as_u16();
    }
    statuses
}

pub const ALL: [u16; 4] = [200; 4];
pub const NOTHING: [u16; 4] = [400; 4];

/// Ids of the timeline of `query`, in its order.
pub async fn timeline(client: &Client, query: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for bucket in client.get(&format!("/timeline/buckets?{query}")).await.ok().as_array().unwrap() {
        let month = bucket["timeBucket"].as_str().unwrap();
        let columns = client.get(&format!("/timeline/bucket?{query}&timeBucket={month}")).await.ok();
        let some = columns["id"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned());
        assert_eq!(bucket["count"], columns["id"].as_array().unwrap().len(), "{month}");
        ids.extend(some);
    }
    ids
}

#[tokio::test]
async fn an_album_shows_its_photos_to_those_who_have_it_and_to_nobody_else() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = ann.beside(&app.running.gallery, "Bob").await;
    let cleo = ann.beside(&app.running.gallery, "Cleo").await;
    let inside = photo(&ann, 1, "2020:06:01 12:00:00").await;
    let outside = photo(&ann, 2, "2020:06:02 12:00:00").await;
    ann.put(&format!("/assets/{inside}"), &json!({ "isFavorite": true })).await.ok();
    let made = ann.post("/albums", &json!({ "albumName": "Delft", "assetIds": [inside] })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let album = id(&made.body);
    let path = format!("/albums/{album}");
    insta::assert_snapshot!(bob.get(&path).await.error(), @"400 Not found or no album.read access");
    assert_eq!(seen(&bob, &inside, "").await, NOTHING);
    let_in(&ann, &album, &bob, "viewer").await;
    insta::assert_json_snapshot!(bob.get(&path).await.ok(), {
        ".id" => "[id]", ".albumThumbnailAssetId" => "[id]", ".createdAt" => "[date]", ".updatedAt" => "[date]",
        ".lastModifiedAssetTimestamp" => "[date]", ".albumUsers[].user.id" => "[id]", ".contributorCounts[].userId" => "[id]",
        ".albumUsers[].user.profileChangedAt" => "[date]",
    }, @r#"
    {
      "albumName": "Delft",
      "albumThumbnailAssetId": "[id]",
      "albumUsers": [
        {
          "role": "owner",
          "user": {
            "avatarColor": "primary",
            "email": "ann@example.org",
            "id": "[id]",
            "name": "Ann",
            "profileChangedAt": "[date]",
            "profileImagePath": ""
          }
        },
        {
          "role": "viewer",
          "user": {
            "avatarColor": "primary",
            "email": "bob@example.org",
            "id": "[id]",
            "name": "Bob",
            "profileChangedAt": "[date]",
            "profileImagePath": ""
          }
        }
      ],
      "assetCount": 1,
      "contributorCounts": [
        {
          "assetCount": 1,
          "userId": "[id]"
        }
      ],
      "createdAt": "[date]",
      "description": "",
      "endDate": "2020-06-01T12:00:00.000Z",
      "hasSharedLink": false,
      "id": "[id]",
      "isActivityEnabled": true,
      "lastModifiedAssetTimestamp": "[date]",
      "order": "desc",
      "shared": true,
      "startDate": "2020-06-01T12:00:00.000Z",
      "updatedAt": "[date]"
    }
    "#);
    assert_eq!(seen(&bob, &inside, "").await, ALL);
    assert_eq!(seen(&bob, &outside, "").await, NOTHING);
    assert_eq!(seen(&cleo, &inside, "").await, NOTHING);
    let asset = bob.get(&format!("/assets/{inside}")).await.ok();
    assert_eq!(asset["exifInfo"]["city"], "Delft");
    // Where it lies, and that she likes it, is hers to know.
    assert_eq!((&asset["originalPath"], &asset["isFavorite"]), (&json!(""), &json!(false)));
    assert_eq!(asset["owner"]["name"], "Ann");
    assert_eq!(asset.get("people"), Some(&json!([])));
    let marker = &bob.get(&format!("{path}/map-markers")).await.ok()[0];
    assert_eq!((&marker["id"], &marker["city"]), (&json!(inside), &json!("Delft")));
    for (who, client) in [("a viewer", &bob), ("nobody", &cleo)] {
        let ids = json!({ "ids": [inside] });
        for answer in [
            client.put(&format!("{path}/assets"), &ids).await,
            client.delete(&format!("{path}/assets"), &ids).await,
            client.patch(&path, &json!({ "albumName": "Mine" })).await,
            client.put(&format!("{path}/users"), &json!({ "albumUsers": [{ "userId": cleo.user_id }] })).await,
            client.delete(&format!("{path}/user/{}", ann.user_id), &json!({})).await,
            client.delete(&path, &json!({})).await,
            client.put(&format!("/assets/{inside}"), &json!({ "isFavorite": true })).await,
            client.delete("/assets", &ids).await,
        ] {
            assert!(answer.error().starts_with("400 Not found or no "), "{who}: {}", answer.error());
        }
    }
    // Out of sight: in the trash, and when the album is taken away.
    ann.delete("/assets", &json!({ "ids": [inside] })).await.ok();
    assert_eq!(seen(&bob, &inside, "").await, NOTHING);
    ann.post("/trash/restore", &json!({})).await.ok();
    assert_eq!(seen(&bob, &inside, "").await, ALL);
    ann.delete(&format!("{path}/user/{}", bob.user_id), &json!({})).await.ok();
    assert_eq!(seen(&bob, &inside, "").await, NOTHING);
    assert_eq!(bob.get(&path).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_editor_adds_what_is_theirs_and_whoever_wants_leaves() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = ann.beside(&app.running.gallery, "Bob").await;
    let (hers, his) = (photo(&ann, 1, "2020:06:01 12:00:00").await, photo(&bob, 2, "2020:06:02 12:00:00").await);
    let album = album_of(&ann, &[]).await;
    let_in(&ann, &album, &bob, "viewer").await;
    let path = format!("/albums/{album}");
    let role = json!({ "role": "editor" });
    ann.put(&format!("{path}/user/{}", bob.user_id), &role).await.ok();
    let unknown = "01a20b32-903f-7236-a193-63acee4e29e3";
    let added = bob.put(&format!("{path}/assets"), &json!({ "ids": [his, his, hers, unknown] })).await.ok();
    assert_eq!(
        added,
        json!([
            { "id": his, "success": true },
            { "id": his, "success": false, "error": "duplicate" },
            { "id": hers, "success": false, "error": "no_permission" },
            { "id": unknown, "success": false, "error": "no_permission" },
        ])
    );
    let many = |asset: &str| json!({ "albumIds": [album, unknown], "assetIds": [asset] });
    assert_eq!(ann.put("/albums/assets", &many(&hers)).await.ok(), json!({ "success": true }));
    let again = ann.put("/albums/assets", &many(&hers)).await.ok();
    assert_eq!(again, json!({ "success": false, "error": "duplicate" }));
    let info = ann.get(&path).await.ok();
    assert_eq!((&info["assetCount"], &info["contributorCounts"].as_array().unwrap().len()), (&json!(2), &2));
    assert_eq!(seen(&ann, &his, "").await, ALL);
    let removed = bob.delete(&format!("{path}/assets"), &json!({ "ids": [hers, unknown] })).await.ok();
    assert_eq!(removed[0], json!({ "id": hers, "success": true }));
    assert_eq!(removed[1], json!({ "id": unknown, "success": false, "error": "not_found" }));
    let owner = ann.delete(&format!("{path}/user/me"), &json!({})).await;
    insta::assert_snapshot!(owner.error(), @"400 Cannot remove album owner");
    bob.delete(&format!("{path}/user/me"), &json!({})).await.ok();
    assert_eq!(bob.get("/albums").await.ok(), json!([]));
}

#[tokio::test]
async fn the_thumbnail_of_an_album_leaves_with_its_asset() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let mut ids = Vec::new();
    for (seed, taken) in [(1, "2020:01:01 12:00:00"), (2, "2021:01:01 12:00:00"), (3, "2022:01:01 12:00:00")] {
        ids.push(photo(&ann, seed, taken).await);
    }
    let album = album_of(&ann, &[&ids[0], &ids[1], &ids[2]]).await;
    let path = format!("/albums/{album}");
    let thumbnail = async || ann.get(&path).await.ok()["albumThumbnailAssetId"].clone();
    assert_eq!(thumbnail().await, ids[2]);
    let chosen = ann.patch(&path, &json!({ "albumThumbnailAssetId": ids[0] })).await.ok();
    assert_eq!(chosen["albumThumbnailAssetId"], ids[0]);
    ann.delete("/assets", &json!({ "ids": [ids[0]] })).await.ok();
    assert_eq!(thumbnail().await, ids[2], "what lies in the trash stands for nothing");
    ann.post("/trash/restore", &json!({})).await.ok();
    assert_eq!(thumbnail().await, ids[0]);
    ann.delete(&format!("{path}/assets"), &json!({ "ids": [ids[0]] })).await.ok();
    assert_eq!(thumbnail().await, ids[2]);
    ann.delete("/assets", &json!({ "ids": [ids[2]], "force": true })).await.ok();
    assert_eq!(thumbnail().await, ids[1]);
    let other = ann.patch(&path, &json!({ "albumThumbnailAssetId": ids[0] })).await;
    insta::assert_snapshot!(other.error(), @"400 Invalid album thumbnail");
    ann.delete("/assets", &json!({ "ids": [ids[1]], "force": true })).await.ok();
    assert_eq!(thumbnail().await, Value::Null);
}

#[tokio::test]
async fn the_list_of_albums_is_filtered() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = ann.beside(&app.running.gallery, "Bob").await;
    let asset = photo(&ann, 1, "2020:06:01 12:00:00").await;
    let mut ids = Vec::new();
    for (name, assets) in [("alone", vec![&asset]), ("linked", vec![]), ("shared", vec![])] {
        ids.push(id(&ann.post("/albums", &json!({ "albumName": name, "assetIds": assets })).await.ok()));
    }
    ann.post("/shared-links", &json!({ "type": "ALBUM", "albumId": ids[1] })).await.ok();
    let_in(&ann, &ids[2], &bob, "viewer").await;
    bob.post("/albums", &json!({ "albumName": "Bob's" })).await.ok();
    let names = async |client: &Client, query: String| -> Vec<String> {
        let albums = client.get(&format!("/albums{query}")).await.ok();
        albums.as_array().unwrap().iter().map(|album| album["albumName"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&ann, String::new()).await, ["shared", "linked", "alone"]);
    assert_eq!(names(&bob, String::new()).await, ["Bob's", "shared"]);
    assert_eq!(names(&bob, "?isOwned=false".into()).await, ["shared"]);
    assert_eq!(names(&bob, "?isOwned=true".into()).await, ["Bob's"]);
    assert_eq!(names(&ann, "?isShared=true".into()).await, ["shared", "linked"]);
    assert_eq!(names(&ann, "?isShared=false".into()).await, ["alone"]);
    assert_eq!(names(&ann, format!("?assetId={asset}")).await, ["alone"]);
    assert_eq!(names(&ann, format!("?id={}", ids[1])).await, ["linked"]);
    assert_eq!(names(&ann, "?name=alone".into()).await, ["alone"]);
    let count = |owned, shared, alone| json!({ "owned": owned, "shared": shared, "notShared": alone });
    assert_eq!(ann.get("/albums/statistics").await.ok(), count(3, 2, 1));
    assert_eq!(bob.get("/albums/statistics").await.ok(), count(1, 1, 1));
}

#[tokio::test]
async fn the_timeline_of_an_album_goes_as_its_owner_wants() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = ann.beside(&app.running.gallery, "Bob").await;
    let (old, new) = (photo(&ann, 1, "2020:06:01 12:00:00").await, photo(&ann, 2, "2021:06:01 12:00:00").await);
    let his = photo(&bob, 3, "2020:06:02 12:00:00").await;
    let archived = photo(&ann, 4, "2019:06:02 12:00:00").await;
    ann.put(&format!("/assets/{archived}"), &json!({ "visibility": "archive" })).await.ok();
    ann.put(&format!("/assets/{old}"), &json!({ "isFavorite": true })).await.ok();
    let album = album_of(&ann, &[&old, &new, &archived]).await;
    let_in(&ann, &album, &bob, "editor").await;
    bob.put(&format!("/albums/{album}/assets"), &json!({ "ids": [his] })).await.ok();
    let query = format!("albumId={album}");
    let newest_first = [new.clone(), his.clone(), old.clone(), archived.clone()];
    assert_eq!(timeline(&bob, &query).await, newest_first);
    ann.patch(&format!("/albums/{album}"), &json!({ "order": "asc" })).await.ok();
    let oldest_first: Vec<String> = newest_first.iter().rev().cloned().collect();
    assert_eq!(timeline(&bob, &query).await, oldest_first);
    assert_eq!(timeline(&bob, &format!("{query}&order=desc")).await, newest_first);
    // What Ann likes, and what she threw away, is not Bob's to see.
    assert_eq!(timeline(&ann, &format!("{query}&isFavorite=true")).await, std::slice::from_ref(&old));
    assert_eq!(timeline(&bob, &format!("{query}&isFavorite=true")).await, Vec::<String>::new());
    ann.delete("/assets", &json!({ "ids": [old] })).await.ok();
    assert_eq!(timeline(&bob, &query).await.len(), 3);
    assert_eq!(timeline(&ann, &format!("{query}&isTrashed=true")).await, [old]);
    assert_eq!(timeline(&bob, &format!("{query}&isTrashed=true")).await, Vec::<String>::new());
    let found = bob.post("/search/metadata", &json!({ "albumIds": [album], "withDeleted": true })).await.ok();
    assert_eq!(found["assets"]["total"], 2, "{found}");
    let found = bob.post("/search/statistics", &json!({ "isNotInAlbum": true })).await.ok();
    assert_eq!(found, json!({ "total": 0 }));
    let cleo = ann.beside(&app.running.gallery, "Cleo").await;
    let refused = cleo.get(&format!("/timeline/buckets?{query}")).await.error();
    insta::assert_snapshot!(refused, @"400 Not found or no album.read access");
    let refused = cleo.post("/search/metadata", &json!({ "albumIds": [album] })).await.error();
    insta::assert_snapshot!(refused, @"400 Not found or no album.read access");
}

#[tokio::test]
async fn what_no_album_can_be_is_refused() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = ann.beside(&app.running.gallery, "Bob").await;
    let album = album_of(&ann, &[]).await;
    let path = format!("/albums/{album}");
    let unknown = "01a20b32-903f-7236-a193-63acee4e29e3";
    let user = |id: &str, role: &str| json!({ "albumUsers": [{ "userId": id, "role": role }] });
    let create = |more: Value| {
        let mut body = json!({ "albumName": "x" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let mut errors = Vec::new();
    for answer in [
        ann.post("/albums", &json!({})).await,
        ann.post("/albums", &json!({ "albumName": "a\0b" })).await,
        ann.post("/albums", &json!({ "albumName": "x".repeat(1_001) })).await,
        ann.post("/albums", &create(json!({ "assetIds": [unknown] }))).await,
        ann.post("/albums", &create(json!({ "assetIds": ["x"] }))).await,
        ann.post("/albums", &create(user(&ann.user_id, "editor"))).await,
        ann.post("/albums", &create(user(&bob.user_id, "owner"))).await,
        ann.post("/albums", &create(user(unknown, "editor"))).await,
        ann.put(&format!("{path}/users"), &user(unknown, "editor")).await,
        ann.put(&format!("{path}/users"), &json!({ "albumUsers": [] })).await,
        ann.put(&format!("{path}/user/{}", bob.user_id), &json!({ "role": "viewer" })).await,
        ann.put(&format!("{path}/user/{}", ann.user_id), &json!({ "role": "viewer" })).await,
        ann.delete(&format!("{path}/user/{}", bob.user_id), &json!({})).await,
        ann.delete(&format!("{path}/user/x"), &json!({})).await,
        ann.patch(&path, &json!({ "order": "up" })).await,
        ann.patch(&path, &json!({ "description": "x".repeat(10_001) })).await,
        ann.get("/albums/x").await,
        ann.get(&format!("/albums/{unknown}")).await,
        ann.delete(&format!("/albums/{unknown}"), &json!({})).await,
        ann.put(&format!("{path}/assets"), &json!({ "ids": vec![unknown; 100_001] })).await,
    ] {
        errors.push(answer.error());
    }
    insta::assert_snapshot!(errors.join("\n"), @r#"
    400 Validation failed [{"message":"missing field `albumName` at line 1 column 2","path":["albumName"]}]
    400 Validation failed [{"message":"must not contain NUL","path":["body"]}]
    400 albumName must have at most 1000 bytes
    400 Not found or no asset.share access
    400 Validation failed [{"message":"assetIds[0]: UUID parsing failed: invalid character: found `x` at 0 at line 1 column 32","path":["assetIds[0]"]}]
    400 Cannot be shared with owner
    400 role must be editor or viewer
    400 User not found
    400 User not found
    400 Validation failed [{"message":"must name at least one","path":["albumUsers"]}]
    400 Album not shared with user
    400 Cannot be shared with owner
    400 Album not shared with user
    400 Validation failed [{"message":"\"x\" is not a UUID","path":["userId"]}]
    400 Validation failed [{"message":"order: unknown variant `up`, expected `asc` or `desc` at line 1 column 13","path":["order"]}]
    400 description must have at most 10000 bytes
    400 Validation failed [{"message":"\"x\" is not a UUID","path":["id"]}]
    400 Not found or no album.read access
    400 Not found or no album.delete access
    400 Validation failed [{"message":"at most 100000 at once","path":["ids"]}]
    "#);
    assert_eq!(ann.get("/albums").await.ok().as_array().unwrap().len(), 1, "nothing was half made");
    ann.put(&format!("{path}/users"), &user(&bob.user_id, "editor")).await.ok();
    let twice = ann.put(&format!("{path}/users"), &user(&bob.user_id, "viewer")).await.error();
    insta::assert_snapshot!(twice, @"400 User already added");
}

#[tokio::test]
async fn many_at_once_leave_an_album_whole() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let mut ids = Vec::new();
    for seed in 1..=12 {
        ids.push(photo(&ann, seed, "2020:06:01 12:00:00").await);
    }
    let album = album_of(&ann, &[]).await;
    let path = &format!("/albums/{album}/assets");
    let (adding, forwards, backwards) = (ids.clone(), ids.clone(), ids.iter().rev().cloned().collect::<Vec<_>>());
    let calls = (0..24).map(|number| {
        let (ann, all) = (ann.clone(), if number % 2 == 0 { &forwards } else { &backwards });
        let one = adding[number / 2].clone();
        async move {
            let ids = json!({ "ids": all });
            match number % 4 {
                0 | 1 => ann.put(path, &ids).await,
                2 => ann.delete(path, &ids).await,
                _ => ann.delete("/assets", &json!({ "ids": [one], "force": true })).await,
            }
        }
    });
    for answer in futures::future::join_all(calls).await {
        assert!(answer.status.is_success(), "{}: {}", answer.status, answer.body);
    }
    ann.put(path, &json!({ "ids": ids })).await.ok();
    let left = timeline(&ann, "").await;
    assert_eq!(left.len(), 6);
    let info = ann.get(&format!("/albums/{album}")).await.ok();
    assert_eq!(info["assetCount"], 6);
    assert!(left.iter().any(|id| info["albumThumbnailAssetId"] == **id), "{info}");
}

#[tokio::test]
async fn what_is_locked_or_gone_leaves_albums_and_the_sync_stream_is_told() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = ann.beside(&app.running.gallery, "Bob").await;
    let (locked, kept) = (photo(&ann, 1, "2020:06:01 12:00:00").await, photo(&ann, 2, "2020:06:01 12:00:00").await);
    let album = album_of(&ann, &[&locked, &kept]).await;
    let_in(&ann, &album, &bob, "viewer").await;
    let raw = app.database.raw().await;
    raw.execute("UPDATE asset SET visibility = 'locked' WHERE id = $1::text::uuid", &[&locked]).await.unwrap();
    assert_eq!(seen(&bob, &locked, "").await, NOTHING);
    let added = ann.put(&format!("/albums/{album}/assets"), &json!({ "ids": [locked] })).await.ok();
    assert_eq!(added[0]["error"], "no_permission");
    let left = raw.query("SELECT asset_id::text FROM album_asset_audit", &[]).await.unwrap();
    assert_eq!(left.iter().map(|row| row.get(0)).collect::<Vec<String>>(), [locked]);
    ann.delete(&format!("/albums/{album}"), &json!({})).await.ok();
    let gone =
        raw.query("SELECT user_id::text FROM album_audit WHERE album_id = $1::text::uuid", &[&album]).await.unwrap();
    let mut gone: Vec<String> = gone.iter().map(|row| row.get(0)).collect();
    gone.sort();
    let mut users = vec![ann.user_id, bob.user_id];
    users.sort();
    assert_eq!(gone, users, "everybody who had it hears of it");
    let parts = raw.query_one("SELECT count(*) FROM album_asset_audit", &[]).await.unwrap();
    assert_eq!(parts.get::<_, i64>(0), 1, "what goes with its album is not told one by one");
}
