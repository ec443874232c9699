//! The locked folder: a PIN code opens it to one session, for a while.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::{Client, TestApp, photos};
use types::{Clock as _, FixedClock};

async fn unlock(client: &Client, pin: &str) -> String {
    let answer = client.post("/auth/session/unlock", &json!({ "pinCode": pin })).await;
    if answer.status.is_success() { "open".into() } else { answer.error() }
}

/// Every way to a photo: all are closed, or all are open.
async fn is_seen(client: &Client, id: &str) -> bool {
    let mut answers = Vec::new();
    for path in ["", "/original", "/thumbnail", "/thumbnail?size=preview"] {
        let request = client.request(Method::GET, &format!("/assets/{id}{path}"));
        answers.push(request.send().await.unwrap().status().is_success());
    }
    answers.push(client.put(&format!("/assets/{id}"), &json!({ "isFavorite": false })).await.status.is_success());
    answers.push(client.get("/timeline/buckets?visibility=locked").await.status.is_success());
    answers.push(client.get("/assets/statistics?visibility=locked").await.status.is_success());
    answers.push(client.post("/search/metadata", &json!({ "visibility": "locked" })).await.status.is_success());
    assert!(answers.iter().all(|open| *open == answers[0]), "{answers:?}");
    answers[0]
}

#[tokio::test]
async fn what_is_locked_away_is_seen_by_the_session_that_gave_the_pin_code_alone() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let mut phone = client.clone();
    phone.log_in().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    let locked = client.put(&format!("/assets/{id}"), &json!({ "visibility": "locked" })).await.ok();
    assert_eq!(locked["visibility"], "locked");
    assert_eq!(client.timeline().await, Vec::<String>::new());
    assert!(!is_seen(&client, &id).await);
    let delete = client.delete("/assets", &json!({ "ids": [id], "force": true })).await;
    assert_eq!(delete.error(), "400 Not found or no asset.delete access");
    assert_eq!(unlock(&client, "123456").await, "400 User does not have a PIN code");
    client.post("/auth/pin-code", &json!({ "pinCode": "123456" })).await.ok();
    assert_eq!(client.get("/auth/status").await.ok()["pinCode"], true);
    assert_eq!(unlock(&client, "654321").await, "400 Wrong PIN code");
    assert_eq!(unlock(&client, "123456").await, "open");
    let status = client.get("/auth/status").await.ok();
    assert_eq!(status["isElevated"], true);
    assert!(status["pinExpiresAt"].is_string(), "{status}");
    assert!(is_seen(&client, &id).await);
    assert!(!is_seen(&phone, &id).await, "another session of the same user");
    let key = client.post("/api-keys", &json!({ "permissions": ["all"] })).await.ok();
    let by_key = app.anonymous.request(Method::GET, &format!("/assets/{id}"));
    let by_key = app.anonymous.answer(by_key.header("x-api-key", key["secret"].as_str().unwrap())).await;
    assert_eq!(by_key.error(), "400 Not found or no asset.read access");
    client.post("/auth/session/lock", &json!({})).await.ok();
    assert!(!is_seen(&client, &id).await);
    assert_eq!(unlock(&client, "123456").await, "open");
    client.put(&format!("/assets/{id}"), &json!({ "visibility": "timeline" })).await.ok();
    client.post("/auth/session/lock", &json!({})).await.ok();
    assert_eq!(client.timeline().await, [id]);
}

#[tokio::test]
async fn the_folder_closes_after_a_quarter_of_an_hour_unless_somebody_is_in_it() {
    let clock = Arc::new(FixedClock::new(Timestamp::now()));
    let app = TestApp::at(clock.clone(), |_| {}).await;
    let client = app.sign_up().await;
    client.post("/auth/pin-code", &json!({ "pinCode": "123456" })).await.ok();
    let is_open = async || client.get("/auth/status").await.ok()["isElevated"] == true;
    let later = |minutes: i64| clock.set(clock.now() + SignedDuration::from_mins(minutes));
    assert_eq!(unlock(&client, "123456").await, "open");
    later(14);
    assert!(is_open().await, "and that it was asked renews it by five minutes from now on");
    later(4);
    assert!(is_open().await);
    later(4);
    assert!(is_open().await);
    later(6);
    assert!(!is_open().await);
    assert_eq!(unlock(&client, "123456").await, "open");
    later(16);
    assert!(!is_open().await);
}

#[tokio::test]
async fn a_pin_code_is_changed_and_taken_away_by_who_knows_it_or_the_password() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let path = "/auth/pin-code";
    for wrong in ["12345", "1234567", "abcdef", ""] {
        assert_eq!(client.post(path, &json!({ "pinCode": wrong })).await.error(), "400 pinCode must be six digits");
    }
    client.post(path, &json!({ "pinCode": "123456" })).await.ok();
    assert_eq!(client.post(path, &json!({ "pinCode": "123456" })).await.error(), "400 User already has a PIN code");
    assert_eq!(unlock(&client, "123456").await, "open");
    let change = |proof: &str, word: &str| json!({ proof: word, "newPinCode": "222222" });
    assert_eq!(client.put(path, &change("pinCode", "999999")).await.error(), "400 Wrong PIN code");
    assert_eq!(client.put(path, &change("password", "wrong")).await.error(), "400 Wrong password");
    let nothing = client.put(path, &json!({ "newPinCode": "222222" })).await;
    assert_eq!(nothing.error(), "400 Either password or pinCode is required");
    client.put(path, &change("pinCode", "123456")).await.ok();
    assert_eq!(
        client.get("/auth/status").await.ok()["isElevated"],
        false,
        "another code closes what the old one opened"
    );
    assert_eq!(unlock(&client, "123456").await, "400 Wrong PIN code");
    assert_eq!(unlock(&client, "222222").await, "open");
    client.delete(path, &json!({ "password": "correct horse" })).await.ok();
    let status = client.get("/auth/status").await.ok();
    assert_eq!((&status["pinCode"], &status["isElevated"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn guessing_a_pin_code_is_slowed_down() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    client.post("/auth/pin-code", &json!({ "pinCode": "123456" })).await.ok();
    let mut last = StatusCode::OK;
    for guess in 0..12 {
        last = client.post("/auth/session/unlock", &json!({ "pinCode": format!("{guess:06}") })).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(unlock(&client, "123456").await, "429 too many attempts, try again in a minute");
}
