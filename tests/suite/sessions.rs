//! Sessions, passwords and keys of one user.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{Client, TestApp};
use types::{Clock as _, FixedClock};

fn ids(sessions: &Value) -> Vec<&str> {
    sessions.as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_session_made_by_another_ends_with_it() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let body = json!({ "deviceType": "widget", "deviceOS": "iOS" });
    let made = client.post("/sessions", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let child = Client { token: made.body["token"].as_str().map(str::to_owned), ..client.clone() };
    // Widgets put it into the address.
    let by_query = format!("/users/me?sessionKey={}", child.token.as_deref().unwrap());
    assert_eq!(app.anonymous.get(&by_query).await.ok()["email"], "ann@example.org");
    let seen = child.get("/sessions").await.ok();
    assert_eq!(ids(&seen).len(), 2);
    let current: Vec<&Value> = seen.as_array().unwrap().iter().filter(|one| one["current"] == true).collect();
    assert_eq!((current.len(), &current[0]["deviceType"]), (1, &json!("widget")));
    let mut other = client.clone();
    other.log_in().await;
    client.post("/auth/logout", &json!({})).await.ok();
    assert_eq!(child.get("/users/me").await.error(), "401 Invalid user token");
    assert_eq!(ids(&other.get("/sessions").await.ok()).len(), 1);
}

#[tokio::test]
async fn a_session_is_over_when_its_time_has_come() {
    let clock = Arc::new(FixedClock::new(Timestamp::now()));
    let app = TestApp::at(clock.clone(), |_| {}).await;
    let client = app.sign_up().await;
    let made = client.post("/sessions", &json!({ "duration": 60 })).await.ok();
    assert!(made["expiresAt"].is_string());
    let child = Client { token: made["token"].as_str().map(str::to_owned), ..client.clone() };
    child.get("/users/me").await.ok();
    clock.set(clock.now() + SignedDuration::from_secs(61));
    assert_eq!(child.get("/users/me").await.error(), "401 Invalid user token");
    assert_eq!(ids(&client.get("/sessions").await.ok()).len(), 1);
    for wrong in [
        json!({ "duration": 0 }),
        json!({ "duration": -1 }),
        json!({ "duration": 1e300 }),
        json!({ "deviceType": "x".repeat(201) }),
    ] {
        assert_eq!(client.post("/sessions", &wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn one_ends_the_others_and_nobody_those_of_somebody_else() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let mut phone = ann.clone();
    phone.log_in().await;
    let anns = ann.get("/sessions").await.ok();
    for id in ids(&anns) {
        let path = format!("/sessions/{id}");
        assert_eq!(bob.delete(&path, &json!({})).await.error(), "400 Not found or no session.delete access");
        let update = bob.put(&path, &json!({ "isPendingSyncReset": true })).await;
        assert_eq!(update.error(), "400 Not found or no session.update access");
        let lock = bob.post(&format!("{path}/lock"), &json!({})).await;
        assert_eq!(lock.error(), "400 Not found or no session.lock access");
    }
    bob.delete("/sessions", &json!({})).await.ok();
    assert_eq!(ids(&ann.get("/sessions").await.ok()).len(), 2);
    // Signed in on the phone, everything else ends: also the session that made this one.
    let child = phone.post("/sessions", &json!({})).await.ok();
    let child = Client { token: child["token"].as_str().map(str::to_owned), ..ann.clone() };
    child.delete("/sessions", &json!({})).await.ok();
    for ended in [&ann, &phone] {
        assert_eq!(ended.get("/users/me").await.error(), "401 Invalid user token");
    }
    assert_eq!(ids(&child.get("/sessions").await.ok()).len(), 1);
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it_and_ends_other_sessions_where_wanted() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let mut phone = ann.clone();
    phone.log_in().await;
    let change = |old: &str, new: &str, everywhere: bool| json!({ "password": old, "newPassword": new, "invalidateSessions": everywhere });
    let path = "/auth/change-password";
    assert_eq!(ann.post(path, &change("wrong horse", "new horse", true)).await.error(), "400 Wrong password");
    let short = ann.post(path, &change("correct horse", "short", true)).await;
    assert_eq!(short.error(), "400 password must have at least 8 characters");
    ann.post(path, &change("correct horse", "new horse 1", false)).await.ok();
    phone.get("/users/me").await.ok();
    ann.post(path, &change("new horse 1", "new horse 2", true)).await.ok();
    assert_eq!(phone.get("/users/me").await.error(), "401 Invalid user token");
    ann.get("/users/me").await.ok();
    let login = |password: &str| json!({ "email": "ann@example.org", "password": password });
    assert_eq!(app.anonymous.post("/auth/login", &login("correct horse")).await.status, StatusCode::UNAUTHORIZED);
    app.anonymous.post("/auth/login", &login("new horse 2")).await.ok();
    let mut last = StatusCode::OK;
    for _ in 0..12 {
        last = ann.post(path, &change("wrong horse", "new horse", true)).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS, "guessing is slowed down");
}

#[tokio::test]
async fn a_key_is_changed_and_gets_another_secret() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let made = ann.post("/api-keys", &json!({ "name": "x", "permissions": ["user.read"] })).await.ok();
    let path = format!("/api-keys/{}", made["id"].as_str().unwrap());
    let status = async |secret: &Value, path: &str| {
        let request = app.anonymous.request(Method::GET, path).header("x-api-key", secret.as_str().unwrap());
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(&made["secret"], "/users/me").await, 200);
    let changed = ann.put(&path, &json!({ "name": "y", "permissions": ["asset.read"] })).await.ok();
    assert_eq!((&changed["name"], &changed["permissions"]), (&json!("y"), &json!(["asset.read"])));
    assert_eq!(status(&made["secret"], "/users/me").await, 403);
    let rotated = ann.post(&format!("{path}/rotate"), &json!({})).await.ok();
    assert_eq!(status(&made["secret"], "/timeline/buckets").await, 401, "the secret before opens nothing");
    assert_eq!(status(&rotated["secret"], "/timeline/buckets").await, 200);
    assert_eq!(ann.get(&path).await.ok()["name"], "y");
    for answer in
        [bob.get(&path).await, bob.put(&path, &json!({})).await, bob.post(&format!("{path}/rotate"), &json!({})).await]
    {
        assert_eq!(answer.error(), "400 API Key not found");
    }
    for wrong in [json!({ "permissions": [] }), json!({ "permissions": ["nonsense"] }), json!({ "name": "" })] {
        assert_eq!(ann.put(&path, &wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}
