//! Memories: made by the server from what was taken on this day of earlier years, and by their owner.

use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::photos::{self, Exif};
use tests::{Client, TestApp};
use types::FixedClock;

const TODAY: &str = "2024-05-17T08:00:00Z";

/// A photo of the day on which the clock stands, of another year.
async fn photo(client: &Client, seed: u32, taken: &'static str) -> String {
    let exif = Exif { taken: Some(taken), ..Exif::default() };
    let id = client.uploaded(&format!("{seed}.jpg"), photos::encoded_jpeg(320, 240, seed, Some(&exif))).await;
    client.processed(&id).await;
    id
}

fn years(memories: &Value) -> Vec<i64> {
    memories.as_array().unwrap().iter().map(|memory| memory["data"]["year"].as_i64().unwrap()).collect()
}

fn ids(memory: &Value) -> Vec<&str> {
    memory["assets"].as_array().unwrap().iter().map(|asset| asset["id"].as_str().unwrap()).collect()
}

/// Memories that are made while photos are looked at.
async fn eventually(client: &Client, query: &str, wanted: &[i64]) -> Value {
    tests::eventually(&format!("memories of {wanted:?}"), || async {
        let found = client.get(&format!("/memories?{query}")).await.ok();
        (years(&found) == wanted).then_some(found)
    })
    .await
}

#[tokio::test]
async fn what_was_taken_on_this_day_is_remembered() {
    let clock = Arc::new(FixedClock::new(TODAY.parse().unwrap()));
    let app = TestApp::at(clock.clone(), |_| {}).await;
    let client = app.sign_up().await;
    let old = photo(&client, 1, "2019:05:17 10:00:00").await;
    let older = photo(&client, 2, "2018:05:17 23:00:00").await;
    photo(&client, 3, "2019:05:19 10:00:00").await;
    let today = "for=2024-05-17T12:00:00.000Z";
    let memories = eventually(&client, today, &[2019, 2018]).await;
    assert_eq!((ids(&memories[0]), ids(&memories[1])), (vec![&*old], vec![&*older]));
    let memory = &memories[0];
    assert_eq!(memory["memoryAt"], "2019-05-17T00:00:00.000Z");
    assert_eq!(
        (&memory["showAt"], &memory["hideAt"]),
        (&json!("2024-05-17T00:00:00.000Z"), &json!("2024-05-17T23:59:59.999Z"))
    );
    let late = photo(&client, 4, "2019:05:17 11:00:00").await;
    let id = memory["id"].as_str().unwrap();
    tests::eventually("a photo that comes late is in it", || async {
        let memory = client.get(&format!("/memories/{id}")).await.ok();
        (ids(&memory) == [&*old, &*late]).then_some(())
    })
    .await;
    assert_eq!(client.get("/memories/statistics").await.ok()["total"], 2);

    // One that was deleted does not come back, with whatever photo.
    let gone = memories[1]["id"].as_str().unwrap();
    client.delete(&format!("/memories/{gone}"), &json!({})).await.ok();
    photo(&client, 5, "2018:05:17 12:00:00").await;
    assert_eq!(years(&client.get(&format!("/memories?{today}")).await.ok()), [2019]);

    // The next day: before it comes, and whoever saved theirs still has it after a month.
    client.put(&format!("/memories/{id}"), &json!({ "isSaved": true, "seenAt": TODAY })).await.ok();
    clock.set("2024-05-18T00:10:00Z".parse().unwrap());
    let app = app.restart().await;
    let client = Client { url: app.anonymous.url.clone(), ..client };
    eventually(&client, "for=2024-05-19", &[2019]).await;
    clock.set("2024-06-30T00:10:00Z".parse().unwrap());
    let app = app.restart().await;
    let client = Client { url: app.anonymous.url.clone(), ..client };
    let left = eventually(&client, "", &[2019]).await;
    assert_eq!(
        (&left[0]["id"], &left[0]["isSaved"], &left[0]["seenAt"]),
        (&json!(id), &json!(true), &json!("2024-05-17T08:00:00.000Z"))
    );
}

#[tokio::test]
async fn an_owner_makes_changes_and_searches_memories() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let (one, two) = (client.uploaded("1.jpg", photos::jpeg(1)).await, client.uploaded("2.jpg", photos::jpeg(2)).await);
    let his = bob.uploaded("3.jpg", photos::jpeg(3)).await;
    let body = json!({
        "type": "on_this_day", "data": { "year": 2020 }, "memoryAt": "2020-02-29T00:00:00.000Z",
        "showAt": "2024-02-29T00:00:00.000Z", "hideAt": "2024-02-29T23:59:59.999Z", "assetIds": [one, his],
    });
    let made = client.post("/memories", &body).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(ids(&made.body), [&*one], "what is another's is left out");
    let id = made.body["id"].as_str().unwrap().to_owned();
    let added = client.put(&format!("/memories/{id}/assets"), &json!({ "ids": [one, two, his] })).await.ok();
    assert_eq!(
        added,
        json!([
            { "id": one, "success": false, "error": "duplicate" },
            { "id": two, "success": true },
            { "id": his, "success": false, "error": "no_permission" },
        ])
    );
    let taken = client.delete(&format!("/memories/{id}/assets"), &json!({ "ids": [one] })).await.ok();
    assert_eq!(taken, json!([{ "id": one, "success": true }]));
    let again = client.delete(&format!("/memories/{id}/assets"), &json!({ "ids": [one] })).await.ok();
    assert_eq!(again[0]["error"], "not_found");
    assert_eq!(ids(&client.get(&format!("/memories/{id}")).await.ok()), [&*two]);

    let count = async |query: &str| client.get(&format!("/memories/statistics?{query}")).await.ok()["total"].clone();
    assert_eq!(count("for=2024-02-29T08:00:00.000Z&type=on_this_day").await, 1);
    assert_eq!(count("for=2024-03-01").await, 0);
    assert_eq!(count("isSaved=true").await, 0);
    assert_eq!(count("isUpcoming=false").await, 1);
    assert_eq!(count("isTrashed=true").await, 0);
    assert_eq!(count(&format!("id={id}")).await, 1);
    assert_eq!(client.get("/memories?page=2&size=1&order=random").await.ok(), json!([]));

    for (refused, why) in [
        (bob.get(&format!("/memories/{id}")).await, "memory.read"),
        (bob.put(&format!("/memories/{id}"), &json!({ "isSaved": true })).await, "memory.update"),
        (bob.delete(&format!("/memories/{id}"), &json!({})).await, "memory.delete"),
        (bob.put(&format!("/memories/{id}/assets"), &json!({ "ids": [his] })).await, "memory.read"),
        (bob.delete(&format!("/memories/{id}/assets"), &json!({ "ids": [two] })).await, "memory.update"),
    ] {
        assert_eq!(refused.error(), format!("400 Not found or no {why} access"));
    }
    let with = |field: &str, value: Value| {
        let mut body = body.clone();
        body[field] = value;
        body
    };
    for wrong in [
        with("type", json!("birthday")),
        with("data", json!({ "year": 0 })),
        with("data", json!({})),
        with("memoryAt", json!("-000044-03-15T12:00:00Z")),
        with("assetIds", json!(["nonsense"])),
    ] {
        assert_eq!(client.post("/memories", &wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    for wrong in ["for=yesterday", "page=0", "size=0", "order=sideways", "id=nonsense"] {
        assert_eq!(client.get(&format!("/memories?{wrong}")).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    client.delete(&format!("/memories/{id}"), &json!({})).await.ok();
    assert_eq!(client.get("/memories").await.ok(), json!([]));
    client.get(&format!("/assets/{two}")).await.ok();
}
