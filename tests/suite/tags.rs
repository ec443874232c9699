//! Tags: words in a tree, and the assets that have them.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{Client, TestApp, photos};

fn values(tags: &Value) -> Vec<&str> {
    tags.as_array().unwrap().iter().map(|tag| tag["value"].as_str().unwrap()).collect()
}

async fn upsert(client: &Client, value: &str) -> String {
    client.put("/tags", &json!({ "tags": [value] })).await.ok()[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_path_makes_all_its_tags_and_finds_what_has_one_below() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let (one, two) = (client.uploaded("1.jpg", photos::jpeg(1)).await, client.uploaded("2.jpg", photos::jpeg(2)).await);
    for id in [&one, &two] {
        client.processed(id).await;
    }
    let made = client.put("/tags", &json!({ "tags": ["holiday/2024/beach", " holiday / 2024 ", "dogs"] })).await.ok();
    assert_eq!(values(&made), ["holiday/2024/beach", "holiday/2024", "dogs"]);
    let all = client.get("/tags").await.ok();
    assert_eq!(values(&all), ["dogs", "holiday", "holiday/2024", "holiday/2024/beach"]);
    assert_eq!(made[0]["name"], "beach");
    assert_eq!(made[0]["parentId"], made[1]["id"]);
    assert_eq!(client.put("/tags", &json!({ "tags": ["holiday/2024"] })).await.ok()[0]["id"], made[1]["id"]);
    let (beach, year) = (made[0]["id"].as_str().unwrap(), made[1]["id"].as_str().unwrap());
    let dogs = made[2]["id"].as_str().unwrap();

    let tagged = client.put(&format!("/tags/{beach}/assets"), &json!({ "ids": [one] })).await.ok();
    assert_eq!(tagged, json!([{ "id": one, "success": true }]));
    let again = client.put(&format!("/tags/{beach}/assets"), &json!({ "ids": [one] })).await.ok();
    assert_eq!(again, json!([{ "id": one, "success": false, "error": "duplicate" }]));
    let bulk = json!({ "tagIds": [dogs, beach], "assetIds": [one, two] });
    assert_eq!(client.put("/tags/assets", &bulk).await.ok(), json!({ "count": 3 }));
    let asset = client.get(&format!("/assets/{one}")).await.ok();
    assert_eq!(values(&asset["tags"]), ["dogs", "holiday/2024/beach"]);
    let gone = client.delete(&format!("/tags/{dogs}/assets"), &json!({ "ids": [two] })).await.ok();
    assert_eq!(gone, json!([{ "id": two, "success": true }]));
    let gone = client.delete(&format!("/tags/{dogs}/assets"), &json!({ "ids": [two] })).await.ok();
    assert_eq!(gone, json!([{ "id": two, "success": false, "error": "not_found" }]));

    let found = async |tags: Value| {
        let found = client.post("/search/statistics", &json!({ "tagIds": tags })).await.ok();
        found["total"].as_i64().unwrap()
    };
    assert_eq!(found(json!([year])).await, 2, "below it");
    assert_eq!(found(json!([year, dogs])).await, 1, "both");
    assert_eq!(found(Value::Null).await, 0, "without any");
    client.delete(&format!("/tags/{beach}/assets"), &json!({ "ids": [two] })).await.ok();
    assert_eq!(found(Value::Null).await, 1);
    let buckets = client.get(&format!("/timeline/buckets?tagId={year}")).await.ok();
    assert_eq!(buckets, json!([{ "timeBucket": "2024-03-01", "count": 1 }]));
    let bucket = client.get(&format!("/timeline/bucket?timeBucket=2024-03-01&tagId={year}")).await.ok();
    assert_eq!(bucket["id"], json!([one]));
}

#[tokio::test]
async fn a_tag_is_renamed_with_all_below_and_goes_with_them() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let parent = client.post("/tags", &json!({ "name": "trips", "color": "#FF8800" })).await;
    assert_eq!(parent.status, StatusCode::CREATED);
    assert_eq!(parent.body["color"], "#ff8800");
    let id = parent.body["id"].as_str().unwrap();
    let child = client.post("/tags", &json!({ "name": "norway", "parentId": id })).await.ok();
    assert_eq!((&child["value"], &child["parentId"]), (&json!("trips/norway"), &json!(id)));
    let twice = client.post("/tags", &json!({ "name": "norway", "parentId": id })).await;
    assert_eq!(twice.error(), "400 A tag with that name already exists");
    upsert(&client, "trips/norway/north").await;
    upsert(&client, "trip").await;
    let renamed = client.put(&format!("/tags/{id}"), &json!({ "name": "travels", "color": null })).await.ok();
    assert_eq!((&renamed["name"], &renamed["color"]), (&json!("travels"), &Value::Null));
    let all = client.get("/tags").await.ok();
    assert_eq!(values(&all), ["travels", "travels/norway", "travels/norway/north", "trip"]);
    let taken = client.put(&format!("/tags/{id}"), &json!({ "name": "trip" })).await;
    assert_eq!(taken.error(), "400 A tag with that name already exists");
    assert_eq!(client.get(&format!("/tags/{id}")).await.ok()["value"], "travels");
    client.delete(&format!("/tags/{id}"), &json!({})).await.ok();
    assert_eq!(values(&client.get("/tags").await.ok()), ["trip"]);
}

#[tokio::test]
async fn others_see_and_give_no_tag_of_somebodys() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let (hers, his) = (client.uploaded("1.jpg", photos::jpeg(1)).await, bob.uploaded("2.jpg", photos::jpeg(2)).await);
    let (tag, own) = (upsert(&client, "secret").await, upsert(&bob, "secret").await);
    assert_ne!(tag, own, "each has their own");
    for (refused, why) in [
        (bob.get(&format!("/tags/{tag}")).await, "tag.read"),
        (bob.put(&format!("/tags/{tag}"), &json!({ "name": "x" })).await, "tag.update"),
        (bob.delete(&format!("/tags/{tag}"), &json!({})).await, "tag.delete"),
        (bob.put(&format!("/tags/{tag}/assets"), &json!({ "ids": [his] })).await, "tag.asset"),
        (bob.delete(&format!("/tags/{tag}/assets"), &json!({ "ids": [hers] })).await, "tag.asset"),
        (bob.post("/tags", &json!({ "name": "x", "parentId": tag })).await, "tag.read"),
    ] {
        assert_eq!(refused.error(), format!("400 Not found or no {why} access"));
    }
    let given = bob.put(&format!("/tags/{own}/assets"), &json!({ "ids": [hers, his] })).await.ok();
    assert_eq!(given[0], json!({ "id": hers, "success": false, "error": "no_permission" }));
    assert_eq!(given[1]["success"], true);
    let bulk = json!({ "tagIds": [tag, own], "assetIds": [hers, his] });
    assert_eq!(bob.put("/tags/assets", &bulk).await.ok()["count"], 0);
    assert_eq!(bob.post("/search/statistics", &json!({ "tagIds": [tag] })).await.ok()["total"], 0);
    assert_eq!(client.get(&format!("/assets/{hers}")).await.ok()["tags"], json!([]));
    let deep = vec!["a"; 40].join("/");
    for wrong in [json!([""]), json!(["/"]), json!(["x".repeat(1_001)]), json!([deep])] {
        assert_eq!(bob.put("/tags", &json!({ "tags": wrong })).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    for wrong in [json!({ "name": "a/b" }), json!({ "name": " " }), json!({ "name": "x", "color": "blue" })] {
        assert_eq!(bob.post("/tags", &wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}
