//! Other looks at a library: the map, its folders, a calendar; and what is done to single assets.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::photos::{self, Exif};
use tests::{Client, TestApp};

async fn photo(client: &Client, seed: u32, taken: &'static str, gps: Option<(f64, f64)>) -> String {
    let exif = Exif { taken: Some(taken), gps, ..Exif::default() };
    let id = client.uploaded(&format!("{seed}.jpg"), photos::encoded_jpeg(320, 240, seed, Some(&exif))).await;
    client.processed(&id).await;
    id
}

#[tokio::test]
async fn the_map_shows_where_photos_were_taken() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let delft = photo(&client, 1, "2024:03:15 12:00:00", Some((52.0116, 4.3571))).await;
    let paris = photo(&client, 2, "2020:03:15 12:00:00", Some((48.8566, 2.3522))).await;
    photo(&client, 3, "2020:03:15 12:00:00", None).await;
    let markers = client.get("/map/markers").await.ok();
    assert_eq!(markers[0]["id"], json!(delft));
    assert_eq!((&markers[0]["city"], &markers[0]["country"]), (&json!("Delft"), &json!("Netherlands")));
    assert!((markers[0]["lat"].as_f64().unwrap() - 52.0116).abs() < 1e-4);
    client.put(&format!("/assets/{paris}"), &json!({ "isFavorite": true })).await.ok();
    let ids = async |query: &str| -> Vec<Value> {
        let markers = client.get(&format!("/map/markers?{query}")).await.ok();
        markers.as_array().unwrap().iter().map(|marker| marker["id"].clone()).collect()
    };
    assert_eq!(ids("isFavorite=true").await, [json!(paris)]);
    assert_eq!(ids("fileCreatedAfter=2022-01-01T00:00:00.000Z").await, [json!(delft)]);
    assert_eq!(ids("fileCreatedBefore=2022-01-01T00:00:00.000Z").await, [json!(paris)]);
    client.put(&format!("/assets/{delft}"), &json!({ "visibility": "archive" })).await.ok();
    assert_eq!(ids("isArchived=true").await, [json!(delft)]);
    assert_eq!(ids("isArchived=false").await, [json!(paris)]);
    assert_eq!(bob.get("/map/markers").await.ok(), json!([]));
    let place = client.get("/map/reverse-geocode?lat=52.0116&lon=4.3571").await.ok();
    assert_eq!((place.as_array().unwrap().len(), &place[0]["city"]), (1, &json!("Delft")));
    let found = client.get("/search/places?name=delf").await.ok();
    let delft = found.as_array().unwrap().iter().find(|place| place["name"] == "Delft").expect("Delft is a place");
    assert_eq!(delft["admin1name"], "South Holland");
    assert!((delft["latitude"].as_f64().unwrap() - 52.0).abs() < 0.1, "{delft}");
    assert_eq!(client.get("/search/places?name=%20").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(client.get("/map/reverse-geocode?lat=0&lon=-30").await.ok(), json!([]), "in the ocean");
    for wrong in [
        "reverse-geocode?lat=91&lon=0",
        "reverse-geocode?lat=NaN&lon=0",
        "reverse-geocode?lat=1",
        "markers?isFavorite=banana",
        "markers?fileCreatedAfter=-009000-01-01T00:00:00Z",
    ] {
        assert_eq!(client.get(&format!("/map/{wrong}")).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn folders_are_those_of_the_originals() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    assert_eq!(client.get("/view/folder/unique-paths").await.ok(), json!([]));
    let mut ids = Vec::new();
    for (seed, taken) in [(1, "2024:03:15 12:00:00"), (2, "2024:03:16 12:00:00"), (3, "2020:01:15 12:00:00")] {
        ids.push(photo(&client, seed, taken, None).await);
    }
    let folder = async |id: &String| {
        let path = client.get(&format!("/assets/{id}")).await.ok()["originalPath"].as_str().unwrap().to_owned();
        path.rsplit_once('/').unwrap().0.to_owned()
    };
    let mut wanted = Vec::new();
    for id in &ids {
        wanted.push(folder(id).await);
    }
    let last = wanted[2].clone();
    wanted.sort();
    wanted.dedup();
    assert_eq!(client.get("/view/folder/unique-paths").await.ok(), json!(wanted));
    let found = client.get(&format!("/view/folder?path={last}")).await.ok();
    assert_eq!((found.as_array().unwrap().len(), &found[0]["id"]), (1, &json!(ids[2])));
    assert_eq!(bob.get(&format!("/view/folder?path={last}")).await.ok(), json!([]));
    assert_eq!(bob.get("/view/folder/unique-paths").await.ok(), json!([]));
    for wrong in ["", "?path=%00"] {
        assert_eq!(client.get(&format!("/view/folder{wrong}")).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_calendar_counts_days() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    for (seed, taken) in [(1, "2024:03:15 12:00:00"), (2, "2024:03:15 23:59:59"), (3, "2024:04:01 00:00:00")] {
        photo(&client, seed, taken, None).await;
    }
    let taken = client.get("/users/me/calendar-heatmap?type=Taken&from=2024-03-01&to=2024-04-01").await.ok();
    insta::assert_snapshot!(taken, @r#"{"from":"2024-03-01","series":[{"count":2,"date":"2024-03-15"},{"count":1,"date":"2024-04-01"}],"to":"2024-04-01","totalCount":3}"#);
    let uploaded = client.get("/users/me/calendar-heatmap?type=Upload").await.ok();
    assert_eq!(uploaded["totalCount"], 3);
    assert_eq!(bob.get("/users/me/calendar-heatmap?type=Upload").await.ok()["totalCount"], 0);
    for wrong in ["type=Eaten", "from=yesterday", "from=2024-04-02&to=2024-04-01", "from=0001-01-01&to=9999-12-31"] {
        let answer = client.get(&format!("/users/me/calendar-heatmap?{wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn a_better_file_takes_over_what_is_known_of_the_other() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let mut ids = Vec::new();
    for seed in 1..4 {
        ids.push(photo(&client, seed, "2024:03:15 12:00:00", None).await);
    }
    client.put(&format!("/assets/{}", ids[0]), &json!({ "isFavorite": true, "description": "the sea" })).await.ok();
    let stack = client.post("/stacks", &json!({ "assetIds": [ids[0], ids[1]] })).await.ok();
    let body = |favorite| json!({ "sourceId": ids[0], "targetId": ids[2], "favorite": favorite });
    client.put("/assets/copy", &body(false)).await.ok();
    let target = client.get(&format!("/assets/{}", ids[2])).await.ok();
    assert_eq!((&target["isFavorite"], &target["exifInfo"]["description"]), (&json!(false), &json!("the sea")));
    assert_eq!(target["stack"], json!({ "id": stack["id"], "primaryAssetId": ids[2], "assetCount": 3 }));
    client.put("/assets/copy", &body(true)).await.ok();
    assert_eq!(client.get(&format!("/assets/{}", ids[2])).await.ok()["isFavorite"], true);
    let his = bob.uploaded("9.jpg", photos::jpeg(9)).await;
    for (source, wanted) in [(&ids[0], &his), (&his, &ids[0])] {
        let refused = bob.put("/assets/copy", &json!({ "sourceId": source, "targetId": wanted })).await;
        assert_eq!(refused.error(), "400 Not found or no asset.copy access");
    }
    let same = client.put("/assets/copy", &json!({ "sourceId": ids[0], "targetId": ids[0] })).await;
    assert_eq!(same.error(), "400 Source and target id must be distinct");
}

#[tokio::test]
async fn steps_of_single_assets_run_again() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let id = photo(&client, 1, "2024:03:15 12:00:00", None).await;
    let other = photo(&client, 2, "2024:03:15 12:00:00", None).await;
    let store = app.running.gallery.store();
    let raw = app.database.raw().await;
    raw.execute("UPDATE asset SET thumbhash = '\\x00'", &[]).await.unwrap();
    let body = json!({ "assetIds": [id], "name": "regenerate-thumbnail" });
    assert_eq!(bob.post("/assets/jobs", &body).await.error(), "400 Not found or no asset.update access");
    client.post("/assets/jobs", &body).await.ok();
    tests::eventually("the thumbnail is made again", || async {
        let asset = store.asset(id.parse().unwrap()).await.unwrap().unwrap();
        asset.thumbhash.is_some_and(|hash| hash.len() > 1).then_some(())
    })
    .await;
    let untouched = store.asset(other.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(untouched.thumbhash, Some(vec![0]), "and of no other asset");
    for name in ["refresh-metadata", "refresh-faces", "transcode-video"] {
        client.post("/assets/jobs", &json!({ "assetIds": [id], "name": name })).await.ok();
    }
    let wrong = client.post("/assets/jobs", &json!({ "assetIds": [id], "name": "burn" })).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}
