//! What starts a pipeline, and what does not: events, and no pipeline by itself.

use std::path::Path;

use serde_json::json;
use tests::{Client, Program, TestApp, eventually, photos};
use tokio_postgres::Client as Postgres;

use crate::contract::save_face;

const INGEST: &str = "on = \"asset.created\"\n[[step]]\nid = \"metadata\"\nuse = \"host:metadata\"\n[[step]]\nid = \"thumbnails\"\n\
    use = \"host:thumbnails\"\nafter = [\"metadata\"]\n";

/// A folder with the ingest and one pipeline more.
pub fn folder(folder: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("ingest.toml"), INGEST).unwrap();
    std::fs::write(folder.join(format!("{name}.toml")), text).unwrap();
}

pub async fn app(name: &str, text: &str) -> (TestApp, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    folder(place.path(), name, text);
    let app = TestApp::with(|settings| settings.pipelines = place.path().to_path_buf()).await;
    (app, place)
}

/// Waits until nobody has anything left to do.
async fn calm(raw: &Postgres) {
    eventually("nothing is left to do", || async {
        let query = "SELECT (SELECT count(*) FROM asset_open) + (SELECT count(*) FROM outbox)
            + (SELECT count(*) FROM deleted_outbox) + (SELECT count(*) FROM deleted_open)";
        let open: i64 = raw.query_one(query, &[]).await.unwrap().get(0);
        (open == 0).then_some(())
    })
    .await;
}

/// Events that were ever put into the outbox.
async fn events(raw: &Postgres) -> i64 {
    raw.query_one("SELECT coalesce(pg_sequence_last_value('outbox_id_seq'), 0)", &[]).await.unwrap().get(0)
}

async fn is_favorite(client: &Client, id: &str) -> bool {
    client.get(&format!("/assets/{id}")).await.ok()["isFavorite"] == true
}

#[tokio::test]
async fn an_update_starts_its_pipeline_and_what_that_writes_starts_none() {
    let text = "on = \"asset.updated\"\n[[step]]\nid = \"archive\"\nuse = \"host:set\"\nwhen = \"asset.isFavorite\"\n\
                set = { visibility = \"archive\", rating = 4 }\n[[step]]\nid = \"note\"\nuse = \"host:log\"\nafter = [\"archive\"]\n\
                message = \"archived\"\nwhen = \"findings.steps.archive == 'done'\"\n";
    let (app, _folder) = app("tidy", text).await;
    let client = app.sign_up().await;
    let raw = app.database.raw().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    calm(&raw).await;
    let steps = client.get(&format!("/latent/assets/{id}/steps")).await.ok();
    assert!(steps["steps"].get("tidy/archive").is_none(), "it was not updated: {steps}");
    let before = events(&raw).await;
    client.put(&format!("/assets/{id}"), &json!({ "isFavorite": true })).await.ok();
    eventually("the pipeline has run", || async {
        let steps = client.get(&format!("/latent/assets/{id}/steps")).await.ok();
        (steps["steps"]["tidy/note"] == "done").then_some(())
    })
    .await;
    calm(&raw).await;
    let asset = client.get(&format!("/assets/{id}")).await.ok();
    assert_eq!((&asset["visibility"], &asset["exifInfo"]["rating"]), (&json!("archive"), &json!(4)));
    assert_eq!(events(&raw).await, before + 1, "what a pipeline writes is no event");
    // The next update runs it again.
    client.put(&format!("/assets/{id}"), &json!({ "isFavorite": false, "rating": 1 })).await.ok();
    eventually("the pipeline has run again", || async {
        let steps = client.get(&format!("/latent/assets/{id}/steps")).await.ok();
        (steps["steps"]["tidy/archive"] == "skipped" && steps["steps"]["tidy/note"] == "skipped").then_some(())
    })
    .await;
    calm(&raw).await;
    assert_eq!(client.get(&format!("/assets/{id}")).await.ok()["exifInfo"]["rating"], 1);
    assert_eq!(events(&raw).await, before + 2);
}

#[tokio::test]
async fn somebody_with_a_name_who_is_recognised_starts_their_pipeline_on_that_photo_alone() {
    let text = "on = \"person.recognized\"\n[[step]]\nid = \"favour\"\nuse = \"host:set\"\nset = { favorite = true }\n\
                when = \"findings.people.exists(p, p.name == 'Ann')\"\n";
    let (app, _folder) = app("ann", text).await;
    let client = app.sign_up().await;
    let mut ids = Vec::new();
    for seed in 0..5 {
        let id = client.uploaded("a.jpg", photos::jpeg(seed)).await;
        client.processed(&id).await;
        ids.push(id);
    }
    for id in &ids[..2] {
        save_face(&app, id, 0).await;
    }
    let people = client.get("/people").await.ok();
    let person = people["people"][0]["id"].as_str().unwrap().to_owned();
    let raw = app.database.raw().await;
    calm(&raw).await;
    assert!(!is_favorite(&client, &ids[0]).await, "nobody has a name yet");
    // Their name makes them known, on the photos that there are and on those that come.
    client.put(&format!("/people/{person}"), &json!({ "name": "Ann" })).await.ok();
    save_face(&app, &ids[2], 0).await;
    save_face(&app, &ids[3], 1).await;
    eventually("Ann's photos are favourites", || async {
        for id in &ids[..3] {
            if !is_favorite(&client, id).await {
                return None;
            }
        }
        Some(())
    })
    .await;
    calm(&raw).await;
    assert!(!is_favorite(&client, &ids[3]).await, "that is somebody else");
    assert!(!is_favorite(&client, &ids[4]).await, "nobody is seen there");
}

#[tokio::test]
async fn an_asset_that_is_gone_for_good_is_still_described_to_its_pipeline() {
    let folder_of = tempfile::tempdir().unwrap();
    let text = "on = \"asset.deleted\"\n[[step]]\nid = \"canon\"\nuse = \"host:log\"\nmessage = \"a photo of a Canon is gone\"\n\
                when = \"exif.make == 'Canon' && asset.fileName == 'gone.jpg' && owner.name == 'Ann'\"\n\
                [[step]]\nid = \"nikon\"\nuse = \"host:log\"\nmessage = \"a photo of a Nikon is gone\"\nwhen = \"exif.make == 'Nikon'\"\n\
                [[step]]\nid = \"last\"\nuse = \"host:log\"\nafter = [\"canon\", \"nikon\"]\nmessage = \"that was all\"\n\
                when = \"findings.steps.canon == 'done' && findings.steps.nikon == 'skipped'\"\n";
    folder(&folder_of.path().join("pipelines"), "gone", text);
    let pipelines = folder_of.path().join("pipelines").display().to_string();
    let environment = [
        ("LATENT__PIPELINES", pipelines.as_str()),
        ("LATENT__PLUGINS__LATENT.FACE-DETECTION__ENABLED", "false"),
        ("LATENT__PLUGINS__LATENT.CLIP-SEARCH__ENABLED", "false"),
    ];
    let program = Program::start(folder_of.path(), &environment);
    let client = program.anonymous.clone().sign_up().await;
    let exif = photos::Exif { make: Some("Canon"), ..photos::Exif::default() };
    let id = client.uploaded("gone.jpg", photos::encoded_jpeg(64, 64, 1, Some(&exif))).await;
    client.processed(&id).await;
    // The trash is not the end.
    client.delete("/assets", &json!({ "ids": [id] })).await.ok();
    assert!(!program.log().contains("is gone"), "{}", program.log());
    client.delete("/assets", &json!({ "ids": [id], "force": true })).await.ok();
    eventually("the pipeline has said so", || async { program.log().contains("that was all").then_some(()) }).await;
    let log = program.log();
    assert_eq!(log.matches("a photo of a Canon is gone").count(), 1, "{log}");
    assert!(!log.contains("Nikon"), "{log}");
    assert!(log.contains(&id), "{log}");
}

#[tokio::test]
async fn a_pipeline_that_would_start_itself_is_refused() {
    let place = tempfile::tempdir().unwrap();
    folder(place.path(), "loop", "on = \"person.recognized\"\n[[step]]\nid = \"faces\"\nuse = \"face-detection\"\n");
    let app = TestApp::seeing().await;
    let plugins = app.running.gallery.plugins();
    let source = pipelines::Source { folder: place.path().to_path_buf(), built_in: Vec::new() };
    let pipelines = pipelines::Pipelines::open(source, pipelines::QueueRules::default()).unwrap();
    let why = pipelines.check(&plugins).unwrap_err();
    assert!(why.to_string().contains("it would start itself") && why.line == 3, "{why}");
}
