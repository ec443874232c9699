//! What users prefer and are told, and what an administrator sets while the server runs.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{TestApp, photos};

use crate::contract::save_face;

#[tokio::test]
async fn preferences_are_kept_field_by_field() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let path = "/users/me/preferences";
    let before = ann.get(path).await.ok();
    let change = json!({ "memories": { "duration": 9 }, "albums": { "defaultAssetOrder": "asc" }, "avatar": { "color": "red" } });
    let mut wanted = before.clone();
    wanted["memories"]["duration"] = 9.into();
    wanted["albums"]["defaultAssetOrder"] = "asc".into();
    assert_eq!(ann.put(path, &change).await.ok(), wanted);
    wanted["memories"]["enabled"] = false.into();
    assert_eq!(ann.put(path, &json!({ "memories": { "enabled": false } })).await.ok(), wanted);
    assert_eq!(ann.get(path).await.ok(), wanted);
    assert_eq!(ann.get("/users/me").await.ok()["avatarColor"], "red");
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    assert_eq!(bob.get(path).await.ok(), before, "Bob's are his own");
    let bobs = format!("/admin/users/{}/preferences", bob.user_id);
    ann.put(&bobs, &json!({ "tags": { "sidebarWeb": true } })).await.ok();
    assert_eq!(bob.get(path).await.ok()["tags"]["sidebarWeb"], true);
    for wrong in [
        json!({ "memories": { "duration": 0 } }),
        json!({ "memories": { "duration": "long" } }),
        json!({ "albums": { "defaultAssetOrder": "sideways" } }),
        json!({ "download": { "archiveSize": -1 } }),
        json!({ "people": { "minimumFaces": 0 } }),
        json!({ "purchase": { "hideBuyButtonUntil": "someday" } }),
        json!({ "avatar": { "color": "mauve" } }),
        json!([]),
    ] {
        assert_eq!(ann.put(path, &wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(ann.get(path).await.ok(), wanted);
}

#[tokio::test]
async fn two_changes_of_preferences_at_once_are_both_kept() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let path = "/users/me/preferences";
    let changes = ["folders", "people", "sharedLinks", "tags"].map(|section| {
        let ann = ann.clone();
        async move { ann.put(path, &json!({ section: { "sidebarWeb": true } })).await.ok() }
    });
    futures::future::join_all(changes).await;
    let all = ann.get(path).await.ok();
    for section in ["folders", "people", "sharedLinks", "tags"] {
        assert_eq!(all[section]["sidebarWeb"], true, "{section}");
    }
}

#[tokio::test]
async fn who_is_on_few_photos_is_listed_as_the_owner_prefers() {
    let app = TestApp::seeing().await;
    let ann = app.sign_up().await;
    for seed in [101, 102] {
        let id = ann.uploaded("a.jpg", photos::jpeg(seed)).await;
        ann.processed(&id).await;
        save_face(&app, &id, 0).await;
    }
    let listed = async || ann.get("/people").await.ok()["people"].as_array().unwrap().len();
    assert_eq!(listed().await, 1);
    ann.put("/users/me/preferences", &json!({ "people": { "minimumFaces": 3 } })).await.ok();
    assert_eq!(listed().await, 0);
}

#[tokio::test]
async fn onboarding_and_licences_are_kept_and_forgotten() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let (license, onboarding) = ("/users/me/license", "/users/me/onboarding");
    assert_eq!(ann.get(license).await.error(), "404 License not found");
    let key = "IMCL-AAAA-BBBB-CCCC-DDDD-EEEE-FFFF-0000-1111";
    let kept = ann.put(license, &json!({ "licenseKey": key, "activationKey": "abc" })).await.ok();
    assert_eq!(ann.get(license).await.ok(), kept);
    assert_eq!(ann.get("/users/me").await.ok()["license"], kept);
    for wrong in [
        "",
        "IMCL-AAAA",
        "XXCL-AAAA-BBBB-CCCC-DDDD-EEEE-FFFF-0000-1111",
        "IMCL-AAAA-BBBB-CCCC-DDDD-EEEE-FFFF-0000-11!1",
    ] {
        let answer = ann.put(license, &json!({ "licenseKey": wrong, "activationKey": "abc" })).await;
        assert_eq!(answer.error(), "400 Invalid license key", "{wrong}");
    }
    ann.delete(license, &json!({})).await.ok();
    assert_eq!(ann.get("/users/me").await.ok()["license"], Value::Null);
    assert_eq!(ann.get("/server/about").await.ok()["licensed"], false);
    ann.put("/server/license", &json!({ "licenseKey": key, "activationKey": "abc" })).await.ok();
    assert_eq!(ann.get("/server/about").await.ok()["licensed"], true);
    assert_eq!(ann.get(onboarding).await.ok()["isOnboarded"], false);
    ann.put(onboarding, &json!({ "isOnboarded": true })).await.ok();
    let login = json!({ "email": "ann@example.org", "password": "correct horse" });
    assert_eq!(ann.post("/auth/login", &login).await.ok()["isOnboarded"], true);
    ann.delete(onboarding, &json!({})).await.ok();
    assert_eq!(ann.get(onboarding).await.ok()["isOnboarded"], false);
    assert_eq!(ann.get("/server/config").await.ok()["isOnboarded"], false);
    ann.post("/system-metadata/admin-onboarding", &json!({ "isOnboarded": true })).await.ok();
    assert_eq!(ann.get("/server/config").await.ok()["isOnboarded"], true);
}

#[tokio::test]
async fn notifications_are_their_users_alone() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let news = json!({
        "userId": bob.user_id, "title": "The disk is nearly full", "description": "Ask Ann", "level": "warning",
        "type": "SystemMessage", "data": { "free": 12 },
    });
    let told = ann.post("/admin/notifications", &news).await;
    assert_eq!(told.status, StatusCode::CREATED, "{}", told.body);
    ann.post("/admin/notifications", &json!({ "userId": bob.user_id, "title": "Hello" })).await.ok();
    let id = told.body["id"].as_str().unwrap();
    let path = format!("/notifications/{id}");
    assert_eq!(bob.get(&path).await.ok(), told.body);
    let titles = async |query: &str| {
        let all = bob.get(&format!("/notifications{query}")).await.ok();
        all.as_array().unwrap().iter().map(|one| one["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(titles("").await, ["Hello", "The disk is nearly full"]);
    assert_eq!(titles("?level=warning&type=SystemMessage").await, ["The disk is nearly full"]);
    bob.put(&path, &json!({ "readAt": "2024-03-15T12:00:00.000Z" })).await.ok();
    assert_eq!(titles("?unread=true").await, ["Hello"]);
    bob.put(&path, &json!({ "readAt": null })).await.ok();
    assert_eq!(titles("?unread=true").await.len(), 2);
    assert_eq!(ann.get("/notifications").await.ok(), json!([]));
    assert_eq!(ann.get(&path).await.error(), "400 Not found or no notification.read access");
    assert_eq!(
        ann.put(&path, &json!({ "readAt": null })).await.error(),
        "400 Not found or no notification.update access"
    );
    let hers = json!({ "ids": [id] });
    assert_eq!(ann.delete("/notifications", &hers).await.error(), "400 Not found or no notification.delete access");
    let read = json!({ "ids": [id], "readAt": "2024-03-15T12:00:00.000Z" });
    assert_eq!(ann.put("/notifications", &read).await.error(), "400 Not found or no notification.update access");
    for wrong in [
        json!({ "userId": "01a20b32-903f-7236-a193-63acee4e29e3", "title": "x" }),
        json!({ "userId": bob.user_id, "title": "" }),
        json!({ "userId": bob.user_id, "title": "x", "level": "loud" }),
        json!({ "userId": bob.user_id, "title": "x", "data": [] }),
        json!({ "userId": bob.user_id, "title": "x", "readAt": "-009000-01-01T00:00:00Z" }),
    ] {
        assert_eq!(ann.post("/admin/notifications", &wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    bob.delete(&path, &json!({})).await.ok();
    assert_eq!(titles("").await, ["Hello"]);
}

#[tokio::test]
async fn an_administrator_changes_what_can_be_changed_and_hears_of_the_rest() {
    let app = TestApp::with(|settings| settings.media.preview = 1_000).await;
    let ann = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let mut config = ann.get("/system-config").await.ok();
    assert_eq!(config["image"]["preview"]["size"], 1_000, "as the settings have it");
    config["trash"]["days"] = 5.into();
    config["user"]["deleteDelay"] = 3.into();
    config["server"]["publicUsers"] = false.into();
    config["server"]["loginPageMessage"] = "Welcome".into();
    config["server"]["externalDomain"] = "https://photos.example.org/".into();
    config["theme"]["customCss"] = "body { color: red }".into();
    let changed = ann.put("/system-config", &config).await.ok();
    config["server"]["externalDomain"] = "https://photos.example.org".into();
    assert_eq!(changed, config);
    assert_eq!(ann.get("/admin/config").await.ok(), config);
    let server = app.anonymous.get("/server/config").await.ok();
    assert_eq!((&server["trashDays"], &server["userDeleteDelay"]), (&json!(5), &json!(3)));
    assert_eq!(server["externalDomain"], "https://photos.example.org");
    assert_eq!(app.anonymous.get("/public/config").await.ok()["server"], json!({ "loginPageMessage": "Welcome" }));
    assert_eq!(bob.get("/config").await.ok()["trash"]["days"], 5);
    assert_eq!(bob.get("/users").await.ok().as_array().unwrap().len(), 1, "he sees himself alone");
    let css = app.anonymous.http.get(format!("{}/custom.css", app.anonymous.url)).send().await.unwrap();
    assert_eq!(css.text().await.unwrap(), "body { color: red }");
    for (pointer, value) in [
        ("/image/preview/size", json!(500)),
        ("/oauth/enabled", json!(true)),
        ("/trash/days", json!(-1)),
        ("/trash/days", json!("many")),
        ("/user/deleteDelay", json!(0)),
        ("/server/externalDomain", json!("javascript:alert(1)")),
    ] {
        let mut wrong = config.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        assert_eq!(ann.put("/system-config", &wrong).await.status, StatusCode::BAD_REQUEST, "{pointer}");
    }
    let mut wrong = config.clone();
    wrong["ffmpeg"]["crf"] = 1.into();
    insta::assert_snapshot!(
        ann.put("/admin/config", &wrong).await.error(),
        @r#"400 Validation failed [{"message":"cannot be changed here: it stands in the settings of the server, or Latent has nothing of it","path":["ffmpeg.crf"]}]"#
    );
    assert_eq!(ann.get("/system-config").await.ok(), config, "nothing of a refused change was kept");
    let defaults = ann.get("/system-config/defaults").await.ok();
    assert_eq!((&defaults["trash"]["days"], &defaults["image"]["preview"]["size"]), (&json!(30), &json!(1_000)));
    let app = app.restart().await;
    assert_eq!(ann_of(&app, &ann).get("/system-config").await.ok(), config);
}

fn ann_of(app: &TestApp, ann: &tests::Client) -> tests::Client {
    tests::Client { url: app.anonymous.url.clone(), ..ann.clone() }
}

#[tokio::test]
async fn the_versions_that_ran_here_are_told() {
    let app = TestApp::start().await.restart().await;
    let history = app.anonymous.get("/server/version-history").await.ok();
    assert_eq!(history.as_array().unwrap().len(), 1, "{history}");
    assert_eq!(history[0]["version"], "3.2.2");
}
