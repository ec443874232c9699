//! What makes a result stale, and what does not.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::{Client, TestApp, photos};
use tokio_postgres::Client as Postgres;

use crate::steps::{app, released};

async fn when(raw: &Postgres, step: &str) -> String {
    let query = "SELECT max(at)::text FROM step_result WHERE step = $1";
    raw.query_one(query, &[&step]).await.unwrap().get(0)
}

async fn assets(client: &Client, step: &str) -> Value {
    let all = client.get("/latent/pipelines?counts=true").await.ok();
    let steps = all["pipelines"][0]["steps"].as_array().unwrap().clone();
    steps.iter().find(|found| found["id"] == step).unwrap()["assets"].clone()
}

#[tokio::test]
async fn a_patch_release_makes_nothing_stale_and_a_new_revision_exactly_its_step() {
    let folder = tempfile::tempdir().unwrap();
    let app = app("use = \"test.nothing\"", &["nothing"], folder.path()).await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    let raw = app.database.raw().await;
    let before = (when(&raw, "thumbnails").await, when(&raw, "faces").await);
    std::fs::write(folder.path().join("nothing.wasm"), released("nothing", "test.nothing", "version = \"1.0.1\""))
        .unwrap();
    let app = app.restart().await;
    let client = Client { url: app.anonymous.url.clone(), ..client };
    assert_eq!(
        assets(&client, "faces").await,
        json!({ "done": 1, "skipped": 0, "failed": 0, "stale": 0, "missing": 0 })
    );
    let run = client.post("/latent/pipelines/ingest/run", &json!({ "dryRun": true })).await.ok();
    assert_eq!(run["total"], 0, "a patch release leaves nothing to do");
    client.put("/jobs/faceDetection", &json!({ "command": "pause" })).await.ok();
    let release = "version = \"1.1.0\"\nrevision = 2";
    std::fs::write(folder.path().join("nothing.wasm"), released("nothing", "test.nothing", release)).unwrap();
    let app = app.restart().await;
    let client = Client { url: app.anonymous.url.clone(), ..client };
    assert_eq!(assets(&client, "faces").await["stale"], 1);
    assert_eq!(assets(&client, "thumbnails").await["stale"], 0);
    let feeder_says = explained(&app).await;
    assert!(feeder_says.contains("stale: 1 by test.nothing/"), "{feeder_says}");
    assert!(feeder_says.contains("is now 2"), "{feeder_says}");
    client.put("/jobs/faceDetection", &json!({ "command": "resume" })).await.ok();
    client.processed(&id).await;
    assert_eq!(when(&raw, "thumbnails").await, before.0);
    assert_ne!(when(&raw, "faces").await, before.1);
}

/// As `latent pipeline explain` says it.
async fn explained(app: &TestApp) -> String {
    let (feeder, _services) = server::compose::feeder(&app.settings).await.unwrap();
    let mut text = String::new();
    for pipeline in feeder.pipelines().all() {
        text += &feeder.explain(&pipeline).await.unwrap();
    }
    text
}

/// The models that there are, and one more: that which makes vectors of pictures, with other words in its file, so that it is another
/// one and works as well. Returns its name.
fn one_model_more(folder: &std::path::Path) -> &'static str {
    for entry in std::fs::read_dir(tests::root().join("models")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
    }
    let weights = tests::kit().join("models");
    let places = [weights.join("joint_image.onnx"), weights.join("starter-search-image/joint_image.onnx")];
    let mut onnx = std::fs::read(places.iter().find(|place| place.exists()).expect("the model is in the kit")).unwrap();
    // The documentation of an ONNX model: field 6, a text of one byte.
    onnx.extend([0x32, 1, b'x']);
    std::fs::write(folder.join("other_image.onnx"), &onnx).unwrap();
    let text = std::fs::read_to_string(folder.join("starter-search-image.toml")).unwrap();
    let (head, rest) = text.split_once("[[file]]").unwrap();
    let (_, settings) = rest.split_once("[tensors]").unwrap();
    let head =
        head.replace("\"starter-search-image\"", "\"other-image\"").replace("joint_image.onnx", "other_image.onnx");
    let sha256 = hex::encode(Sha256::digest(&onnx));
    let file = format!("[[file]]\nname = \"other_image.onnx\"\nsha256 = \"{sha256}\"\nbytes = {}\n", onnx.len());
    std::fs::write(folder.join("other-image.toml"), format!("{head}{file}\n[tensors]{settings}")).unwrap();
    "other-image"
}

#[tokio::test]
async fn another_model_makes_exactly_its_plugins_results_stale() {
    let mut app = TestApp::seeing().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    let raw = app.database.raw().await;
    let before = [when(&raw, "metadata").await, when(&raw, "thumbnails").await, when(&raw, "faces").await];
    let search = when(&raw, "search").await;
    let folder = tempfile::tempdir().unwrap();
    let other = one_model_more(folder.path());
    app.settings.inference.manifests = folder.path().to_path_buf();
    app.settings.inference.models = folder.path().to_path_buf();
    let plugin = app.settings.plugins.get_mut("latent.clip-search").unwrap();
    plugin.models.insert("image".into(), other.into());
    let app = app.restart().await;
    let client = Client { url: app.anonymous.url.clone(), ..client };
    client.processed(&id).await;
    let after = [when(&raw, "metadata").await, when(&raw, "thumbnails").await, when(&raw, "faces").await];
    assert_eq!(after, before);
    assert_ne!(when(&raw, "search").await, search);
}
