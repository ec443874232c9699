//! The upload protocol, with what is hostile, broken or repeated.

use std::time::Duration;

use image::ImageFormat;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::photos::{self, Exif};
use tests::{Client, TestApp, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn keeps_the_bytes_and_says_created_then_duplicate() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bytes = photos::jpeg(1);
    let first = client.upload("IMG_1.jpg", bytes.clone()).await;
    assert_eq!((first.status, first.body["status"].as_str().unwrap()), (StatusCode::CREATED, "created"));
    let second = client.upload("other name.jpg", bytes.clone()).await;
    assert_eq!((second.status, second.body["status"].as_str().unwrap()), (StatusCode::OK, "duplicate"));
    assert_eq!(first.body["id"], second.body["id"]);
    let id = first.body["id"].as_str().unwrap();
    assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, bytes);
    client.processed(id).await;
    let originals: Vec<String> = app.files().into_iter().filter(|path| path.starts_with("library/")).collect();
    assert_eq!(originals, ["library/admin/2024/2024-03-15/IMG_1.jpg"]);
}

#[tokio::test]
async fn fields_may_come_after_the_file() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let form = Form::new()
        .part("assetData", Part::bytes(photos::jpeg(2)).file_name("sent.jpg"))
        .text("filename", "IMG_2.jpg")
        .text("isFavorite", "true")
        .text("fileModifiedAt", "2023-01-02T03:04:05Z")
        .text("fileCreatedAt", "2023-01-02T03:04:05Z");
    let id = client.upload_form(form).await.ok()["id"].as_str().unwrap().to_owned();
    let asset = client.processed(&id).await;
    assert_eq!(asset["originalFileName"], "IMG_2.jpg");
    assert_eq!(asset["isFavorite"], true);
    assert_eq!(asset["fileCreatedAt"], "2023-01-02T03:04:05.000Z");
}

#[tokio::test]
async fn the_same_bytes_twenty_times_at_once_are_one_asset_and_one_file() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bytes = photos::jpeg(3);
    let uploads = (0..20).map(|_| client.upload("IMG.jpg", bytes.clone()));
    let answers = futures::future::join_all(uploads).await;
    let created = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    assert_eq!(created, 1);
    assert!(answers.iter().all(|answer| answer.body["id"] == answers[0].body["id"]));
    client.processed(answers[0].body["id"].as_str().unwrap()).await;
    app.running.gallery.sweep().await.unwrap();
    assert_eq!(app.files().iter().filter(|path| path.starts_with("library/")).count(), 1, "{:?}", app.files());
}

#[tokio::test]
async fn two_photos_of_one_name_and_day_are_two_files() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let ids = [client.uploaded("IMG.jpg", photos::jpeg(4)).await, client.uploaded("IMG.jpg", photos::jpeg(5)).await];
    for (id, seed) in ids.iter().zip([4, 5]) {
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photos::jpeg(seed));
    }
    let originals: Vec<String> = app.files().into_iter().filter(|path| path.starts_with("library/")).collect();
    assert_eq!(originals, ["library/admin/2024/2024-03-15/IMG+1.jpg", "library/admin/2024/2024-03-15/IMG.jpg"]);
}

#[tokio::test]
async fn the_date_of_the_photo_decides_the_folder() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let exif = Exif { taken: Some("2011:11:12 23:30:00"), offset: Some("-03:00"), ..Exif::default() };
    client.uploaded("night.jpg", photos::encoded_jpeg(320, 240, 6, Some(&exif))).await;
    assert!(app.files().contains(&"library/admin/2011/2011-11-12/night.jpg".to_owned()), "{:?}", app.files());
}

#[tokio::test]
async fn names_that_try_to_lead_out_stay_in() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let long = format!("{}.jpg", "é".repeat(300));
    for (seed, name, shown) in [
        (10, "../../../etc/passwd.jpg", "passwd.jpg"),
        (11, "/etc/shadow.jpg", "shadow.jpg"),
        (12, "..\\..\\boot.jpg", "boot.jpg"),
        (13, "a\0b.jpg", "ab.jpg"),
        (14, "new\nline.jpg", "newline.jpg"),
        (15, "🏖️ Strand.jpg", "🏖️ Strand.jpg"),
        (16, ".jpg.jpg", ".jpg.jpg"),
        (17, "con.jpg", "con.jpg"),
        (18, &long, ""),
    ] {
        let form = Client::form("x.jpg", photos::jpeg(seed)).text("filename", name.to_owned());
        let id = client.upload_form(form).await.ok()["id"].as_str().unwrap().to_owned();
        let asset = client.get(&format!("/assets/{id}")).await.ok();
        let kept = asset["originalFileName"].as_str().unwrap();
        if !shown.is_empty() {
            assert_eq!(kept, shown);
        }
        assert!(kept.len() <= 255 && kept.ends_with(".jpg"), "{kept}");
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photos::jpeg(seed), "{name}");
    }
    assert!(app.files().iter().all(|path| !path.contains("..")), "{:?}", app.files());
    assert!(!app.folder().join("etc").exists() && !app.folder().join("data/etc").exists());
}

#[tokio::test]
async fn what_is_missing_or_malformed_is_named_and_leaves_nothing() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let file = || Part::bytes(photos::jpeg(20)).file_name("a.jpg");
    let dates =
        || Form::new().text("fileCreatedAt", "2024-01-01T00:00:00Z").text("fileModifiedAt", "2024-01-01T00:00:00Z");
    let cases = [
        ("assetData", dates()),
        ("fileCreatedAt", Form::new().part("assetData", file()).text("fileModifiedAt", "2024-01-01T00:00:00Z")),
        ("fileModifiedAt", Form::new().part("assetData", file()).text("fileCreatedAt", "2024-01-01T00:00:00Z")),
        ("fileCreatedAt", Form::new().part("assetData", file()).text("fileCreatedAt", "yesterday")),
        ("visibility", dates().part("assetData", file()).text("visibility", "sideways")),
        ("livePhotoVideoId", dates().part("assetData", file()).text("livePhotoVideoId", "7")),
        ("assetData", dates().part("assetData", file()).part("assetData", file())),
        ("fileCreatedAt", dates().part("assetData", file()).text("fileCreatedAt", "9".repeat(70_000))),
    ];
    for (field, form) in cases {
        let answer = client.upload_form(form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{field}: {}", answer.body);
        assert!(answer.body.to_string().contains(field), "{field}: {}", answer.body);
    }
    let empty = client.upload("a.jpg", Vec::new()).await;
    assert_eq!(empty.error(), "400 File is empty");
    let unknown = client.upload("notes.txt", b"hello".to_vec()).await;
    assert_eq!(unknown.error(), "400 Unsupported file type \"notes.txt\"");
    let no_form = client.post("/assets", &json!({})).await;
    assert_eq!(no_form.status, StatusCode::BAD_REQUEST);
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn a_body_that_is_cut_off_leaves_nothing() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let address = client.url.trim_start_matches("http://").to_owned();
    let mut connection = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /api/assets HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Length: 1000000\r\n\
         Content-Type: multipart/form-data; boundary=X\r\n\r\n--X\r\nContent-Disposition: form-data; name=\"assetData\"; \
         filename=\"a.jpg\"\r\n\r\n",
        client.token.as_ref().unwrap()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&[7; 50_000]).await.unwrap();
    eventually("the upload has begun", || async { (inbox(&app) > 0).then_some(()) }).await;
    connection.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = connection.read_to_string(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_while_it_arrives() {
    let app = TestApp::with(|settings| settings.uploads.max_size = 10_000).await;
    let client = app.sign_up().await;
    let answer = client.upload("large.jpg", vec![1; 200_000]).await;
    assert_eq!(answer.error(), "413 the file is larger than the 10000 bytes that uploads.max-size allows");
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn a_quota_stops_at_the_words_that_the_apps_know() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    app.database.raw().await.execute("UPDATE app_user SET quota_bytes = 9000", &[]).await.unwrap();
    // Who a token belongs to is remembered for seconds; a new session is not.
    let mut client = client;
    client.log_in().await;
    let answer = client.upload("large.jpg", vec![1; 20_000]).await;
    assert_eq!(answer.error(), "400 Quota has been exceeded!");
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn a_checksum_that_is_known_needs_no_body() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let bytes = photos::jpeg(30);
    let id = client.uploaded("a.jpg", bytes.clone()).await;
    use sha1::Digest as _;
    let sha1 = hex::encode(sha1::Sha1::digest(&bytes));
    let request = client.request(Method::POST, "/assets").header("x-immich-checksum", &sha1);
    let answer = request.multipart(Client::form("a.jpg", b"never read".to_vec())).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body, json!({ "id": id, "status": "duplicate" }));

    let check = json!({ "assets": [{ "id": "mine", "checksum": sha1 }, { "id": "new", "checksum": "0".repeat(40) }] });
    let checked = client.post("/assets/bulk-upload-check", &check).await.ok();
    assert_eq!(
        checked["results"],
        json!([
            { "id": "mine", "action": "reject", "reason": "duplicate", "assetId": id, "isTrashed": false },
            { "id": "new", "action": "accept" },
        ])
    );
}

#[tokio::test]
async fn a_picture_that_cannot_be_decoded_is_kept_marked_and_explained() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let mut truncated = photos::encoded(ImageFormat::Png, 400, 300, 1);
    truncated.truncate(truncated.len() / 2);
    let cases = [
        ("text.jpg", b"These are words, not pixels.".to_vec()),
        ("truncated.png", truncated),
        ("bomb.png", bomb()),
        ("noise.heic", vec![0x5a; 5_000]),
    ];
    for (name, bytes) in cases {
        let id = client.uploaded(name, bytes.clone()).await;
        client.processed(&id).await;
        let errors = client.get(&format!("/latent/assets/{id}/errors")).await.ok();
        assert_eq!(errors[0]["step"], "thumbnails", "{name}: {errors}");
        assert!(errors[0]["message"].as_str().unwrap().len() > 10, "{name}: {errors}");
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, bytes, "{name}");
        let thumbnail = client.get(&format!("/assets/{id}/thumbnail")).await;
        assert_eq!(thumbnail.status, StatusCode::NOT_FOUND, "{name}");
    }
    assert_eq!(client.timeline().await.len(), 4);
}

/// A PNG whose header claims 30,000 x 30,000 pixels, in few bytes.
fn bomb() -> Vec<u8> {
    let mut png = photos::encoded(ImageFormat::Png, 8, 8, 0);
    png[16..20].copy_from_slice(&30_000_u32.to_be_bytes());
    png[20..24].copy_from_slice(&30_000_u32.to_be_bytes());
    let checksum = crc(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// Files that are arriving, in the folders of all processes.
fn inbox(app: &TestApp) -> usize {
    app.files().iter().filter(|path| path.starts_with(".inbox/")).count()
}

/// No asset, no file, no bytes in the inbox.
async fn nothing_is_left(app: &TestApp) {
    eventually("the inbox is empty", || async { (inbox(app) == 0).then_some(()) }).await;
    app.running.gallery.sweep().await.unwrap();
    assert_eq!(app.files(), Vec::<String>::new());
    let row = app.database.raw().await.query_one("SELECT count(*) FROM asset", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn an_intent_whose_upload_died_is_swept_and_an_asset_is_not() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("kept.jpg", photos::jpeg(40)).await;
    client.processed(&id).await;
    let raw = app.database.raw().await;
    // As if a second upload of other bytes had died behind its put.
    let orphan = app.library().join("library/admin/2024/2024-03-15/orphan.jpg");
    std::fs::write(&orphan, photos::jpeg(41)).unwrap();
    raw.execute(
        "INSERT INTO blob_intent (id, state, object_key, object, location, owner_id, lease_until)
         SELECT uuidv7(), 'pending', 'x', object, 'main:library/admin/2024/2024-03-15/orphan.jpg', owner_id,
            now() - interval '1 minute' FROM blob_intent LIMIT 1",
        &[],
    )
    .await
    .unwrap();
    tokio::time::timeout(Duration::from_secs(30), app.running.gallery.sweep()).await.unwrap().unwrap();
    assert!(!orphan.exists());
    assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photos::jpeg(40));
    let intents = raw.query("SELECT state FROM blob_intent", &[]).await.unwrap();
    assert_eq!(intents.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["live"]);
}

#[tokio::test]
async fn a_live_photo_whose_video_is_unknown_is_refused() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let unknown = "0192f0c1-7d5e-7abc-8def-0123456789ab";
    let form = Client::form("a.jpg", photos::jpeg(50)).text("livePhotoVideoId", unknown);
    assert_eq!(client.upload_form(form).await.error(), "400 Live photo video not found");
    nothing_is_left(&app).await;
}

#[tokio::test]
async fn a_video_that_is_called_a_photo_is_a_video() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let mut video = b"\0\0\0\x18ftypisom\0\0\x02\0isommp41".to_vec();
    video.extend([0; 500]);
    let id = client.uploaded("movie.jpg", video).await;
    let asset = client.processed(&id).await;
    assert_eq!((&asset["type"], &asset["originalMimeType"]), (&json!("VIDEO"), &json!("video/mp4")));
    let errors = client.get(&format!("/latent/assets/{id}/errors")).await.ok();
    for error in errors.as_array().unwrap() {
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("this is not a video"), "nobody tried to decode it as a photo: {message}");
    }
}

#[tokio::test]
async fn an_original_moves_to_where_its_date_says() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    // What the camera wrote lies behind more than the upload looks at.
    let exif = Exif { taken: Some("2011:11:12 23:30:00"), offset: Some("-03:00"), ..Exif::default() };
    let mut photo = photos::encoded_jpeg(320, 240, 51, Some(&exif));
    for _ in 0..5 {
        photo = photos::with_segment(&photo, 0xe9, &[0; 60_000]);
    }
    let id = client.uploaded("late.jpg", photo.clone()).await;
    client.processed(&id).await;
    let originals = || app.files().into_iter().filter(|path| path.starts_with("library/")).collect::<Vec<_>>();
    assert_eq!(originals(), ["library/admin/2011/2011-11-12/late.jpg"]);
    assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photo);

    // Its owner knows better, and that stays when the camera's words are read again.
    let change = json!({ "dateTimeOriginal": "2010-06-07T08:09:10.000+02:00", "timeZone": "Europe/Berlin" });
    client.put(&format!("/assets/{id}"), &change).await.ok();
    let there = "library/admin/2010/2010-06-07/late.jpg";
    eventually("the original has moved", || async { (originals() == [there]).then_some(()) }).await;
    let seen = client.processed(&id).await;
    assert_eq!(seen["fileCreatedAt"], "2010-06-07T06:09:10.000Z");
    assert_eq!(seen["exifInfo"]["timeZone"], "Europe/Berlin");
    assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photo);
    let query = "SELECT state, location FROM blob_intent";
    let intents = app.database.raw().await.query(query, &[]).await.unwrap();
    let intents: Vec<(String, String)> = intents.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(intents, [("live".to_owned(), format!("main:{there}"))]);
}

#[tokio::test]
async fn bytes_that_two_owners_share_stay_until_both_have_deleted_them() {
    let change = |settings: &mut server::Settings| {
        let template = json!("library/{yyyy}/{name}");
        settings.storage.backend.get_mut("main").unwrap().settings.insert("template".into(), template);
    };
    let app = TestApp::with(change).await;
    let ann = app.sign_up().await;
    app.running.gallery.create_user("bob@example.org", "Bob", "correct horse").await.unwrap();
    let mut bob = app.anonymous.clone();
    let login = bob.post("/auth/login", &json!({ "email": "bob@example.org", "password": "correct horse" })).await.ok();
    bob.token = login["accessToken"].as_str().map(str::to_owned);
    let bytes = photos::jpeg(52);
    let (of_ann, of_bob) = (ann.uploaded("a.jpg", bytes.clone()).await, bob.uploaded("a.jpg", bytes.clone()).await);
    ann.processed(&of_ann).await;
    bob.processed(&of_bob).await;
    let originals = || app.files().into_iter().filter(|path| path.starts_with("library/")).count();
    assert_eq!(originals(), 1);
    ann.delete("/assets", &json!({ "ids": [of_ann], "force": true })).await.ok();
    app.running.gallery.sweep().await.unwrap();
    assert_eq!(bob.bytes(&format!("/assets/{of_bob}/original")).await, bytes);
    bob.delete("/assets", &json!({ "ids": [of_bob], "force": true })).await.ok();
    assert_eq!(app.files(), Vec::<String>::new());
}

#[tokio::test]
async fn the_same_bytes_under_another_name_that_nobody_owns_are_swept() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("one.jpg", photos::jpeg(53)).await;
    client.processed(&id).await;
    // As if the same bytes had been sent at once under a second name, and lost against the first.
    let folder = app.library().join("library/admin/2024/2024-03-15");
    std::fs::copy(folder.join("one.jpg"), folder.join("two.jpg")).unwrap();
    let raw = app.database.raw().await;
    let lost = "INSERT INTO blob_intent (id, state, object_key, object, location, owner_id, lease_until)
        SELECT uuidv7(), 'garbage', object_key, object, 'main:library/admin/2024/2024-03-15/two.jpg', owner_id, now()
        FROM blob_intent";
    raw.execute(lost, &[]).await.unwrap();
    // And a third time, by a process that died before it noted where.
    let unknown = "INSERT INTO blob_intent (id, state, object_key, object, owner_id, lease_until)
        SELECT uuidv7(), 'pending', object_key, object, owner_id, now() FROM blob_intent WHERE state = 'live'";
    raw.execute(unknown, &[]).await.unwrap();
    app.running.gallery.sweep().await.unwrap();
    assert!(!folder.join("two.jpg").exists());
    assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photos::jpeg(53));
    let states = raw.query("SELECT state FROM blob_intent", &[]).await.unwrap();
    assert_eq!(states.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["live"]);
}
