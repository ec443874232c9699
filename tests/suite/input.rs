//! What no well-meaning client sends: NUL, impossible dates, unknown ids, too much, and wishes that cannot be granted. Each is a 4xx in
//! Immich's shape; nothing is a success that was none.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::photos::{self, Exif};
use tests::{Client, TestApp};

const UNKNOWN: &str = "01a20b32-903f-7236-a193-63acee4e29e3";

#[tokio::test]
async fn nul_in_any_text_is_refused() {
    let app = TestApp::start().await;
    let nul = "a\0b";
    let sign_up =
        |email: &str, name: &str, password: &str| json!({ "email": email, "name": name, "password": password });
    let posts = [
        ("/auth/admin-sign-up", sign_up("a\0@example.org", "Ann", "correct horse")),
        ("/auth/admin-sign-up", sign_up("a@example.org", nul, "correct horse")),
        ("/auth/login", json!({ "email": "a\0@example.org", "password": "correct horse" })),
    ];
    for (path, body) in posts {
        let answer = app.anonymous.post(path, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {body}: {}", answer.body);
    }
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let mut calls = vec![
        ("PUT", "/users/me".to_owned(), json!({ "name": nul })),
        ("PUT", "/users/me".to_owned(), json!({ "email": "a\0@example.org" })),
        ("POST", "/api-keys".to_owned(), json!({ "name": nul, "permissions": ["all"] })),
        ("POST", "/people".to_owned(), json!({ "name": nul })),
        ("PUT", format!("/assets/{id}"), json!({ "description": nul })),
        ("PUT", "/assets".to_owned(), json!({ "ids": [id], "description": nul })),
        ("GET", "/search/person?name=a%00b".to_owned(), json!({})),
        ("POST", "/search/large-assets?city=a%00b".to_owned(), json!({})),
        ("GET", "/timeline/bucket?timeBucket=2024-03-01%00".to_owned(), json!({})),
    ];
    for field in ["country", "state", "make", "model", "lensModel"] {
        calls.push(("GET", format!("/search/suggestions?type=city&{field}=a%00b"), json!({})));
    }
    for field in [
        "city",
        "state",
        "country",
        "make",
        "model",
        "lensModel",
        "originalFileName",
        "originalPath",
        "description",
        "ocr",
    ] {
        for path in ["/search/metadata", "/search/random", "/search/statistics"] {
            calls.push(("POST", path.to_owned(), json!({ field: nul })));
        }
    }
    calls.push(("POST", "/search/smart".to_owned(), json!({ "query": nul })));
    for (method, path, body) in calls {
        let request = client.request(Method::from_bytes(method.as_bytes()).unwrap(), &path).json(&body);
        let answer = client.answer(request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path} {body}: {}", answer.body);
        assert!(answer.body["message"].is_string(), "{path}");
    }
    // A backslash followed by u0000 is a text that may be.
    let kept = client.put(&format!("/assets/{id}"), &json!({ "description": r"\u0000" })).await.ok();
    assert_eq!(kept["exifInfo"]["description"], r"\u0000");
}

#[tokio::test]
async fn account_changes_that_cannot_be_are_refused() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let refused = [
        json!({ "email": "ann@example.org" }),
        json!({ "email": "ANN@example.org" }),
        json!({ "email": "no address" }),
        json!({ "name": "  " }),
        json!({ "name": "two\nlines" }),
        json!({ "password": "short" }),
        json!({ "avatarColor": "mauve" }),
    ];
    for body in refused {
        let answer = bob.put("/users/me", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.body);
    }
    let me =
        bob.put("/users/me", &json!({ "name": "Robert", "email": "rob@example.org", "avatarColor": "pink" })).await;
    let me = me.ok();
    assert_eq!(
        (&me["name"], &me["email"], &me["avatarColor"]),
        (&json!("Robert"), &json!("rob@example.org"), &json!("pink"))
    );
    assert_eq!(bob.put("/users/me", &json!({ "avatarColor": null })).await.ok()["avatarColor"], "primary");
    assert_eq!(client.get("/users/me").await.ok()["name"], "Ann");
}

#[tokio::test]
async fn wishes_that_cannot_be_granted_are_no_successes() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    let before = client.get(&format!("/assets/{id}")).await.ok();
    let refused = [
        ("PUT", format!("/assets/{id}"), json!({ "livePhotoVideoId": UNKNOWN })),
        ("PUT", format!("/assets/{id}"), json!({ "dateTimeOriginal": "yesterday" })),
        ("PUT", format!("/assets/{id}"), json!({ "dateTimeOriginal": "-0044-03-15T12:00:00Z" })),
        ("PUT", format!("/assets/{id}"), json!({ "latitude": 91.0, "longitude": 0.0 })),
        ("PUT", format!("/assets/{id}"), json!({ "latitude": 10.0 })),
        ("PUT", "/assets".into(), json!({ "ids": [id], "duplicateId": UNKNOWN })),
        ("PUT", "/assets".into(), json!({ "ids": [id], "timeZone": "Mars/Olympus" })),
        ("PUT", "/assets".into(), json!({ "ids": [id], "dateTimeRelative": i64::MAX })),
        ("PUT", "/assets".into(), json!({ "ids": [id, UNKNOWN], "dateTimeRelative": 60 })),
        ("POST", "/search/metadata".into(), json!({ "takenAfter": "-009000-01-01T00:00:00Z" })),
        ("POST", "/search/metadata".into(), json!({ "order": "sideways" })),
        ("POST", "/search/metadata".into(), json!({ "previewPath": "x" })),
        ("POST", "/search/metadata".into(), json!({ "filter": {} })),
        ("POST", "/search/large-assets?isFavorite=banana".into(), json!({})),
        ("POST", "/search/large-assets?takenAfter=never".into(), json!({})),
        ("GET", "/timeline/buckets?orderBy=createdAt".into(), json!({})),
        ("GET", "/timeline/buckets?order=sideways".into(), json!({})),
        ("GET", format!("/people?closestPersonId={UNKNOWN}"), json!({})),
        ("GET", format!("/people?closestAssetId={UNKNOWN}"), json!({})),
        ("POST", "/people".into(), json!({ "name": "x", "birthDate": "2999-01-01" })),
        ("POST", "/people".into(), json!({ "name": "x", "birthDate": "someday" })),
        ("POST", "/people".into(), json!({ "name": "x".repeat(2_000) })),
    ];
    for (method, path, body) in refused {
        let request = client.request(Method::from_bytes(method.as_bytes()).unwrap(), &path).json(&body);
        let answer = client.answer(request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path} {body}: {}", answer.body);
    }
    assert_eq!(client.get(&format!("/assets/{id}")).await.ok(), before);
    let nothing = client.post("/search/metadata", &json!({ "encodedVideoPath": "x" })).await.ok();
    assert_eq!(nothing["assets"]["count"], 0, "no video is transcoded yet");
}

#[tokio::test]
async fn unknown_ids_are_refused_everywhere() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let person = client.post("/people", &json!({ "name": "x" })).await.ok()["id"].clone();
    let corner = json!({ "x": 1, "y": 1, "width": 2, "height": 2, "imageWidth": 320, "imageHeight": 240, "assetId": UNKNOWN, "personId": person });
    let calls = [
        ("GET", format!("/people/{UNKNOWN}"), json!({})),
        ("PUT", format!("/people/{UNKNOWN}"), json!({ "name": "x" })),
        ("DELETE", format!("/people/{UNKNOWN}"), json!({})),
        ("DELETE", "/people".into(), json!({ "ids": [UNKNOWN] })),
        ("GET", format!("/people/{UNKNOWN}/thumbnail"), json!({})),
        ("GET", format!("/people/{UNKNOWN}/statistics"), json!({})),
        ("POST", format!("/people/{UNKNOWN}/merge"), json!({ "ids": [person] })),
        ("PUT", format!("/people/{UNKNOWN}/reassign"), json!({ "data": [{ "assetId": id, "personId": person }] })),
        ("GET", format!("/faces?id={UNKNOWN}"), json!({})),
        ("POST", "/faces".into(), corner),
        ("PUT", format!("/faces/{}", person.as_str().unwrap()), json!({ "id": UNKNOWN })),
        ("DELETE", format!("/faces/{UNKNOWN}"), json!({ "force": true })),
        ("PUT", format!("/assets/{UNKNOWN}"), json!({ "isFavorite": true })),
        ("PUT", "/assets".into(), json!({ "ids": [UNKNOWN], "isFavorite": true })),
        ("DELETE", "/assets".into(), json!({ "ids": [UNKNOWN] })),
        ("DELETE", "/assets".into(), json!({ "ids": [UNKNOWN], "force": true })),
        ("POST", "/trash/restore/assets".into(), json!({ "ids": [UNKNOWN] })),
        ("DELETE", format!("/api-keys/{UNKNOWN}"), json!({})),
        ("GET", format!("/latent/assets/{UNKNOWN}/steps"), json!({})),
        ("GET", format!("/latent/assets/{UNKNOWN}/errors"), json!({})),
        ("GET", "/people/nonsense".into(), json!({})),
        ("PUT", "/assets".into(), json!({ "ids": ["nonsense"] })),
    ];
    for (method, path, body) in calls {
        let request = client.request(Method::from_bytes(method.as_bytes()).unwrap(), &path).json(&body);
        let answer = client.answer(request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path} {body}: {}", answer.body);
        assert!(answer.body["message"].is_string(), "{method} {path}: {}", answer.body);
    }
}

#[tokio::test]
async fn ten_megabytes_of_json_are_too_much_for_every_operation() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let body = json!({ "ids": [], "description": "x".repeat(10 << 20), "email": "a", "password": "b", "name": "c" });
    let bytes = serde_json::to_vec(&body).unwrap();
    let mut wrong = Vec::new();
    for operation in api::operations() {
        let takes_a_body = operation.method != Method::GET && !["uploadAsset", "uploadPlugin"].contains(&operation.id);
        let reads_none = [
            "logout",
            "validateAccessToken",
            "emptyTrash",
            "restoreTrash",
            "searchLargeAssets",
            "reloadPipelines",
            "enablePlugin",
            "disablePlugin",
            "rollbackPlugin",
            "discardPlugin",
            "lockAuthSession",
            "lockSession",
            "deleteAllSessions",
            "rotateApiKey",
            "restoreUserAdmin",
            "deleteUserOnboarding",
            "deleteUserLicense",
            "deleteServerLicense",
            // A form.
            "createProfileImage",
            "deleteProfileImage",
            "createPartnerDeprecated",
            // Without a link nobody reads it.
            "sharedLinkLogin",
        ];
        let by_path_alone =
            operation.method == Method::DELETE && operation.path.contains("{id}") && operation.id != "deleteFace";
        if !takes_a_body || by_path_alone || reads_none.contains(&operation.id) {
            continue;
        }
        let path = operation.path.replace("{name}", "thumbnailGeneration");
        let path = ["{id}", "{userId}", "{assetId}"].iter().fold(path, |path, part| path.replace(part, UNKNOWN));
        let request = client.request(operation.method.clone(), &path).header("content-type", "application/json");
        let answer = client.answer(request.body(bytes.clone())).await;
        if answer.status != StatusCode::PAYLOAD_TOO_LARGE || !answer.body["message"].is_string() {
            wrong.push(format!("{}: {} {}", operation.id, answer.status, answer.body));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn errors_of_the_protocol_have_the_shape_of_all_others() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let method = client.answer(client.request(Method::PATCH, "/users/me")).await;
    insta::assert_snapshot!(method.error(), @"405 Cannot PATCH /api/users/me");
    let range = client.request(Method::GET, &format!("/assets/{id}/original")).header("range", "bytes=99999999-");
    let range = client.answer(range).await;
    assert_eq!(range.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert!(range.body["message"].is_string(), "{}", range.body);
    let form = Client::form("a.jpg", photos::jpeg(2)).text("isFavorite", "banana");
    insta::assert_snapshot!(
        client.upload_form(form).await.error(),
        @r#"400 Validation failed [{"message":"is neither true nor false","path":["isFavorite"]}]"#
    );
    let form = Client::form("a.jpg", photos::jpeg(2)).text("visibility", "locked");
    insta::assert_snapshot!(client.upload_form(form).await.error(), @"401 Elevated permission is required");
    assert_eq!(client.timeline().await, [id], "nothing of either was kept");
}

#[tokio::test]
async fn a_copy_that_is_known_is_not_sent_again() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let path = format!("/assets/{id}/original");
    let first = client.request(Method::GET, &path).send().await.unwrap();
    let (etag, modified) = (first.headers()["etag"].clone(), first.headers()["last-modified"].clone());
    let status = |name: &'static str, value: String| {
        let request = client.request(Method::GET, &path).header(name, value);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(status("if-none-match", etag.to_str().unwrap().into()).await, 304);
    assert_eq!(status("if-none-match", "\"other\"".into()).await, 200);
    assert_eq!(status("if-modified-since", modified.to_str().unwrap().into()).await, 304);
    assert_eq!(status("if-modified-since", "Fri, 01 Mar 1974 12:00:00 GMT".into()).await, 200);
    assert_eq!(status("if-modified-since", "nonsense".into()).await, 200);
}

#[tokio::test]
async fn a_long_month_is_compressed_and_a_photo_is_not() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let mut id = String::new();
    for seed in 0..12 {
        id = client.uploaded("a.jpg", photos::jpeg(seed)).await;
    }
    let encoding = async |path: &str| {
        let request = client.request(Method::GET, path).header("accept-encoding", "gzip");
        let answer = request.send().await.unwrap();
        answer.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(encoding("/timeline/bucket?timeBucket=2024-03-01").await.as_deref(), Some("gzip"));
    assert_eq!(encoding(&format!("/assets/{id}/original")).await, None);
}

#[tokio::test]
async fn date_zone_and_place_are_corrected_and_stay_so() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let exif = Exif {
        taken: Some("2020:01:31 23:30:00"),
        offset: Some("+09:00"),
        gps: Some((35.68, 139.69)),
        ..Exif::default()
    };
    let id = client.uploaded("a.jpg", photos::encoded_jpeg(320, 240, 1, Some(&exif))).await;
    client.processed(&id).await;
    let path = format!("/assets/{id}");
    let body = json!({ "dateTimeOriginal": "2021-07-01T10:00:00.000+02:00", "latitude": 52.0116, "longitude": 4.3571 });
    let put = client.put(&path, &body).await.ok();
    let times = |asset: &Value| {
        format!(
            "{} {} {} {}",
            asset["fileCreatedAt"],
            asset["localDateTime"],
            asset["exifInfo"]["dateTimeOriginal"],
            asset["exifInfo"]["timeZone"]
        )
        .replace('"', "")
    };
    let corrected = "2021-07-01T08:00:00.000Z 2021-07-01T10:00:00.000Z 2021-07-01T08:00:00.000Z UTC+02:00";
    assert_eq!(times(&put), corrected);
    assert_eq!(put["exifInfo"]["country"], "Netherlands");
    // The metadata step reads the file again, and leaves alone what was said by hand.
    let raw = app.database.raw().await;
    let ended = async || {
        let query = "SELECT at::text FROM step_result WHERE step = 'metadata'";
        raw.query_opt(query, &[]).await.unwrap().map(|row| row.get::<_, String>(0))
    };
    let before = ended().await;
    client.put("/jobs/metadataExtraction", &json!({ "command": "start", "force": true })).await.ok();
    tests::eventually("the step ran again", || async {
        ended().await.filter(|at| before.as_ref() != Some(at)).map(drop)
    })
    .await;
    client.processed(&id).await;
    let again = client.get(&path).await.ok();
    assert_eq!(times(&again), corrected);
    assert_eq!(again["exifInfo"]["latitude"], 52.0116);
    client.put("/assets", &json!({ "ids": [id], "dateTimeRelative": 90 })).await.ok();
    let shifted = "2021-07-01T09:30:00.000Z 2021-07-01T11:30:00.000Z 2021-07-01T09:30:00.000Z UTC+02:00";
    assert_eq!(times(&client.get(&path).await.ok()), shifted);
    client.put("/assets", &json!({ "ids": [id], "timeZone": "Asia/Tokyo" })).await.ok();
    let zoned = "2021-07-01T09:30:00.000Z 2021-07-01T18:30:00.000Z 2021-07-01T09:30:00.000Z Asia/Tokyo";
    assert_eq!(times(&client.get(&path).await.ok()), zoned);
    let buckets = client.get("/timeline/buckets").await.ok();
    assert_eq!(buckets, json!([{ "count": 1, "timeBucket": "2021-07-01" }]));
}

#[tokio::test]
async fn a_sidecar_says_when_and_where_and_what() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let xmp = r#"<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description xmp:Rating="4"
        exif:DateTimeOriginal="2012-05-06T07:08:09+02:00" exif:GPSLatitude="52,0.696N" exif:GPSLongitude="4,21.426E">
        <dc:description><rdf:Alt><rdf:li xml:lang="x-default">Stairs &amp; a cat</rdf:li></rdf:Alt></dc:description>
        </rdf:Description></rdf:RDF></x:xmpmeta>"#;
    let part = reqwest::multipart::Part::bytes(xmp.as_bytes()).file_name("a.jpg.xmp");
    let form = Client::form("a.jpg", photos::jpeg(1)).part("sidecarData", part);
    let id = client.upload_form(form).await.ok()["id"].as_str().unwrap().to_owned();
    let at_once = client.get(&format!("/assets/{id}")).await.ok();
    assert_eq!(at_once["localDateTime"], "2012-05-06T07:08:09.000Z", "committed with the photo");
    let asset = client.processed(&id).await;
    assert!(app.files().iter().any(|file| file.contains("/2012/2012-05-06/")), "{:?}", app.files());
    let info = &asset["exifInfo"];
    assert_eq!(asset["localDateTime"], "2012-05-06T07:08:09.000Z");
    assert_eq!(asset["fileCreatedAt"], "2012-05-06T05:08:09.000Z");
    assert_eq!((&info["rating"], &info["description"]), (&json!(4), &json!("Stairs & a cat")));
    assert_eq!((&info["country"], &info["timeZone"]), (&json!("Netherlands"), &json!("UTC+02:00")));
    let broken = reqwest::multipart::Part::bytes(b"\xff\xfe<x \0".to_vec()).file_name("b.jpg.xmp");
    let form = Client::form("b.jpg", photos::jpeg(2)).part("sidecarData", broken);
    assert_eq!(client.upload_form(form).await.status, StatusCode::CREATED, "a broken sidecar stops no photo");
}

#[tokio::test]
async fn names_arrive_as_they_can_be_kept() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    for (seed, (sent, kept)) in [
        ("../../etc/passwd.jpg", "passwd.jpg"),
        ("..\\..\\boot.jpg", "boot.jpg"),
        ("two\nlines.jpg", "twolines.jpg"),
        ("nul\0inside.jpg", "nulinside.jpg"),
        ("beach 🏖️ \"quoted\".jpg", "beach 🏖️ \"quoted\".jpg"),
    ]
    .into_iter()
    .enumerate()
    {
        let form = Client::form("plain.jpg", photos::jpeg(seed as u32)).text("filename", sent);
        let id = client.upload_form(form).await.ok()["id"].as_str().unwrap().to_owned();
        let asset = client.get(&format!("/assets/{id}")).await.ok();
        assert_eq!(asset["originalFileName"], kept);
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photos::jpeg(seed as u32));
    }
    let form = Client::form("plain.jpg", photos::jpeg(99)).text("filename", format!("{}.jpg", "ü".repeat(300)));
    let id = client.upload_form(form).await.ok()["id"].as_str().unwrap().to_owned();
    let name = client.get(&format!("/assets/{id}")).await.ok()["originalFileName"].as_str().unwrap().to_owned();
    assert!(name.len() <= 255 && name.ends_with("ü.jpg"), "{name}");
    for file in app.files() {
        assert!(!file.contains("..") && !file.chars().any(char::is_control), "{file:?}");
    }
}

#[tokio::test]
async fn a_connection_that_never_says_what_it_wants_is_closed() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let app = TestApp::start().await;
    let mut socket = tokio::net::TcpStream::connect(app.running.address.unwrap()).await.unwrap();
    socket.write_all(b"GET /api/server/ping HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(25), socket.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "the connection is closed");
}

/// A browser reads no answer before it has sent its body; a server that closed meanwhile would have reset it.
#[tokio::test]
async fn a_refusal_is_read_by_who_sends_everything_first() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let app = TestApp::start().await;
    let mut socket = tokio::net::TcpStream::connect(app.running.address.unwrap()).await.unwrap();
    let len = 40 << 20;
    let head = format!(
        "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..40 {
        socket.write_all(&vec![b' '; 1 << 20]).await.expect("the server takes what it throws away");
    }
    // The connection is as good as any other afterwards.
    socket.write_all(b"GET /api/server/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answers = String::new();
    socket.read_to_string(&mut answers).await.unwrap();
    assert!(answers.starts_with("HTTP/1.1 413 "), "{answers}");
    assert!(answers.contains("HTTP/1.1 200 OK") && answers.ends_with(r#"{"res":"pong"}"#), "{answers}");
}
