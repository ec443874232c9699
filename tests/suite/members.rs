//! Accounts as an administrator manages them: making, changing, deleting, restoring; quotas; and that nothing of somebody stays.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{Client, TestApp, eventually, photos};
use types::{Clock as _, FixedClock};

/// Made by Ann, and signed in.
async fn member(app: &TestApp, ann: &Client, name: &str, more: Value) -> Client {
    let email = format!("{}@example.org", name.to_lowercase());
    let mut account = json!({ "email": email, "name": name, "password": "correct horse" });
    account.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ann.post("/admin/users", &account).await.ok();
    let mut client = app.anonymous.clone();
    client.log_in_as(&email).await;
    client
}

#[tokio::test]
async fn an_account_is_made_changed_and_signed_in_to() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let made = json!({
        "email": "bob@example.org", "name": "Bob", "password": "correct horse", "storageLabel": "bob",
        "quotaSizeInBytes": 1_000_000, "avatarColor": "blue",
    });
    let made = ann.post("/admin/users", &made).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let id = made.body["id"].as_str().unwrap().to_owned();
    assert_eq!((&made.body["shouldChangePassword"], &made.body["status"]), (&json!(true), &json!("active")));
    let mut bob = app.anonymous.clone();
    bob.log_in_as("bob@example.org").await;
    let id_photo = bob.uploaded("a.jpg", photos::jpeg(1)).await;
    assert!(bob.get(&format!("/assets/{id_photo}")).await.ok()["originalPath"].as_str().unwrap().contains("/bob/"));
    let changes = json!({ "name": "Robert", "quotaSizeInBytes": null, "isAdmin": true, "storageLabel": "" });
    let changed = ann.put(&format!("/admin/users/{id}"), &changes).await.ok();
    assert_eq!(
        (&changed["name"], &changed["quotaSizeInBytes"], &changed["isAdmin"], &changed["storageLabel"]),
        (&json!("Robert"), &Value::Null, &json!(true), &Value::Null)
    );
    assert_eq!(bob.get("/admin/users").await.ok().as_array().unwrap().len(), 2, "he is an administrator now");
    let other = ann.put(&format!("/admin/users/{id}"), &json!({ "password": "another horse" })).await;
    other.ok();
    assert_eq!(bob.get("/users/me").await.error(), "401 Invalid user token", "a new password ends his sessions");
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = member(&app, &ann, "Bob", json!({ "storageLabel": "bob" })).await;
    let account = |changes: Value| {
        let mut account = json!({ "email": "x@example.org", "name": "X", "password": "correct horse" });
        account.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        account
    };
    for (changes, said) in [
        (json!({ "email": "BOB@example.org" }), "400 Email already in use by another account"),
        (json!({ "storageLabel": "bob" }), "400 Storage label already in use by another account"),
        (json!({ "quotaSizeInBytes": -1 }), "400 quotaSizeInBytes must not be negative"),
        (json!({ "pinCode": "12" }), "400 pinCode must be six digits"),
        (json!({ "password": "short" }), "400 password must have at least 8 characters"),
    ] {
        assert_eq!(ann.post("/admin/users", &account(changes.clone())).await.error(), said);
        let bobs = format!("/admin/users/{}", ann.user_id);
        if !changes["storageLabel"].is_null() || !changes["email"].is_null() {
            assert_eq!(ann.put(&bobs, &changes).await.error(), said);
        }
    }
    for label in ["../up", "a/b", ".hidden", "a b"] {
        let answer = ann.post("/admin/users", &account(json!({ "storageLabel": label }))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{label}");
    }
    let own = format!("/admin/users/{}", ann.user_id);
    assert_eq!(ann.delete(&own, &json!({})).await.error(), "403 You cannot delete your own account");
    let resign = ann.put(&own, &json!({ "isAdmin": false })).await;
    assert_eq!(resign.error(), "400 Admin status can only be changed by another admin");
    let unknown = "/admin/users/01a20b32-903f-7236-a193-63acee4e29e3";
    for answer in [ann.get(unknown).await, ann.put(unknown, &json!({})).await, ann.delete(unknown, &json!({})).await] {
        assert_eq!(answer.error(), "400 User not found");
    }
    assert_eq!(bob.get(unknown).await.error(), "403 Forbidden");
}

#[tokio::test]
async fn a_quota_holds_however_many_uploads_come_at_once() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let one = photos::jpeg(1);
    let room = one.len() as u64 * 5 / 2;
    let bob = member(&app, &ann, "Bob", json!({ "quotaSizeInBytes": room })).await;
    let uploads = (1..=6).map(|seed| {
        let bob = bob.clone();
        async move { bob.upload(&format!("{seed}.jpg"), photos::jpeg(seed)).await }
    });
    let answers = futures::future::join_all(uploads).await;
    let kept = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    assert!(kept >= 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::CREATED) {
        assert_eq!(answer.error(), "400 Quota has been exceeded!");
    }
    let me = bob.get("/users/me").await.ok();
    assert!(me["quotaUsageInBytes"].as_u64().unwrap() <= room, "{me}");
    let assets = bob.get("/assets/statistics").await.ok();
    assert_eq!(assets["total"], kept);
    let stats = ann.get(&format!("/admin/users/{}/statistics", bob.user_id)).await.ok();
    assert_eq!(stats, assets);
}

#[tokio::test]
async fn who_is_deleted_may_be_restored_for_a_week_and_is_gone_after_that() {
    let clock = Arc::new(FixedClock::new(Timestamp::now()));
    let app = TestApp::at(clock.clone(), |_| {}).await;
    let ann = app.sign_up().await;
    let bob = member(&app, &ann, "Bob", json!({})).await;
    let photo = bob.uploaded("a.jpg", photos::jpeg(1)).await;
    bob.processed(&photo).await;
    let path = format!("/admin/users/{}", bob.user_id);
    let deleted = ann.delete(&path, &json!({})).await.ok();
    assert_eq!(deleted["status"], "deleted");
    assert_eq!(bob.get("/users/me").await.error(), "401 Invalid user token");
    let login = json!({ "email": "bob@example.org", "password": "correct horse" });
    assert_eq!(app.anonymous.post("/auth/login", &login).await.error(), "401 Incorrect email or password");
    assert_eq!(ann.get("/admin/users").await.ok().as_array().unwrap().len(), 1);
    assert_eq!(ann.get("/admin/users?withDeleted=true").await.ok().as_array().unwrap().len(), 2);
    clock.set(clock.now() + SignedDuration::from_hours(24 * 6));
    app.running.gallery.remove_accounts().await.unwrap();
    assert_eq!(ann.post(&format!("{path}/restore"), &json!({})).await.ok()["status"], "active");
    let mut back = app.anonymous.clone();
    back.log_in_as("bob@example.org").await;
    assert_eq!(back.timeline().await, [photo], "nothing of his was lost");
    ann.delete(&path, &json!({})).await.ok();
    clock.set(clock.now() + SignedDuration::from_hours(24 * 8));
    app.running.gallery.remove_accounts().await.unwrap();
    eventually("Bob is gone", || async {
        let all = ann.get("/admin/users?withDeleted=true").await.ok();
        (all.as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    assert_eq!(
        ann.post(&format!("{path}/restore"), &json!({})).await.error(),
        "400 User not found or cannot be restored"
    );
}

#[tokio::test]
async fn who_is_removed_leaves_no_file_no_row_and_a_trace_for_the_sync() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = member(&app, &ann, "Bob", json!({})).await;
    let hers = ann.uploaded("a.jpg", photos::jpeg(1)).await;
    ann.processed(&hers).await;
    let files = app.files();
    for seed in [1, 2] {
        // The first is Ann's as well: her bytes stay.
        let id = bob.uploaded("a.jpg", photos::jpeg(seed)).await;
        bob.processed(&id).await;
    }
    bob.set_profile_image(photos::jpeg(3)).await.ok();
    bob.put("/users/me/preferences", &json!({ "tags": { "enabled": false } })).await.ok();
    bob.post("/api-keys", &json!({ "permissions": ["all"] })).await.ok();
    let removing = ann.delete(&format!("/admin/users/{}", bob.user_id), &json!({ "force": true })).await.ok();
    assert_eq!(removing["status"], "removing");
    let raw = app.database.raw().await;
    eventually("Bob is gone", || async {
        let left = raw.query("SELECT FROM app_user WHERE email = 'bob@example.org'", &[]).await.unwrap();
        left.is_empty().then_some(())
    })
    .await;
    let id = uuid::Uuid::parse_str(&bob.user_id).unwrap();
    for table in ["user_metadata", "api_key", "session"] {
        let left = raw.query(&format!("SELECT FROM {table} WHERE user_id = $1"), &[&id]).await.unwrap();
        assert!(left.is_empty(), "{table}");
    }
    let trace: i64 = raw
        .query_one("SELECT (SELECT count(*) FROM user_audit WHERE user_id = $1) + (SELECT count(*) FROM asset_audit WHERE owner_id = $1)", &[&id])
        .await
        .unwrap()
        .get(0);
    assert_eq!(trace, 3, "one user and two photos");
    eventually("no file of his is left", || async { (app.files() == files).then_some(()) }).await;
    assert!(!ann.bytes(&format!("/assets/{hers}/original")).await.is_empty());
}

#[tokio::test]
async fn a_picture_of_somebody_is_square_and_seen_by_the_others() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = member(&app, &ann, "Bob", json!({})).await;
    let path = format!("/users/{}/profile-image", bob.user_id);
    assert_eq!(ann.get(&path).await.error(), "404 User does not have a profile image");
    let made = bob.set_profile_image(photos::jpeg(4)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let seen = ann.get(&format!("/users/{}", bob.user_id)).await.ok();
    assert_eq!(seen["profileImagePath"], made.body["profileImagePath"]);
    let image = image::load_from_memory(&ann.bytes(&path).await).unwrap();
    assert_eq!((image.width(), image.height()), (512, 512));
    let files = app.files();
    bob.set_profile_image(photos::jpeg(5)).await.ok();
    assert_eq!(app.files().len(), files.len(), "the one before is gone");
    for wrong in [b"no picture".to_vec(), Vec::new()] {
        assert_eq!(bob.set_profile_image(wrong).await.status, StatusCode::BAD_REQUEST);
    }
    bob.delete("/users/profile-image", &json!({})).await.ok();
    assert_eq!(bob.get("/users/me").await.ok()["profileImagePath"], "");
    assert_eq!(app.files().len(), files.len() - 1);
}
