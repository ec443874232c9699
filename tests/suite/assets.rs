//! Looking at assets, changing them, and what becomes of deleted ones.

use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::{TestApp, photos};

const UNKNOWN: &str = "01a20b32-903f-7236-a193-63acee4e29e3";

#[tokio::test]
async fn gives_ranges_of_the_original() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bytes = photos::jpeg(1);
    let id = client.uploaded("a.jpg", bytes.clone()).await;
    let get = |range: &str| {
        let request = client.request(Method::GET, &format!("/assets/{id}/original")).header("range", range);
        async move { request.send().await.unwrap() }
    };
    let part = get("bytes=10-19").await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], format!("bytes 10-19/{}", bytes.len()));
    assert_eq!(part.bytes().await.unwrap(), bytes[10..20]);
    let end = get("bytes=-5").await;
    assert_eq!(end.bytes().await.unwrap(), bytes[bytes.len() - 5..]);
    let open = get("bytes=100-").await;
    assert_eq!(open.bytes().await.unwrap(), bytes[100..]);
    assert_eq!(get("bytes=9999999-").await.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let whole = get("lines=1-2").await;
    assert_eq!(whole.status(), StatusCode::OK, "an unknown unit is ignored");
    assert_eq!(whole.headers()["content-type"], "image/jpeg");
}

#[tokio::test]
async fn an_unchanged_thumbnail_is_not_sent_again() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    let path = format!("/assets/{id}/thumbnail?size=preview");
    let first = client.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(first.headers()["content-type"], "image/jpeg");
    let tag = first.headers()["etag"].clone();
    let second = client.request(Method::GET, &path).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
    assert!(second.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_unknown_id_a_malformed_id_and_an_unknown_route_answer_in_one_shape() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let unknown = client.get(&format!("/assets/{UNKNOWN}")).await;
    assert_eq!(unknown.error(), "400 Not found or no asset.read access");
    let malformed = client.get("/assets/7").await;
    assert_eq!(malformed.status, StatusCode::BAD_REQUEST);
    assert!(malformed.body["message"].is_string());
    let route = client.get("/nothing").await;
    assert_eq!(route.error(), "404 Cannot GET /api/nothing");
}

#[tokio::test]
async fn another_user_sees_nothing_of_ours() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    for path in ["", "/original", "/thumbnail", "/thumbnail?size=preview"] {
        let answer = bob.get(&format!("/assets/{id}{path}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.body);
    }
    assert_eq!(bob.timeline().await, Vec::<String>::new());
    let delete = bob.delete("/assets", &json!({ "ids": [id], "force": true })).await;
    assert_eq!(delete.status, StatusCode::BAD_REQUEST);
    assert_eq!(bob.put(&format!("/assets/{id}"), &json!({ "isFavorite": true })).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(client.timeline().await, [id]);
}

#[tokio::test]
async fn the_trash_gives_back_and_empties_for_ever() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let ids = [client.uploaded("a.jpg", photos::jpeg(1)).await, client.uploaded("b.jpg", photos::jpeg(2)).await];
    for id in &ids {
        client.processed(id).await;
    }
    client.delete("/assets", &json!({ "ids": ids })).await.ok();
    assert_eq!(client.timeline().await.len(), 0);
    assert_eq!(client.get(&format!("/assets/{}", ids[0])).await.ok()["isTrashed"], true);
    client.post("/trash/restore/assets", &json!({ "ids": [ids[0]] })).await.ok();
    assert_eq!(client.timeline().await, [ids[0].clone()]);
    assert_eq!(client.post("/trash/empty", &json!({})).await.ok(), json!({ "count": 1 }));
    assert_eq!(client.get(&format!("/assets/{}", ids[1])).await.status, StatusCode::BAD_REQUEST);
    let left = app.files();
    assert_eq!(left.len(), 3, "an original and its two derivatives: {left:?}");
    let usage = client.get("/users/me").await.ok()["quotaUsageInBytes"].as_u64().unwrap();
    assert_eq!(usage, photos::jpeg(1).len() as u64);
}

#[tokio::test]
async fn a_photo_deleted_for_ever_can_be_uploaded_again() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let first = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.delete("/assets", &json!({ "ids": [first], "force": true })).await.ok();
    assert_eq!(app.files().iter().filter(|path| path.starts_with("library/")).count(), 0);
    let second = client.uploaded("a.jpg", photos::jpeg(1)).await;
    assert_ne!(first, second);
    assert_eq!(client.bytes(&format!("/assets/{second}/original")).await, photos::jpeg(1));
}

#[tokio::test]
async fn changes_are_kept_and_impossible_ones_refused() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    let path = format!("/assets/{id}");
    let changed =
        client.put(&path, &json!({ "isFavorite": true, "description": "Ein Strand", "rating": 4 })).await.ok();
    assert_eq!(changed["isFavorite"], true);
    assert_eq!(changed["exifInfo"]["description"], "Ein Strand");
    assert_eq!(changed["exifInfo"]["rating"], 4);
    assert_eq!(client.put(&path, &json!({ "rating": 9 })).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(client.put(&path, &json!({ "visibility": "archive" })).await.ok()["isArchived"], true);
    assert_eq!(client.timeline().await.len(), 0, "what is archived is not in the timeline");
}
