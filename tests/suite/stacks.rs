//! Stacks: several takes of one moment, shown as one of them.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{Client, TestApp, photos};

const UNKNOWN: &str = "01a20b32-903f-7236-a193-63acee4e29e3";

async fn uploads(client: &Client, seeds: std::ops::Range<u32>) -> Vec<String> {
    let mut ids = Vec::new();
    for seed in seeds {
        let id = client.uploaded(&format!("{seed}.jpg"), photos::jpeg(seed)).await;
        client.processed(&id).await;
        ids.push(id);
    }
    ids
}

async fn stack(client: &Client, ids: &[&String]) -> String {
    let stack = client.post("/stacks", &json!({ "assetIds": ids })).await;
    assert_eq!(stack.status, StatusCode::CREATED);
    stack.body["id"].as_str().unwrap().to_owned()
}

fn ids(stack: &Value) -> Vec<&str> {
    stack["assets"].as_array().unwrap().iter().map(|asset| asset["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn one_stands_for_the_others_where_that_is_asked_for() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let photos = uploads(&client, 1..4).await;
    let id = stack(&client, &[&photos[1], &photos[0]]).await;
    let asset = client.get(&format!("/assets/{}", photos[0])).await.ok();
    assert_eq!(asset["stack"], json!({ "id": id, "primaryAssetId": photos[1], "assetCount": 2 }));
    let count = async |query: &str| client.get(&format!("/timeline/buckets?{query}")).await.ok()[0]["count"].clone();
    assert_eq!((count("").await, count("withStacked=true").await), (json!(3), json!(2)));
    let bucket = client.get("/timeline/bucket?timeBucket=2024-03-01&withStacked=true").await.ok();
    let shown: Vec<&Value> = bucket["id"].as_array().unwrap().iter().collect();
    assert!(shown.contains(&&json!(photos[1])) && !shown.contains(&&json!(photos[0])), "{bucket}");
    let at = shown.iter().position(|shown| **shown == json!(photos[1])).unwrap();
    assert_eq!(bucket["stack"][at], json!([id, "2"]));
    assert_eq!(bucket["stack"][1 - at], Value::Null);
    let found = client.post("/search/metadata", &json!({ "id": photos[0], "withStacked": true })).await.ok();
    assert_eq!(found["assets"]["items"][0]["stack"]["id"], json!(id));

    // The one that is shown goes into the trash: another one is shown.
    client.delete("/assets", &json!({ "ids": [photos[1]] })).await.ok();
    let left = client.get(&format!("/stacks/{id}")).await.ok();
    assert_eq!((left["primaryAssetId"].as_str(), ids(&left)), (Some(&*photos[0]), vec![&*photos[0]]));
    assert_eq!(count("withStacked=true").await, 2);
    // It goes for ever: of one nothing is stacked.
    client.delete("/assets", &json!({ "ids": [photos[1]], "force": true })).await.ok();
    assert_eq!(client.get(&format!("/stacks/{id}")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(client.get(&format!("/assets/{}", photos[0])).await.ok()["stack"], Value::Null);
}

#[tokio::test]
async fn a_stack_is_made_changed_and_taken_apart() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let photos = uploads(&client, 1..6).await;
    let one = stack(&client, &[&photos[0], &photos[1]]).await;
    // A stack whose shown photo is named comes along as a whole.
    let two = stack(&client, &[&photos[2], &photos[0]]).await;
    let whole = client.get(&format!("/stacks/{two}")).await.ok();
    assert_eq!(ids(&whole), [&*photos[2], &*photos[0], &*photos[1]]);
    assert_eq!(client.get(&format!("/stacks/{one}")).await.status, StatusCode::BAD_REQUEST);
    let changed = client.put(&format!("/stacks/{two}"), &json!({ "primaryAssetId": photos[1] })).await.ok();
    assert_eq!(changed["primaryAssetId"], json!(photos[1]));
    let other = client.put(&format!("/stacks/{two}"), &json!({ "primaryAssetId": photos[4] })).await;
    assert_eq!(other.error(), "400 Primary asset must be in the stack");
    let shown = client.delete(&format!("/stacks/{two}/assets/{}", photos[1]), &json!({})).await;
    assert_eq!(shown.error(), "400 Cannot remove the primary asset of a stack");
    client.delete(&format!("/stacks/{two}/assets/{}", photos[0]), &json!({})).await.ok();
    assert_eq!(client.get(&format!("/assets/{}", photos[0])).await.ok()["stack"], Value::Null);
    let three = stack(&client, &[&photos[3], &photos[4]]).await;
    let all = client.get("/stacks").await.ok();
    assert_eq!(all.as_array().unwrap().len(), 2);
    let found = client.get(&format!("/stacks?primaryAssetId={}", photos[3])).await.ok();
    assert_eq!((found.as_array().unwrap().len(), &found[0]["id"]), (1, &json!(three)));
    let half = client.delete("/stacks", &json!({ "ids": [three, UNKNOWN] })).await;
    assert_eq!(half.error(), "400 Not found or no stack.delete access");
    assert_eq!(client.get("/stacks").await.ok(), all, "an id that is not theirs deletes nothing");
    client.delete("/stacks", &json!({ "ids": [three] })).await.ok();
    client.delete(&format!("/stacks/{two}"), &json!({})).await.ok();
    assert_eq!(client.get("/stacks").await.ok(), json!([]));
    assert_eq!(client.timeline().await.len(), 5, "the photos stay");
}

#[tokio::test]
async fn others_stack_nothing_of_somebodys() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let (hers, his) = (uploads(&client, 1..3).await, uploads(&bob, 3..5).await);
    let id = stack(&client, &[&hers[0], &hers[1]]).await;
    let mixed = bob.post("/stacks", &json!({ "assetIds": [his[0], hers[0]] })).await;
    assert_eq!(mixed.error(), "400 Not found or no asset.update access");
    for (refused, why) in [
        (bob.get(&format!("/stacks/{id}")).await, "stack.read"),
        (bob.put(&format!("/stacks/{id}"), &json!({ "primaryAssetId": hers[1] })).await, "stack.update"),
        (bob.delete(&format!("/stacks/{id}"), &json!({})).await, "stack.delete"),
        (bob.delete(&format!("/stacks/{id}/assets/{}", hers[1]), &json!({})).await, "stack.update"),
    ] {
        assert_eq!(refused.error(), format!("400 Not found or no {why} access"));
    }
    assert_eq!(bob.get("/stacks").await.ok(), json!([]));
    for wrong in [json!([]), json!([his[0]]), json!([his[0], his[0]]), json!(["nonsense", his[0]])] {
        let answer = bob.post("/stacks", &json!({ "assetIds": wrong })).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(ids(&client.get(&format!("/stacks/{id}")).await.ok()), [&*hers[0], &*hers[1]]);
}
