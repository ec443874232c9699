//! Duplicates: photos of one owner that look the same.

use std::io::Cursor;

use gallery::search::EmbeddingSpace;
use image::ImageFormat;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{Client, TestApp, photos};

const UNKNOWN: &str = "01a20b32-903f-7236-a193-63acee4e29e3";

/// What the search plugin would see on a photo: the nearer two angles (in degrees), the more alike.
async fn seen(app: &TestApp, asset: &str, angle: f32) {
    let space = EmbeddingSpace { name: "duplicates@1".into(), dimensions: 2 };
    let (y, x) = angle.to_radians().sin_cos();
    app.running.gallery.search().save_embedding(asset.parse().unwrap(), &space, &[x, y]).await.unwrap();
}

async fn upload(app: &TestApp, client: &Client, seed: u32, angle: f32) -> String {
    let id = client.uploaded(&format!("{seed}.jpg"), photos::jpeg(seed)).await;
    client.processed(&id).await;
    seen(app, &id, angle).await;
    id
}

async fn groups(client: &Client) -> Vec<Vec<String>> {
    let all = client.get("/duplicates").await.ok();
    let ids = |group: &Value| {
        let assets = group["assets"].as_array().unwrap().iter();
        let mut ids: Vec<String> = assets.map(|asset| asset["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    all.as_array().unwrap().iter().map(ids).collect()
}

async fn first(client: &Client) -> String {
    client.get("/duplicates").await.ok()[0]["duplicateId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_looks_the_same_is_one_group_until_its_owner_has_decided() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let one = upload(&app, &client, 1, 0.0).await;
    upload(&app, &client, 2, 60.0).await;
    upload(&app, &bob, 3, 0.0).await;
    assert_eq!(groups(&client).await, Vec::<Vec<String>>::new(), "of two owners, or not alike");
    let (two, three) = (upload(&app, &client, 4, 2.0).await, upload(&app, &client, 5, 4.0).await);
    assert_eq!(groups(&client).await, [[one.clone(), two.clone(), three.clone()]]);
    let group = first(&client).await;
    assert_eq!(client.get(&format!("/assets/{one}")).await.ok()["duplicateId"], json!(group));
    let all = client.get("/duplicates").await.ok();
    let best = all[0]["suggestedKeepAssetIds"].as_array().unwrap();
    assert!(best.len() == 1 && [&one, &two, &three].iter().any(|id| best[0] == json!(id)), "{all}");

    let theirs = bob.delete(&format!("/duplicates/{group}"), &json!({})).await;
    assert_eq!(theirs.error(), "400 Not found or no duplicate.delete access");
    assert_eq!(bob.delete("/duplicates", &json!({ "ids": [group] })).await.error(), theirs.error());
    assert_eq!(client.delete("/duplicates", &json!({ "ids": [group, UNKNOWN] })).await.error(), theirs.error());
    assert_eq!(first(&client).await, group);
    // They are none: not even when they are looked at again. Another one that comes is one of theirs.
    client.delete(&format!("/duplicates/{group}"), &json!({})).await.ok();
    assert_eq!(groups(&client).await, Vec::<Vec<String>>::new());
    seen(&app, &one, 1.0).await;
    assert_eq!(groups(&client).await, Vec::<Vec<String>>::new());
    let four = upload(&app, &client, 6, 3.0).await;
    assert!(groups(&client).await[0].contains(&four));
    let apart = json!({ "ids": [four], "duplicateId": null });
    client.put("/assets", &apart).await.ok();
    assert_eq!(client.get(&format!("/assets/{four}")).await.ok()["duplicateId"], Value::Null);
}

#[tokio::test]
async fn what_is_kept_takes_over_what_is_known_of_what_goes() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let (one, two) = (upload(&app, &client, 1, 0.0).await, upload(&app, &client, 2, 1.0).await);
    let other = upload(&app, &client, 3, 90.0).await;
    let group = first(&client).await;
    client.put(&format!("/assets/{one}"), &json!({ "isFavorite": true })).await.ok();
    let tag = client.put("/tags", &json!({ "tags": ["kept"] })).await.ok()[0]["id"].as_str().unwrap().to_owned();
    client.put(&format!("/tags/{tag}/assets"), &json!({ "ids": [one] })).await.ok();
    let decide = |keep: &[&String], trash: &[&String]| json!({ "groups": [{ "duplicateId": group, "keepAssetIds": keep, "trashAssetIds": trash }] });
    let theirs = bob.post("/duplicates/resolve", &decide(&[&two], &[&one])).await.ok();
    assert_eq!(theirs, json!([{ "id": group, "success": false, "error": "not_found" }]));
    for wrong in [decide(&[&two], &[&one, &other]), decide(&[&one], &[&one])] {
        let refused = client.post("/duplicates/resolve", &wrong).await.ok();
        assert_eq!((&refused[0]["success"], &refused[0]["error"]), (&json!(false), &json!("validation")), "{wrong}");
    }
    assert_eq!(first(&client).await, group);
    let done = client.post("/duplicates/resolve", &decide(&[&two], &[&one])).await.ok();
    assert_eq!(done, json!([{ "id": group, "success": true }]));
    assert_eq!(client.get(&format!("/assets/{one}")).await.ok()["isTrashed"], true);
    let kept = client.get(&format!("/assets/{two}")).await.ok();
    assert_eq!((&kept["isFavorite"], &kept["tags"][0]["value"]), (&json!(true), &json!("kept")));
    assert_eq!((&kept["duplicateId"], &kept["isTrashed"]), (&Value::Null, &json!(false)));
    assert_eq!(client.get("/duplicates").await.ok(), json!([]));
    let body = json!({ "groups": [{ "duplicateId": "nonsense", "keepAssetIds": [], "trashAssetIds": [] }] });
    assert_eq!(client.post("/duplicates/resolve", &body).await.status, StatusCode::BAD_REQUEST);
}

/// With the built-in model: the same picture made smaller is found, but for a few; other pictures of the same kind of thing are
/// not.
#[tokio::test]
async fn finds_duplicates() {
    let app = TestApp::seeing().await;
    let client = app.sign_up().await;
    let folder = photos_folder();
    let (mut pictures, mut copies) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(picture) = image::open(&path) else { continue };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let id = client.uploaded(&name, std::fs::read(&path).unwrap()).await;
        pictures.push((name, id, picture.to_rgb8()));
    }
    for (name, id, picture) in &pictures {
        let (width, height) = picture.dimensions();
        let half = image::imageops::resize(picture, width / 2, height / 2, image::imageops::FilterType::Lanczos3);
        let mut bytes = Cursor::new(Vec::new());
        half.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        copies.push((id, client.uploaded(&format!("half of {name}.jpg"), bytes.into_inner()).await));
    }
    for id in pictures.iter().map(|(_, id, _)| id).chain(copies.iter().map(|(_, copy)| copy)) {
        client.processed(id).await;
    }
    let groups = groups(&client).await;
    let of = |id: &String| groups.iter().position(|group| group.contains(id));
    let missed: Vec<_> = copies.iter().filter(|(id, copy)| of(id).is_none() || of(id) != of(copy)).collect();
    let name = |id: &String| pictures.iter().find(|(_, known, _)| known == id).map(|(name, ..)| name.clone());
    for group in &groups {
        let originals: Vec<String> = group.iter().filter_map(name).collect();
        assert!(originals.len() <= 1, "not the same picture: {originals:?}");
    }
    assert!(missed.len() * 100 <= copies.len() * 15, "missed: {missed:?}");
}

fn photos_folder() -> std::path::PathBuf {
    std::env::var_os("LATENT_PHOTOS").expect("LATENT_PHOTOS names the folder of real photos").into()
}
