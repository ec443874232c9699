//! What clients keep with an asset.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{Client, TestApp, photos};

fn pairs(entries: &Value) -> Value {
    entries.as_array().unwrap().iter().map(|entry| json!([entry["key"], entry["value"]])).collect()
}

#[tokio::test]
async fn a_client_keeps_what_it_likes_with_an_asset() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let sent = json!([{ "key": "mobile-app", "value": { "iCloudId": "x" } }]);
    let form = Client::form("1.jpg", photos::jpeg(1)).text("metadata", sent.to_string());
    let id = client.upload_form(form).await.ok()["id"].as_str().unwrap().to_owned();
    let path = format!("/assets/{id}/metadata");
    assert_eq!(pairs(&client.get(&path).await.ok()), json!([["mobile-app", { "iCloudId": "x" }]]));
    let items = json!({ "items": [{ "key": "b", "value": { "n": 1 } }, { "key": "a", "value": {} }] });
    assert_eq!(pairs(&client.put(&path, &items).await.ok()), json!([["b", { "n": 1 }], ["a", {}]]));
    let changed = json!({ "items": [{ "assetId": id, "key": "b", "value": { "n": 2 } }] });
    assert_eq!(client.put("/assets/metadata", &changed).await.ok()[0]["assetId"], json!(id));
    assert_eq!(client.get(&format!("{path}/b")).await.ok()["value"], json!({ "n": 2 }));
    client.delete(&format!("{path}/a"), &json!({})).await.ok();
    let bulk = json!({ "items": [{ "assetId": id, "key": "mobile-app" }, { "assetId": id, "key": "never" }] });
    client.delete("/assets/metadata", &bulk).await.ok();
    assert_eq!(pairs(&client.get(&path).await.ok()), json!([["b", { "n": 2 }]]));
    assert_eq!(client.get(&format!("{path}/a")).await.error(), "400 Asset metadata \"a\" not found");

    let his = bob.uploaded("2.jpg", photos::jpeg(2)).await;
    let both = json!({ "items": [
        { "assetId": his, "key": "b", "value": {} }, { "assetId": id, "key": "b", "value": {} },
    ] });
    for (refused, why) in [
        (bob.get(&path).await, "asset.read"),
        (bob.get(&format!("{path}/b")).await, "asset.read"),
        (bob.put(&path, &items).await, "asset.update"),
        (bob.put(&path, &json!({ "items": [] })).await, "asset.read"),
        (bob.delete(&format!("{path}/b"), &json!({})).await, "asset.update"),
        (bob.put("/assets/metadata", &both).await, "asset.update"),
        (bob.delete("/assets/metadata", &both).await, "asset.update"),
    ] {
        assert_eq!(refused.error(), format!("400 Not found or no {why} access"));
    }
    assert_eq!(bob.get(&format!("/assets/{his}/metadata")).await.ok(), json!([]), "all or none");
    assert_eq!(pairs(&client.get(&path).await.ok()), json!([["b", { "n": 2 }]]));
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("1.jpg", photos::jpeg(1)).await;
    let path = format!("/assets/{id}/metadata");
    for wrong in [
        json!([{ "key": "", "value": {} }]),
        json!([{ "key": "x".repeat(256), "value": {} }]),
        json!([{ "key": "a", "value": 1 }]),
        json!([{ "key": "a", "value": { "x": "\u{0}" } }]),
        json!([{ "key": "a", "value": {} }, { "key": "a", "value": {} }]),
    ] {
        let answer = client.put(&path, &json!({ "items": wrong })).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        let form = Client::form("2.jpg", photos::jpeg(2)).text("metadata", wrong.to_string());
        assert_eq!(client.upload_form(form).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let form = Client::form("2.jpg", photos::jpeg(2)).text("metadata", "no json");
    assert_eq!(client.upload_form(form).await.status, StatusCode::BAD_REQUEST);
    let nul = client.get(&format!("{path}/a%00b")).await;
    assert_eq!(nul.status, StatusCode::BAD_REQUEST);
    assert_eq!(client.get(&path).await.ok(), json!([]));
    assert_eq!(client.timeline().await, [id], "nothing was uploaded");
}
