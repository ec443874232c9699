//! Edits: what is done to a photo when it is shown.

use image::{GenericImageView as _, Rgb};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{Client, TestApp, photos};

/// Red, green, blue or white: which of the four quarters of [`photos::quarters`] a pixel is of.
fn colour(pixel: &Rgb<u8>) -> &'static str {
    match pixel.0.map(|value| value > 128) {
        [true, false, false] => "red",
        [false, true, false] => "green",
        [false, false, true] => "blue",
        _ => "white",
    }
}

/// The size of a picture, and the colours of its quarters from the top left.
async fn looks(client: &Client, path: &str) -> ((u32, u32), [&'static str; 4]) {
    let picture = image::load_from_memory(&client.bytes(path).await).unwrap();
    let (width, height) = picture.dimensions();
    let picture = picture.to_rgb8();
    let at = |x: u32, y: u32| colour(picture.get_pixel(width * x / 4, height * y / 4));
    ((width, height), [at(1, 1), at(3, 1), at(1, 3), at(3, 3)])
}

const PLAIN: ((u32, u32), [&str; 4]) = ((320, 240), ["red", "green", "blue", "white"]);

#[tokio::test]
async fn a_photo_is_turned_cut_and_mirrored_and_its_original_stays() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("1.jpg", photos::jpeg(0)).await;
    let before = client.processed(&id).await;
    let path = format!("/assets/{id}/edits");
    assert_eq!(client.get(&path).await.ok(), json!({ "assetId": id, "edits": [] }));
    let edits = json!({ "edits": [{ "action": "rotate", "parameters": { "angle": 90 } }] });
    let edited = client.put(&path, &edits).await.ok();
    assert_eq!(edited["edits"][0]["parameters"], json!({ "angle": 90.0 }));
    assert_eq!(client.get(&path).await.ok(), edited);
    let turned = ((240, 320), ["blue", "red", "white", "green"]);
    for size in ["thumbnail?edited=true&size=preview", "original?edited=true"] {
        assert_eq!(looks(&client, &format!("/assets/{id}/{size}")).await, turned, "{size}");
    }
    assert_eq!(looks(&client, &format!("/assets/{id}/thumbnail?edited=true")).await.1, turned.1);
    assert_eq!(looks(&client, &format!("/assets/{id}/thumbnail?edited=true&size=fullsize")).await, turned);
    for size in ["thumbnail?size=preview", "original", "thumbnail?size=preview&edited=false"] {
        assert_eq!(looks(&client, &format!("/assets/{id}/{size}")).await, PLAIN, "{size}");
    }
    let asset = client.get(&format!("/assets/{id}")).await.ok();
    assert_eq!((&asset["isEdited"], &asset["width"], &asset["height"]), (&json!(true), &json!(240), &json!(320)));

    // Others take their place: the left half, of which left and right are then swapped, and so are top and bottom.
    let edits = json!({ "edits": [
        { "action": "crop", "parameters": { "x": 80, "y": 0, "width": 160, "height": 240 } },
        { "action": "mirror", "parameters": { "axis": "horizontal" } },
        { "action": "rotate", "parameters": { "angle": 180 } },
    ] });
    client.put(&path, &edits).await.ok();
    let seen = looks(&client, &format!("/assets/{id}/original?edited=true")).await;
    assert_eq!(seen, ((160, 240), ["blue", "white", "red", "green"]));
    // Thumbnails that are made anew are those of the original, and change nothing of how it looks.
    client.post("/assets/jobs", &json!({ "assetIds": [id], "name": "regenerate-thumbnail" })).await.ok();
    let asset = client.processed(&id).await;
    assert_eq!((&asset["width"], &asset["height"]), (&json!(160), &json!(240)));
    client.delete(&path, &json!({})).await.ok();
    assert_eq!(looks(&client, &format!("/assets/{id}/thumbnail?edited=true&size=preview")).await, PLAIN);
    let after = client.get(&format!("/assets/{id}")).await.ok();
    for field in ["isEdited", "width", "height", "thumbhash"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    tests::eventually("what edits made is gone from the storage", || async {
        app.files().iter().all(|path| !path.contains("edited-")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn edits_that_cannot_be_change_nothing() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let id = client.uploaded("1.jpg", photos::jpeg(0)).await;
    client.processed(&id).await;
    let path = format!("/assets/{id}/edits");
    let turn = json!({ "edits": [{ "action": "rotate", "parameters": { "angle": 90 } }] });
    assert_eq!(bob.put(&path, &turn).await.error(), "400 Not found or no asset.update access");
    assert_eq!(bob.delete(&path, &json!({})).await.error(), "400 Not found or no asset.update access");
    assert_eq!(bob.get(&path).await.error(), "400 Not found or no asset.read access");
    let crop = |x: Value, width: Value| json!([{ "action": "crop", "parameters": { "x": x, "y": 0, "width": width, "height": 10 } }]);
    for wrong in [
        json!([]),
        json!([{ "action": "burn", "parameters": {} }]),
        json!([{ "action": "rotate", "parameters": { "angle": 45 } }]),
        json!([{ "action": "mirror", "parameters": { "axis": "diagonal" } }]),
        crop(json!(0), json!(321)),
        crop(json!(-1), json!(10)),
        crop(json!(4_294_967_295_u32), json!(1)),
        crop(json!(0), json!(0)),
        Value::Array(vec![turn["edits"][0].clone(); 65]),
    ] {
        let answer = client.put(&path, &json!({ "edits": wrong })).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(client.get(&path).await.ok()["edits"], json!([]));
    assert_eq!(client.get(&format!("/assets/{id}")).await.ok()["isEdited"], false);
    assert_eq!(looks(&client, &format!("/assets/{id}/original?edited=true")).await, PLAIN);
}
