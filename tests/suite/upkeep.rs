//! What is kept in order by itself: deletes, the trash, the sweeper, derivatives, and a disk that is away.

use std::fs;

use gallery::Event;
use image::ImageFormat;
use serde_json::json;
use store::StoreError;
use tests::{TestApp, eventually, photos};
use types::AssetId;

#[tokio::test]
async fn what_is_deleted_for_ever_leaves_no_file() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    assert_eq!(app.files().len(), 3, "{:?}", app.files());
    client.delete("/assets", &json!({ "ids": [id], "force": true })).await.ok();
    assert_eq!(app.files(), Vec::<String>::new());
    let intents = app.database.raw().await.query("SELECT FROM blob_intent", &[]).await.unwrap();
    assert!(intents.is_empty());
}

#[tokio::test]
async fn a_sweep_ends_all_that_is_due_however_much() {
    let app = TestApp::start().await;
    app.sign_up().await;
    let raw = app.database.raw().await;
    let many = "INSERT INTO blob_intent (id, state, object_key, object, location, owner_id, lease_until)
        SELECT uuidv7(), 'garbage', 'k' || n, 'null'::jsonb, 'main:library/gone' || n, uuidv7(), now()
        FROM generate_series(1, 250) n";
    raw.execute(many, &[]).await.unwrap();
    // The server sweeps as well.
    app.running.gallery.sweep().await.unwrap();
    eventually("all are gone", || async {
        let left: i64 = raw.query_one("SELECT count(*) FROM blob_intent", &[]).await.unwrap().get(0);
        (left == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_trash_forgets_after_thirty_days() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let (old, young) =
        (client.uploaded("a.jpg", photos::jpeg(2)).await, client.uploaded("b.jpg", photos::jpeg(3)).await);
    client.processed(&old).await;
    client.processed(&young).await;
    client.delete("/assets", &json!({ "ids": [old, young] })).await.ok();
    let raw = app.database.raw().await;
    let age = "UPDATE asset SET deleted_at = deleted_at - interval '31 days' WHERE id = $1";
    raw.execute(age, &[&uuid::Uuid::parse_str(&old).unwrap()]).await.unwrap();
    app.running.gallery.empty_old_trash().await.unwrap();
    let left = raw.query("SELECT id::text FROM asset", &[]).await.unwrap();
    assert_eq!(left.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), [young]);
}

#[tokio::test]
async fn a_thumbnail_that_was_cut_off_is_made_again() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(4)).await;
    client.processed(&id).await;
    let whole = client.bytes(&format!("/assets/{id}/thumbnail")).await;
    let file = app.files().into_iter().find(|path| path.ends_with(".webp")).unwrap();
    fs::write(app.library().join(&file), b"").unwrap();
    assert_eq!(client.get(&format!("/assets/{id}/thumbnail")).await.status, 404);
    eventually("the thumbnail is back", || async {
        let path = format!("/assets/{id}/thumbnail");
        let answer = client.request(reqwest::Method::GET, &path).send().await.unwrap();
        (answer.status().is_success() && answer.bytes().await.unwrap() == whole).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_is_away_is_said_to_be_away_and_nothing_is_forgotten() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(5)).await;
    client.processed(&id).await;
    let away = app.folder().join("away");
    fs::rename(app.library(), &away).unwrap();
    // The folder that the disk was mounted on.
    fs::create_dir(app.library()).unwrap();
    for path in [format!("/assets/{id}/thumbnail"), format!("/assets/{id}/original")] {
        let answer = client.get(&path).await;
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
        assert!(answer.body["message"].as_str().unwrap().contains("mounted"), "{}", answer.body);
    }
    let refused = client.upload("b.jpg", photos::jpeg(6)).await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.body["message"].as_str().unwrap().contains("mounted"), "{}", refused.body);
    fs::remove_dir(app.library()).unwrap();
    fs::rename(&away, app.library()).unwrap();
    assert!(!client.bytes(&format!("/assets/{id}/thumbnail")).await.is_empty());
    client.uploaded("b.jpg", photos::jpeg(6)).await;
}

#[tokio::test]
async fn clients_are_told_of_each_new_asset_once_also_of_what_has_no_thumbnail() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let mut events = app.running.gallery.events().listen();
    let mut ids = Vec::new();
    let mut truncated = photos::encoded(ImageFormat::Png, 400, 300, 1);
    truncated.truncate(truncated.len() / 2);
    let video = b"\0\0\0\x18ftypisom\0\0\x02\0isommp41".to_vec();
    for (name, bytes) in [("a.jpg", photos::jpeg(7)), ("b.png", truncated), ("c.mp4", video)] {
        let id = client.uploaded(name, bytes).await;
        client.processed(&id).await;
        ids.push(AssetId(id.parse().unwrap()));
    }
    client.put("/jobs/thumbnailGeneration", &json!({ "command": "start", "force": true })).await.ok();
    for id in &ids {
        client.processed(&id.to_string()).await;
    }
    // Something that comes after all of them.
    client.put(&format!("/assets/{}", ids[0]), &json!({ "isFavorite": true })).await.ok();
    let mut told = Vec::new();
    loop {
        match events.recv().await.unwrap() {
            Event::UploadReady { asset, .. } => told.push(asset),
            Event::AssetUpdated { .. } => break,
            _ => {}
        }
    }
    assert_eq!(told, ids);
}

#[tokio::test]
async fn wrong_passwords_are_counted_however_the_address_is_spelt_and_however_many_at_once() {
    let app = TestApp::start().await;
    app.sign_up().await;
    let attempts = (0..14).map(|at| {
        let client = app.anonymous.clone();
        async move {
            let email = if at % 2 == 0 { "ann@example.org " } else { "ANN@example.org" };
            client.post("/auth/login", &json!({ "email": email, "password": "wrong horse" })).await.status.as_u16()
        }
    });
    let mut answers = futures::future::join_all(attempts).await;
    answers.sort_unstable();
    assert_eq!(answers, [vec![401; 10], vec![429; 4]].concat());
}

#[tokio::test]
async fn an_error_of_a_statement_is_not_taken_for_a_database_that_is_down() {
    let database = tests::Database::new().await;
    let raw = database.raw().await;
    let no_row = raw.query_one("SELECT 1 WHERE false", &[]).await.unwrap_err();
    let no_column = raw.query_one("SELECT 1", &[]).await.unwrap().try_get::<_, i32>("two").unwrap_err();
    let no_value = raw.query_one("SELECT $1::int", &[&"one"]).await.unwrap_err();
    for error in [no_row, no_column, no_value] {
        let error = StoreError::from(error);
        assert!(!error.is_transient(), "{error}");
    }
    let refused = tokio_postgres::connect("host=127.0.0.1 port=1", tokio_postgres::NoTls).await;
    let Err(error) = refused else { panic!("nobody listens there") };
    assert!(StoreError::from(error).is_transient());
}
