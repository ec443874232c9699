//! The plugin storage-s3 against two services that know nothing of each other, and against one that breaks.

use std::sync::Arc;
use std::time::Duration;

use blobs::{Blob, BlobClass, Blobs, Object, StorageError};
use plugin_host::http::Origin;
use plugin_host::{BoundSecret, HostConfig, HttpOrigin, Lent, OperatorGrant, PluginHost, SecretText};
use serde_json::{Value, json};
use server::Settings;
use sha2::{Digest as _, Sha256};
use tests::kv::Memory;
use tests::moto::Moto;
use tests::s3::{Fault, S3};
use tests::{TestApp, photos};

/// A server whose storage `cloud` is a bucket at `url`; `main` is a folder, and takes what is new.
async fn beside(url: &str, change: impl FnOnce(&mut Settings)) -> TestApp {
    TestApp::serving(|settings| {
        tests::add_bucket(settings, "cloud", url);
        change(settings);
    })
    .await
}

fn cloud(settings: &mut Settings) -> &mut serde_json::Map<String, Value> {
    &mut settings.storage.backend.get_mut("cloud").unwrap().settings
}

fn blobs(app: &TestApp) -> &Blobs {
    app.running.gallery.blobs()
}

fn object(key: &str, name: &str, bytes: &[u8]) -> Object {
    Object {
        key: key.into(),
        class: BlobClass::Original,
        owner: "ann".into(),
        owner_label: None,
        taken_ms: Some(1_710_504_000_000),
        file_name: name.into(),
        sha256: Sha256::digest(bytes).into(),
    }
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

async fn put(app: &TestApp, key: &str, name: &str, bytes: &[u8]) -> Result<String, StorageError> {
    let blob = Blob::from_bytes(bytes.to_vec());
    blobs(app).put_in("cloud", &object(key, name, bytes), &blob).await.map(|(location, _)| location)
}

async fn get(app: &TestApp, location: &str) -> Vec<u8> {
    blobs(app).get(location, 0, None).await.unwrap().read().await.unwrap().to_vec()
}

async fn round_trip(app: &TestApp) {
    let names = ["IMG_1.jpg", "ä b+c%2F&=?#.jpg", "🏖️.heic", "..", "a'b\"c<d>.mov", "名前 (1).jpg"];
    for (at, name) in names.into_iter().enumerate() {
        let bytes = noise(3_000 + at, at as u64 + 1);
        let key = format!("0192f0c1-7d5e-7abc-8def-0123456789a{at}");
        let location = put(app, &key, name, &bytes).await.unwrap();
        assert!(location.starts_with("cloud:library/ann/"), "{location}");
        assert_eq!(put(app, &key, name, &bytes).await.unwrap(), location, "a repeat finds the first");
        let found = blobs(app).find_in("cloud", &object(&key, name, &bytes)).await.unwrap();
        assert_eq!(found.as_deref(), Some(&*location));
        assert_eq!(get(app, &location).await, bytes);
        for (offset, len) in
            [(0, Some(10)), (7, Some(100)), (2_990, None), (2_990, Some(1_000)), (0, Some(0)), (9_999, None)]
        {
            let part = blobs(app).get(&location, offset, len).await.unwrap().read().await.unwrap();
            let end = len.map_or(bytes.len(), |len| (offset + len).min(bytes.len() as u64) as usize);
            let expected = bytes.get(offset as usize..end).unwrap_or(&[]);
            assert_eq!(part, expected, "{name} {offset} {len:?}");
        }
        blobs(app).delete(&location).await.unwrap();
        blobs(app).delete(&location).await.unwrap();
        let gone = blobs(app).get(&location, 0, None).await.unwrap_err();
        assert!(matches!(gone, StorageError::NotFound(_)), "{gone}");
        assert_eq!(blobs(app).find_in("cloud", &object(&key, name, &bytes)).await.unwrap(), None);
    }
}

async fn in_parts(app: &TestApp) {
    let bytes = noise((12 << 20) + 5, 7);
    let location = put(app, "large", "film.mp4", &bytes).await.unwrap();
    assert!(get(app, &location).await == bytes);
    // Across the seam of two parts.
    let seam = 5 << 20;
    let part = blobs(app).get(&location, seam - 10, Some(20)).await.unwrap().read().await.unwrap();
    assert_eq!(part, bytes[seam as usize - 10..seam as usize + 10]);
}

async fn pages(app: &TestApp) {
    let mut expected = Vec::new();
    for at in 0..7 {
        let location = put(app, &format!("page-{at}"), "p.jpg", format!("page {at}").as_bytes()).await.unwrap();
        expected.push(location.strip_prefix("cloud:").unwrap().to_owned());
    }
    expected.sort();
    let mut found: Vec<String> = Vec::new();
    loop {
        let page = blobs(app).list_in("cloud", found.last().map(String::as_str), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 3);
        found.extend(page.into_iter().map(|stored| stored.location).filter(|location| location.ends_with("/p.jpg")));
    }
    assert_eq!(found, expected);
}

async fn everything(url: &str) {
    let app = beside(url, |settings| {
        cloud(settings).extend([("part-mib".into(), json!(5)), ("multipart-above-mib".into(), json!(5))]);
        cloud(settings).insert("prefix".into(), "latent ü/".into());
    })
    .await;
    pages(&app).await;
    round_trip(&app).await;
    in_parts(&app).await;
    let seen = app.running.gallery.backends().await;
    let cloud = seen.iter().find(|backend| backend.name == "cloud").unwrap();
    assert_eq!((&cloud.error, cloud.usage), (&None, None));
}

#[tokio::test]
async fn objects_go_in_and_come_out_of_s3s() {
    let s3 = S3::start().await;
    everything(&s3.url).await;
}

#[tokio::test]
async fn objects_go_in_and_come_out_of_moto() {
    let moto = Moto::start().await;
    everything(&moto.url).await;
}

#[tokio::test]
async fn a_bucket_of_another_library_or_without_its_marker_is_not_written() {
    let s3 = S3::start().await;
    let ours = beside(&s3.url, |_| {}).await;
    put(&ours, "a", "a.jpg", b"ours").await.unwrap();
    let marker = s3.bucket().join(".latent");
    let text = std::fs::read_to_string(&marker).unwrap();
    // Another library with the same bucket: it starts, and writes nothing there.
    let theirs = beside(&s3.url, |_| {}).await;
    s3.seen();
    let refused = put(&theirs, "b", "b.jpg", b"theirs").await.unwrap_err().to_string();
    assert!(refused.contains("cloud belongs to another Latent library"), "{refused}");
    let written: Vec<String> = s3.seen().into_iter().filter(|what| !what.starts_with("GET")).collect();
    assert_eq!(written, Vec::<String>::new());
    let health = theirs.running.gallery.backends().await;
    assert!(
        health.iter().any(|backend| backend.error.as_ref().is_some_and(|why| why.contains("another Latent library")))
    );
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), text);
    // Ours, after its marker went: a bucket of the same name is not the same bucket.
    std::fs::remove_file(&marker).unwrap();
    let health = ours.running.gallery.ready().await.unwrap_err();
    assert!(health.contains("storage backend cloud") && health.contains("It was there before"), "{health}");
    let refused = put(&ours, "c", "c.jpg", b"ours").await.unwrap_err().to_string();
    assert!(refused.contains("right bucket and prefix"), "{refused}");
    std::fs::write(&marker, text).unwrap();
    put(&ours, "c", "c.jpg", b"ours").await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_the_settings_is_said() {
    let s3 = S3::start().await;
    let health = |app: TestApp| async move {
        let health = app.running.gallery.backends().await;
        health.into_iter().find(|backend| backend.name == "cloud").unwrap().error.expect("something is wrong")
    };
    let no_bucket = beside(&s3.url, |settings| drop(cloud(settings).insert("bucket".into(), "moon".into()))).await;
    let why = health(no_bucket).await;
    assert!(why.contains("there is no bucket \"moon\": make it"), "{why}");
    let stranger =
        beside(&s3.url, |settings| drop(cloud(settings).insert("access-key-id".into(), "AKIASTRANGER".into()))).await;
    let why = health(stranger).await;
    assert!(why.contains("AKIASTRANGER"), "{why}");
    let wrong_secret = beside(&s3.url, |settings| tests::set_secret(settings, "cloud", "another-secret")).await;
    let why = health(wrong_secret).await;
    assert!(why.contains("is the secret \"key\" the key of AKIALATENTTESTS"), "{why}");
    let nobody =
        beside("http://127.0.0.1:9", |settings| drop(cloud(settings).insert("attempts".into(), json!(1)))).await;
    let why = health(nobody).await;
    assert!(why.contains("127.0.0.1:9"), "{why}");
    s3.break_next(
        9,
        "GET",
        Fault::Answer {
            status: 301,
            code: "PermanentRedirect",
            headers: vec![("x-amz-bucket-region", "eu-central-1".into())],
        },
    );
    let why = health(beside(&s3.url, |_| {}).await).await;
    assert!(why.contains("set region = \"eu-central-1\""), "{why}");
    s3.mend();
    for (key, value) in [("endpoint", json!("s3.example.net")), ("prefix", json!("/a")), ("part-mib", json!(1))] {
        let app = TestApp::serving(|_| {}).await;
        let mut settings = app.settings.clone();
        tests::add_bucket(&mut settings, "cloud", &s3.url);
        cloud(&mut settings).insert(key.into(), value);
        let started = server::start(&settings, server::Role::Serve, Vec::new(), Arc::new(String::new)).await;
        let said = match started {
            Err(error) => format!("{error:#}"),
            Ok(running) => running.gallery.ready().await.expect_err("the settings are wrong"),
        };
        assert!(said.contains(key), "{key}: {said}");
    }
}

#[tokio::test]
async fn a_service_that_is_busy_or_cut_off_is_asked_again() {
    let s3 = S3::start().await;
    let app = beside(&s3.url, |_| {}).await;
    let busy =
        |status: u16, code: &'static str| Fault::Answer { status, code, headers: vec![("retry-after", "0".into())] };
    let faults = [
        ("HEAD", busy(503, "")),
        ("PUT", busy(503, "SlowDown")),
        ("PUT", busy(500, "InternalError")),
        ("PUT", busy(429, "")),
        ("PUT", busy(502, "")),
        ("PUT", busy(400, "RequestTimeout")),
        ("PUT", Fault::Drop),
        ("PUT", Fault::Lose),
        ("HEAD", Fault::Drop),
    ];
    for (at, (method, fault)) in faults.into_iter().enumerate() {
        let bytes = noise(2_000, at as u64 + 1);
        s3.break_next(2, method, fault.clone());
        let location = put(&app, &format!("busy-{at}"), "a.jpg", &bytes).await;
        let location = location.unwrap_or_else(|error| panic!("{method} {fault:?}: {error}"));
        assert_eq!(get(&app, &location).await, bytes);
    }
    let bytes = noise(600_000, 99);
    let location = put(&app, "cut", "a.jpg", &bytes).await.unwrap();
    // A body that ends in its midst is read on from there.
    s3.break_next(1, "GET", Fault::Cut(200_000));
    s3.break_next(1, "GET", Fault::Cut(100_000));
    s3.seen();
    assert!(get(&app, &location).await == bytes);
    assert_eq!(s3.seen().iter().filter(|what| what.starts_with("GET") && what.ends_with(" 206")).count(), 2);
    s3.break_next(1, "GET", Fault::Drop);
    assert!(get(&app, &location).await == bytes);
    // For ever: it gives up, and says why.
    s3.break_next(u32::MAX, "PUT", busy(503, "SlowDown"));
    let gave_up = put(&app, "never", "a.jpg", b"x").await.unwrap_err();
    assert!(matches!(&gave_up, StorageError::Unavailable(why) if why.contains("503 SlowDown")), "{gave_up}");
    s3.mend();
    put(&app, "never", "a.jpg", b"x").await.unwrap();
}

#[tokio::test]
async fn every_refusal_is_an_error_that_names_it_and_leaves_all_as_it_was() {
    let s3 = S3::start().await;
    let app = beside(&s3.url, |settings| drop(cloud(settings).insert("attempts".into(), json!(1)))).await;
    let bytes = noise(2_000, 1);
    let location = put(&app, "kept", "a.jpg", &bytes).await.unwrap();
    let codes = [(403, "AccessDenied"), (400, "MalformedXML"), (409, "OperationAborted"), (404, "NoSuchBucket")];
    let bare = (400..=431).chain(500..=511).filter(|status| *status != 416).map(|status| (status, ""));
    for (status, code) in codes.into_iter().chain(bare) {
        let fault = Fault::Answer { status, code, headers: Vec::new() };
        s3.break_next(1, "PUT", fault.clone());
        let refused = put(&app, "refused", "a.jpg", b"x").await.unwrap_err().to_string();
        assert!(refused.contains("cannot write library/ann/"), "{status} {code}: {refused}");
        s3.break_next(1, "GET /photos/library", fault);
        let refused = blobs(&app).get(&location, 0, None).await.unwrap_err().to_string();
        assert!(refused.contains("cannot read library/ann/"), "{status} {code}: {refused}");
        s3.mend();
    }
    assert_eq!(get(&app, &location).await, bytes);
    assert_eq!(blobs(&app).find_in("cloud", &object("refused", "a.jpg", b"x")).await.unwrap(), None);
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_by_the_services() {
    let s3 = S3::start().await;
    let app = beside(&s3.url, |_| {}).await;
    for ahead in [Duration::from_secs(5 * 3_600), Duration::ZERO] {
        s3.set_clock_ahead(ahead);
        s3.seen();
        let bytes = noise(1_000, ahead.as_secs());
        let location = put(&app, &format!("clock-{ahead:?}"), "a.jpg", &bytes).await.unwrap();
        assert_eq!(get(&app, &location).await, bytes);
        let refused = s3.seen().iter().filter(|what| what.ends_with(" 403")).count();
        assert_eq!(refused, 1, "one request found out, and the others were signed with the right time");
    }
}

#[tokio::test]
async fn a_part_that_cannot_be_sent_ends_the_upload_and_one_that_was_cut_off_is_sent_again() {
    let s3 = S3::start().await;
    let app = beside(&s3.url, |settings| {
        cloud(settings).extend([("part-mib".into(), json!(5)), ("multipart-above-mib".into(), json!(5))]);
    })
    .await;
    let bytes = noise(12 << 20, 3);
    s3.break_next(2, "partNumber=2", Fault::Drop);
    s3.break_next(1, "partNumber=3", Fault::Lose);
    s3.break_next(1, "POST ?uploads", Fault::Answer { status: 503, code: "SlowDown", headers: Vec::new() });
    // The service has put it together, and the answer does not come: that is seen.
    s3.break_next(1, "POST ?uploadId=", Fault::Lose);
    let location = put(&app, "parts", "film.mp4", &bytes).await.unwrap();
    assert!(get(&app, &location).await == bytes);
    s3.mend();
    s3.seen();
    s3.break_next(u32::MAX, "partNumber=2", Fault::Answer { status: 403, code: "AccessDenied", headers: Vec::new() });
    let refused = put(&app, "parts-2", "film.mp4", &bytes).await.unwrap_err().to_string();
    assert!(refused.contains("s3:AbortMultipartUpload"), "{refused}");
    let seen = s3.seen();
    assert_eq!(
        seen.iter().filter(|what| what.starts_with("DELETE") && what.contains("uploadId=")).count(),
        1,
        "{seen:#?}"
    );
    assert_eq!(blobs(&app).find_in("cloud", &object("parts-2", "film.mp4", &bytes)).await.unwrap(), None);
    s3.mend();
    // A success that is none: the status came before the work was done.
    s3.break_next(1, "POST ?uploadId=", Fault::Answer { status: 200, code: "InternalError", headers: Vec::new() });
    put(&app, "parts-3", "film.mp4", &bytes).await.unwrap();
}

#[tokio::test]
async fn a_link_is_made_where_that_is_allowed_and_lives_for_minutes() {
    let s3 = S3::start().await;
    let app = beside(&s3.url, |_| {}).await;
    let location = put(&app, "link", "a b.jpg", b"read me").await.unwrap();
    assert_eq!(
        blobs(&app).presign(&location, Duration::from_secs(60)).await.unwrap(),
        None,
        "not unless it is allowed"
    );
    let app = {
        let mut settings = app.settings.clone();
        cloud(&mut settings).insert("presign".into(), json!(true));
        drop(app.running);
        server::start(&settings, server::Role::Serve, Vec::new(), Arc::new(String::new)).await.unwrap()
    };
    let link = app.gallery.blobs().presign(&location, Duration::from_secs(3_600)).await.unwrap().unwrap();
    assert!(link.contains("X-Amz-Expires=300&"), "an hour is too long: {link}");
    let read = reqwest::get(&link).await.unwrap();
    assert_eq!((read.status().as_u16(), &*read.bytes().await.unwrap()), (200, &b"read me"[..]));
    let forged = link.replace("a%20b.jpg", "c.jpg");
    assert_eq!(reqwest::get(&forged).await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_library_moves_into_a_bucket_and_back() {
    let s3 = S3::start().await;
    let app = beside(&s3.url, |_| {}).await;
    let client = app.sign_up().await;
    let mut kept = Vec::new();
    for seed in 0..6 {
        kept.push((client.uploaded(&format!("ä {seed}.jpg"), photos::jpeg(seed)).await, seed));
    }
    let config = tests::config_with_bucket(&app, "cloud", &s3.url);
    for (from, to, files) in [("main", "cloud", 0), ("cloud", "main", 6)] {
        // A body is cut off on the way, and a put is not answered.
        s3.break_next(1, "PUT /photos/library", Fault::Lose);
        s3.break_next(1, "GET /photos/library", Fault::Cut(1_000));
        let config = config.display().to_string();
        let arguments = ["--config", &config, "admin", "storage", "move", "--from", from, "--to", to];
        let mut command = tokio::process::Command::from(tests::latent(app.folder(), &arguments));
        let output = command.output().await.unwrap();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        for (id, seed) in &kept {
            assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photos::jpeg(*seed));
        }
        assert_eq!(app.files().len(), files);
    }
    assert_eq!(blobs(&app).list_in("cloud", None, 100).await.unwrap().len(), 0, "nothing is left in the bucket");
    // What comes back from a bucket with one bit changed is not moved.
    let moved = |from: &'static str, to: &'static str| {
        let config = config.display().to_string();
        let arguments = ["--config", &config, "admin", "storage", "move", "--from", from, "--to", to];
        let mut command = tokio::process::Command::from(tests::latent(app.folder(), &arguments));
        async move { command.output().await.unwrap() }
    };
    assert!(moved("main", "cloud").await.status.success());
    s3.break_next(1, "GET /photos/library", Fault::Spoil);
    let output = moved("cloud", "main").await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() || said.contains("not those that were uploaded"), "{said}");
    for (id, seed) in &kept {
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photos::jpeg(*seed));
    }
}

#[tokio::test]
async fn no_byte_of_an_object_passes_through_the_guest() {
    let s3 = S3::start().await;
    let cache_dir = std::env::temp_dir().join("latent-tests-compiled");
    let lent = Lent { kv: Some(Arc::new(Memory::default())), ..Lent::default() };
    let host = PluginHost::lending(&HostConfig { cache_dir, threads: 2 }, lent).unwrap();
    let origin: Origin = s3.url.parse().unwrap();
    let secret = BoundSecret { value: SecretText::new(tests::s3::SECRET_KEY), origin: origin.clone() };
    let mut settings = s3.settings();
    settings.extend([("part-mib".into(), json!(5)), ("multipart-above-mib".into(), json!(5))]);
    let grant = OperatorGrant {
        http: vec![HttpOrigin { origin, private: true, ca: None }],
        secrets: [("key".to_owned(), secret)].into(),
        settings,
        ..OperatorGrant::default()
    };
    let wasm = std::fs::read(tests::kit().join("plugins/storage-s3.wasm")).unwrap();
    let plugin = host.load(wasm.into(), &grant).await.unwrap();
    let storage = plugin.storage();
    for (key, len) in [("small", 1 << 20), ("large", 12 << 20)] {
        let bytes = noise(len, 5);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let blob = Blob::open(file.path()).unwrap();
        let stored = storage.put(&object(key, "film.mp4", &bytes), &blob).await.unwrap();
        assert_eq!(stored.len, len as u64);
        let whole = storage.get(&stored.location, 0, None).await.unwrap();
        assert!(whole.read().await.unwrap() == bytes);
    }
    let traffic = plugin.traffic();
    assert_eq!(traffic.payload, 0);
    assert!(traffic.messages < 64 << 10, "{} bytes of 13 MiB were read by the guest", traffic.messages);
}
