//! Shared links: what they show, to whom, and how far it goes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode, redirect};
use serde_json::{Value, json};
use tests::photos::{self, Exif};
use tests::{Client, TestApp};

use crate::albums::{ALL, NOTHING, album_of, id, photo, seen, timeline};

/// Every operation of links, each with success.
pub async fn call_everything(client: &Client, asset: &str) {
    let assets = json!({ "assetIds": [asset] });
    let link = json!({ "type": "INDIVIDUAL", "assetIds": [asset], "password": "sesame" });
    let link = client.post("/shared-links", &link).await.ok();
    let (path, key) = (format!("/shared-links/{}", id(&link)), link["key"].as_str().unwrap());
    client.get("/shared-links").await.ok();
    client.get(&path).await.ok();
    client.post(&format!("/shared-links/login?key={key}"), &json!({ "password": "sesame" })).await.ok();
    client.patch(&path, &json!({ "password": null })).await.ok();
    client.get(&format!("/shared-links/me?key={key}")).await.ok();
    client.delete(&format!("{path}/assets"), &assets).await.ok();
    client.put(&format!("{path}/assets"), &assets).await.ok();
    client.delete(&path, &json!({})).await.ok();
}

/// A link; its path, and the query with its key.
async fn link(client: &Client, body: Value) -> (String, String) {
    let link = client.post("/shared-links", &body).await.ok();
    (format!("/shared-links/{}", id(&link)), format!("?key={}", link["key"].as_str().unwrap()))
}

fn individual(asset: &str) -> Value {
    json!({ "type": "INDIVIDUAL", "assetIds": [asset] })
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn whoever_has_a_link_sees_what_it_shows_and_nothing_else() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let (shown, other) = (photo(&ann, 1, "2020:06:01 12:00:00").await, photo(&ann, 2, "2020:06:02 12:00:00").await);
    let body = with(individual(&shown), json!({ "slug": "delft-2020", "description": "for all" }));
    let (path, key) = link(&ann, body).await;
    let nobody = &app.anonymous;
    assert_eq!(seen(nobody, &shown, &key).await, ALL);
    assert_eq!(seen(nobody, &other, &key).await, NOTHING);
    assert_eq!(seen(nobody, &shown, "").await, [401; 4]);
    assert_eq!(seen(nobody, &shown, "?slug=delft-2020").await, ALL);
    let bytes = URL_SAFE_NO_PAD.decode(&key[5..]).unwrap();
    assert_eq!(seen(nobody, &shown, &format!("?key={}", hex::encode(&bytes))).await, ALL, "as old clients write it");
    for (name, value) in [("x-immich-share-key", &key[5..]), ("x-immich-share-slug", "delft-2020")] {
        let request = nobody.request(Method::GET, &format!("/assets/{shown}")).header(name, value);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK, "{name}");
    }
    let asset = nobody.get(&format!("/assets/{shown}{key}")).await.ok();
    assert_eq!(asset["exifInfo"]["city"], "Delft");
    assert_eq!((&asset["originalPath"], asset.get("owner")), (&json!(""), None));
    let me = nobody.get(&format!("/shared-links/me{key}")).await.ok();
    assert_eq!((&me["type"], &me["assets"][0]["id"]), (&json!("INDIVIDUAL"), &json!(shown)));
    let found = nobody.post(&format!("/search/metadata{key}"), &json!({})).await.ok();
    assert_eq!((&found["assets"]["total"], &found["assets"]["items"][0]["id"]), (&json!(1), &json!(shown)));
    // A link is no account, and its visitor is not the owner: also where the owner opens it.
    for (method, path) in [
        (Method::GET, "/albums"),
        (Method::GET, "/users/me"),
        (Method::GET, "/people"),
        (Method::DELETE, "/assets"),
        (Method::GET, "/shared-links"),
    ] {
        let answer = nobody.request(method, &format!("{path}{key}")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(seen(&ann, &other, &key).await, NOTHING);
    for (name, answer) in [
        ("a wrong key", nobody.get(&format!("/assets/{shown}?key=AAAA")).await),
        ("no key", nobody.get(&format!("/assets/{shown}?key=%C3%A4%00")).await),
        ("a wrong slug", nobody.get(&format!("/assets/{shown}?slug=x")).await),
    ] {
        assert_eq!(answer.error(), "401 Invalid share key", "{name}");
    }
    insta::assert_snapshot!(ann.get("/shared-links/me").await.error(), @"403 Forbidden");
    let query = nobody.get(&format!("/timeline/buckets{key}")).await.error();
    insta::assert_snapshot!(query, @"400 Not found or no timeline.read access");
    // It ends when it says so, when its asset is thrown away, and when it is.
    ann.patch(&path, &json!({ "expiresAt": "2020-01-01T00:00:00.000Z" })).await.ok();
    assert_eq!(nobody.get(&format!("/assets/{shown}{key}")).await.error(), "401 Invalid share key");
    ann.patch(&path, &json!({ "expiresAt": null })).await.ok();
    ann.delete("/assets", &json!({ "ids": [shown] })).await.ok();
    assert_eq!(seen(nobody, &shown, &key).await, NOTHING);
    ann.post("/trash/restore", &json!({})).await.ok();
    assert_eq!(seen(nobody, &shown, &key).await, ALL);
    ann.delete(&path, &json!({})).await.ok();
    assert_eq!(seen(nobody, &shown, &key).await, [401; 4]);
}

#[tokio::test]
async fn a_link_with_a_password_opens_for_whoever_knows_it() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let shown = photo(&ann, 1, "2020:06:01 12:00:00").await;
    let (path, key) = link(&ann, with(individual(&shown), json!({ "password": "sesame" }))).await;
    let browser =
        Client { http: reqwest::Client::builder().cookie_store(true).build().unwrap(), ..app.anonymous.clone() };
    let me = format!("/shared-links/me{key}");
    assert_eq!(browser.get(&me).await.error(), "401 Password required");
    assert_eq!(seen(&browser, &shown, &key).await, [401; 4]);
    let login = format!("/shared-links/login{key}");
    let wrong = browser.post(&login, &json!({ "password": "simsalabim" })).await;
    assert_eq!(wrong.error(), "401 Invalid password");
    let answer = browser.post(&login, &json!({ "password": "sesame" })).await;
    assert_eq!((answer.status, &answer.body["password"]), (StatusCode::CREATED, &Value::Null));
    assert_eq!(seen(&browser, &shown, &key).await, ALL);
    // Another link beside it.
    let (_, other) = link(&ann, with(individual(&shown), json!({ "password": "open" }))).await;
    assert_eq!(seen(&browser, &shown, &other).await, [401; 4]);
    browser.post(&format!("/shared-links/login{other}"), &json!({ "password": "open" })).await.ok();
    assert_eq!((seen(&browser, &shown, &other).await, seen(&browser, &shown, &key).await), (ALL, ALL));
    assert_eq!(seen(&app.anonymous, &shown, &key).await, [401; 4], "the cookie is the browser's");
    assert_eq!(ann.get(&path).await.ok()["password"], "sesame", "its owner reads it again");
    ann.patch(&path, &json!({ "password": "another" })).await.ok();
    assert_eq!(browser.get(&me).await.error(), "401 Password required");
    ann.patch(&path, &json!({ "password": null })).await.ok();
    assert_eq!(seen(&app.anonymous, &shown, &key).await, ALL);
    let none = browser.post(&login, &json!({ "password": "x" })).await.error();
    insta::assert_snapshot!(none, @"400 Shared link is not password protected");
    let unknown = browser.post("/shared-links/login?key=AAAA", &json!({ "password": "x" })).await.error();
    insta::assert_snapshot!(unknown, @"401 Invalid share key");
}

#[tokio::test]
async fn passwords_of_a_link_are_not_tried_for_ever() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let shown = photo(&ann, 1, "2020:06:01 12:00:00").await;
    let (_, key) = link(&ann, with(individual(&shown), json!({ "password": "sesame" }))).await;
    let login = format!("/shared-links/login{key}");
    for _ in 0..10 {
        assert_eq!(app.anonymous.post(&login, &json!({ "password": "x" })).await.status, StatusCode::UNAUTHORIZED);
    }
    let right = app.anonymous.post(&login, &json!({ "password": "sesame" })).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_link_gives_away_no_more_than_its_owner_allows() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let shown = photo(&ann, 1, "2020:06:01 23:00:00").await;
    ann.put(&format!("/assets/{shown}"), &json!({ "isFavorite": true, "description": "at the canal" })).await.ok();
    let album = album_of(&ann, &[&shown]).await;
    let (path, key) = link(&ann, json!({ "type": "ALBUM", "albumId": album, "allowDownload": false })).await;
    let nobody = &app.anonymous;
    assert_eq!(seen(nobody, &shown, &key).await, [200, 200, 400, 200]);
    for path in ["info", "archive"] {
        let refused = nobody.post(&format!("/download/{path}{key}"), &json!({ "assetIds": [shown] })).await;
        assert_eq!(refused.error(), "400 Not found or no asset.download access");
    }
    // What a browser would show whole is shown as far as the link goes, by the same link.
    let still = reqwest::Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let fullsize = format!("{}/api/assets/{shown}/thumbnail{key}&size=fullsize", nobody.url);
    let answer = still.get(fullsize).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    let to = answer.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(to, format!("/api/assets/{shown}/thumbnail?size=preview&{}", &key[1..]));
    assert_eq!(still.get(format!("{}{to}", nobody.url)).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(nobody.get(&format!("/assets/{shown}{key}")).await.ok()["exifInfo"]["city"], "Delft");
    // Without metadata: neither where it was, nor the original that says so.
    let changed = ann.patch(&path, &json!({ "showMetadata": false, "allowDownload": true })).await.ok();
    assert_eq!((&changed["showMetadata"], &changed["allowDownload"]), (&json!(false), &json!(false)));
    assert_eq!(seen(nobody, &shown, &key).await, [200, 200, 400, 200]);
    let month = format!("/timeline/bucket{key}&albumId={album}&timeBucket=2020-06-01&withCoordinates=true");
    for path in [
        format!("/assets/{shown}{key}"),
        month,
        format!("/albums/{album}{key}"),
        format!("/albums/{album}/map-markers{key}"),
        format!("/shared-links/me{key}"),
    ] {
        let answer = nobody.get(&path).await.ok().to_string();
        for secret in ["Delft", "Netherlands", "52.0116", "4.3571", "canal", "1.jpg", "ann@", "library/"] {
            assert!(!answer.replace("\"albumName\":\"Delft\"", "").contains(secret), "{path} tells {secret}: {answer}");
        }
    }
    assert_eq!(nobody.get(&format!("/albums/{album}/map-markers{key}")).await.ok(), json!([]));
    for body in [json!({ "city": "Delft" }), json!({ "isFavorite": true }), json!({ "originalFileName": "1" })] {
        let refused = nobody.post(&format!("/search/metadata{key}"), &body).await.error();
        assert_eq!(refused, "400 A link cannot be searched for this", "{body}");
    }
}

#[tokio::test]
async fn a_link_to_an_album_shows_the_album_as_it_is() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let (shown, later) = (photo(&ann, 1, "2020:06:01 12:00:00").await, photo(&ann, 2, "2020:06:02 12:00:00").await);
    let (album, private) = (album_of(&ann, &[&shown]).await, album_of(&ann, &[&later]).await);
    let (_, key) = link(&ann, json!({ "type": "ALBUM", "albumId": album })).await;
    let nobody = &app.anonymous;
    let me = nobody.get(&format!("/shared-links/me{key}")).await.ok();
    assert_eq!((&me["album"]["albumName"], &me["assets"]), (&json!("Delft"), &json!([])));
    assert_eq!(me["album"]["albumUsers"].as_array().unwrap().len(), 1);
    let query = format!("{}&albumId={album}", &key[1..]);
    assert_eq!(timeline(nobody, &query).await, std::slice::from_ref(&shown));
    ann.put(&format!("/albums/{album}/assets"), &json!({ "ids": [later] })).await.ok();
    assert_eq!(timeline(nobody, &query).await.len(), 2);
    assert_eq!(nobody.get(&format!("/albums/{album}{key}")).await.ok()["assetCount"], 2);
    assert_eq!(nobody.get(&format!("/albums/{album}/map-markers{key}")).await.ok().as_array().unwrap().len(), 2);
    let found = nobody.post(&format!("/search/metadata{key}"), &json!({ "city": "Delft" })).await.ok();
    assert_eq!(found["assets"]["total"], 2);
    for path in [format!("/albums/{private}{key}"), format!("/timeline/buckets{key}&albumId={private}")] {
        assert_eq!(nobody.get(&path).await.error(), "400 Not found or no album.read access");
    }
    let info = nobody.post(&format!("/download/info{key}"), &json!({ "albumId": album })).await.ok();
    assert_eq!(info["archives"][0]["assetIds"], json!([shown, later]));
    ann.delete(&format!("/albums/{album}"), &json!({})).await.ok();
    assert_eq!(nobody.get(&format!("/shared-links/me{key}")).await.error(), "401 Invalid share key");
}

#[tokio::test]
async fn visitors_send_photos_where_the_owner_lets_them() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let hidden = ann.uploaded("hidden.jpg", photos::jpeg(9)).await;
    let album = album_of(&ann, &[]).await;
    let (path, key) = link(&ann, json!({ "type": "ALBUM", "albumId": album })).await;
    let nobody = &app.anonymous;
    let send = async |seed: u32, video: Option<&str>, sha1: Option<&str>| {
        let exif = Exif { make: Some("Leica"), ..Exif::default() };
        let mut form = Client::form("sent.jpg", photos::encoded_jpeg(320, 240, seed, Some(&exif)));
        if let Some(video) = video {
            form = form.text("livePhotoVideoId", video.to_owned());
        }
        let form = form.text("visibility", "archive").text("isFavorite", "true");
        let mut request = nobody.request(Method::POST, &format!("/assets{key}")).multipart(form);
        if let Some(sha1) = sha1 {
            request = request.header("x-immich-checksum", sha1);
        }
        nobody.answer(request).await
    };
    assert_eq!(send(1, None, None).await.error(), "400 Not found or no asset.upload access");
    ann.patch(&path, &json!({ "allowUpload": true })).await.ok();
    let sent = send(1, None, None).await;
    assert_eq!(sent.status, StatusCode::CREATED);
    let sent = id(&sent.body);
    ann.processed(&sent).await;
    assert_eq!(seen(nobody, &sent, &key).await, ALL);
    let asset = ann.get(&format!("/assets/{sent}")).await.ok();
    assert_eq!((&asset["ownerId"], &asset["isFavorite"]), (&json!(ann.user_id), &json!(false)));
    assert_eq!(asset["visibility"], "timeline");
    assert_eq!(timeline(&ann, &format!("albumId={album}")).await, std::slice::from_ref(&sent));
    assert_eq!(send(1, None, None).await.ok()["status"], "duplicate");
    // By a hash alone, or by an id, nobody makes a link show what it did not.
    let checksum = ann.get(&format!("/assets/{hidden}")).await.ok()["checksum"].as_str().unwrap().to_owned();
    assert_eq!(send(2, None, Some(&checksum)).await.ok()["status"], "created");
    assert_eq!(send(3, Some(&hidden), None).await.error(), "400 Not found or no asset.view access");
    assert_eq!(seen(nobody, &hidden, &key).await, NOTHING);
}

#[tokio::test]
async fn an_owner_makes_and_changes_links_of_their_own() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = ann.beside(&app.running.gallery, "Bob").await;
    let (asset, other) = (photo(&ann, 1, "2020:06:01 12:00:00").await, photo(&ann, 2, "2020:06:02 12:00:00").await);
    let his = photo(&bob, 3, "2020:06:01 12:00:00").await;
    let album = album_of(&ann, &[&asset]).await;
    crate::albums::let_in(&ann, &album, &bob, "editor").await;
    let made = ann.post("/shared-links", &with(individual(&asset), json!({ "slug": "mine" }))).await;
    assert_eq!(made.status, StatusCode::CREATED);
    insta::assert_json_snapshot!(made.body, {
        ".id" => "[id]", ".userId" => "[id]", ".key" => "[key]", ".createdAt" => "[date]", ".assets" => "[assets]",
    }, @r#"
    {
      "allowDownload": true,
      "allowUpload": false,
      "assets": "[assets]",
      "createdAt": "[date]",
      "description": null,
      "expiresAt": null,
      "id": "[id]",
      "key": "[key]",
      "password": null,
      "showMetadata": true,
      "slug": "mine",
      "type": "INDIVIDUAL",
      "userId": "[id]"
    }
    "#);
    let path = format!("/shared-links/{}", id(&made.body));
    let (to_album, _) = link(&ann, json!({ "type": "ALBUM", "albumId": album })).await;
    let listed = async |query: &str| ann.get(&format!("/shared-links{query}")).await.ok().as_array().unwrap().len();
    assert_eq!((listed("").await, listed(&format!("?albumId={album}")).await), (2, 1));
    let ids = json!({ "assetIds": [asset, other, his] });
    let added = ann.put(&format!("{path}/assets"), &ids).await.ok();
    assert_eq!(
        added,
        json!([
            { "assetId": asset, "success": false, "error": "duplicate" },
            { "assetId": other, "success": true },
            { "assetId": his, "success": false, "error": "no_permission" },
        ])
    );
    let removed = ann.delete(&format!("{path}/assets"), &ids).await.ok();
    assert_eq!(removed[2], json!({ "assetId": his, "success": false, "error": "not_found" }));
    assert_eq!(ann.get(&path).await.ok()["assets"], json!([]));
    let mut errors = Vec::new();
    for answer in [
        // An editor shares no album, a member no asset of others.
        bob.post("/shared-links", &json!({ "type": "ALBUM", "albumId": album })).await,
        bob.post("/shared-links", &individual(&asset)).await,
        bob.get(&path).await,
        bob.patch(&path, &json!({ "slug": "his" })).await,
        bob.delete(&path, &json!({})).await,
        bob.put(&format!("{path}/assets"), &json!({ "assetIds": [his] })).await,
        ann.post("/shared-links", &with(individual(&asset), json!({ "slug": "mine" }))).await,
        ann.patch(&to_album, &json!({ "slug": "mine" })).await,
        ann.put(&format!("{to_album}/assets"), &json!({ "assetIds": [other] })).await,
        ann.post("/shared-links", &json!({ "type": "ALBUM" })).await,
        ann.post("/shared-links", &json!({ "type": "INDIVIDUAL" })).await,
        ann.post("/shared-links", &json!({ "type": "OTHER" })).await,
        ann.patch(&path, &json!({ "slug": "a/b" })).await,
        ann.patch(&path, &json!({ "slug": "x".repeat(101) })).await,
        ann.patch(&path, &json!({ "description": "a\0b" })).await,
        ann.patch(&path, &json!({ "description": "x".repeat(10_001) })).await,
        ann.patch(&path, &json!({ "password": "x".repeat(1_001) })).await,
        ann.patch(&path, &json!({ "expiresAt": "soon" })).await,
        ann.patch(&path, &json!({ "expiresAt": "-005000-01-01T00:00:00Z" })).await,
    ] {
        errors.push(answer.error());
    }
    insta::assert_snapshot!(errors.join("\n"), @r#"
    400 Not found or no album.share access
    400 Not found or no asset.share access
    400 Not found or no sharedLink.read access
    400 Not found or no sharedLink.update access
    400 Not found or no sharedLink.delete access
    400 Not found or no sharedLink.update access
    400 Shared link with this slug already exists
    400 Shared link with this slug already exists
    400 Invalid shared link type
    400 Invalid albumId
    400 Invalid assetIds
    400 Validation failed [{"message":"type: unknown variant `OTHER`, expected `ALBUM` or `INDIVIDUAL` at line 1 column 15","path":["type"]}]
    400 slug must have at most 100 letters, digits, and any of - _ . ~
    400 slug must have at most 100 letters, digits, and any of - _ . ~
    400 Validation failed [{"message":"must not contain NUL","path":["body"]}]
    400 description must have at most 10000 bytes
    400 password must have at most 1000 bytes
    400 Validation failed [{"message":"expiresAt: failed to parse four digit integer as year: invalid digit, expected 0-9 but got s at line 1 column 19","path":["expiresAt"]}]
    400 Validation failed [{"message":"is in no year from 1 to 9999","path":["expiresAt"]}]
    "#);
    let changed = ann.patch(&path, &json!({ "slug": "", "description": "now", "allowUpload": true })).await.ok();
    assert_eq!((&changed["slug"], &changed["description"]), (&Value::Null, &json!("now")));
    assert_eq!(ann.patch(&path, &json!({ "description": null })).await.ok()["description"], Value::Null);
}
