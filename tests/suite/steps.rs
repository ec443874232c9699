//! What becomes of steps: plugins that break or never answer, conditions, recipes, and files that cannot be worked on.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use server::settings::Plugin;
use tests::{Client, TestApp, photos};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const INGEST: &str = "on = \"asset.created\"\n[[step]]\nid = \"metadata\"\nuse = \"host:metadata\"\n[[step]]\nid = \"thumbnails\"\n\
    use = \"host:thumbnails\"\nafter = [\"metadata\"]\n[[step]]\nid = \"faces\"\nafter = [\"thumbnails\"]\n\
    retry = { attempts = 2, backoff = \"10ms\" }\n";

/// A face detector made of the skeleton and a guest of tests/guests/hostile.
pub fn detector(guest: &str, id: &str) -> Vec<u8> {
    released(guest, id, "version = \"1.0.0\"")
}

/// The same, with what its manifest says of its release.
pub fn released(guest: &str, id: &str, release: &str) -> Vec<u8> {
    let folder = tests::root().join("tests/guests");
    let skeleton = fs::read_to_string(folder.join("face-detector.wat")).unwrap();
    let text = fs::read_to_string(folder.join(format!("hostile/{guest}.wat"))).unwrap();
    let (imports, detect) = text.split_once(";; detect\n").expect("a guest has a line `;; detect`");
    let module = skeleton.replace("(;imports;)", imports).replace("(;detect;)", detect);
    let mut module = wat::parse_str(module).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(tests::root().join("wit")).unwrap();
    let world = resolve.select_world(&[package], Some("face-detector")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    let mut component = ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap();
    let manifest = format!(
        "id = \"{id}\"\n{release}\nworld = \"latent:plugin/face-detector@0.1.0\"\ntitle = \"A guest\"\n\
         [requests]\nmemory = \"4MiB\"\ndeadline = \"200ms\"\n"
    );
    let section = wasm_encoder::CustomSection { name: "latent:manifest".into(), data: manifest.as_bytes().into() };
    component.push(wasm_encoder::ComponentSection::id(&section));
    wasm_encoder::Encode::encode(&section, &mut component);
    component
}

/// A server whose step `faces` is this, with guests of tests/guests/hostile that are named after themselves.
pub async fn app(faces: &str, guests: &[&str], folder: &Path) -> TestApp {
    fs::create_dir_all(folder.join("pipelines")).unwrap();
    fs::write(folder.join("pipelines/ingest.toml"), format!("{INGEST}{faces}\n")).unwrap();
    let plugins: Vec<(String, Plugin)> = guests
        .iter()
        .map(|guest| {
            let id = format!("test.{guest}");
            let file = folder.join(format!("{guest}.wasm"));
            fs::write(&file, detector(guest, &id)).unwrap();
            let plugin = json!({ "file": file, "enabled": true });
            (id, serde_json::from_value(plugin).unwrap())
        })
        .collect();
    let pipelines = folder.join("pipelines");
    TestApp::with(|settings| {
        settings.pipelines = pipelines;
        settings.plugins.extend(plugins);
    })
    .await
}

pub async fn faces_of(client: &Client, name: &str) -> (Value, Value) {
    let id = client.uploaded(name, photos::jpeg(1)).await;
    client.processed(&id).await;
    let steps = client.get(&format!("/latent/assets/{id}/steps")).await.ok();
    let errors = client.get(&format!("/latent/assets/{id}/errors")).await.ok();
    (steps["steps"]["ingest/faces"].clone(), errors)
}

#[tokio::test]
async fn a_plugin_that_always_crashes_ends_as_its_step_says() {
    for (policy, ended) in [("", "failed"), ("on-failure = \"error\"", "failed"), ("on-failure = \"skip\"", "skipped")]
    {
        let folder = tempfile::tempdir().unwrap();
        let app = app(&format!("use = \"test.recursion\"\n{policy}"), &["recursion"], folder.path()).await;
        let client = app.sign_up().await;
        let (status, errors) = faces_of(&client, "a.jpg").await;
        assert_eq!(status, ended, "{policy:?}: {errors}");
        match ended {
            "failed" => {
                assert_eq!(errors[0]["step"], "faces");
                assert!(errors[0]["message"].as_str().unwrap().contains("crashed"), "{errors}");
            }
            _ => assert_eq!(errors, json!([])),
        }
    }
}

#[tokio::test]
async fn a_plugin_that_never_answers_is_replaced_by_its_fallback() {
    let folder = tempfile::tempdir().unwrap();
    let step = "use = \"test.spin\"\non-failure = \"fallback:test.nothing\"";
    let app = app(step, &["spin", "nothing"], folder.path()).await;
    let client = app.sign_up().await;
    assert_eq!(faces_of(&client, "a.jpg").await, (json!("done"), json!([])));
}

#[tokio::test]
async fn a_fallback_that_breaks_too_says_both_errors() {
    let folder = tempfile::tempdir().unwrap();
    let step = "use = \"test.spin\"\non-failure = \"fallback:test.recursion\"";
    let app = app(step, &["spin", "recursion"], folder.path()).await;
    let client = app.sign_up().await;
    let (status, errors) = faces_of(&client, "a.jpg").await;
    assert_eq!(status, "failed");
    let message = errors[0]["message"].as_str().unwrap();
    assert!(message.contains("test.spin") && message.contains("test.recursion"), "{message}");
}

#[tokio::test]
async fn a_condition_that_does_not_hold_skips_its_step() {
    let folder = tempfile::tempdir().unwrap();
    let step = "use = \"test.recursion\"\nwhen = \"asset.fileName.startsWith('people')\"\non-failure = \"error\"";
    let app = app(step, &["recursion"], folder.path()).await;
    let client = app.sign_up().await;
    assert_eq!(faces_of(&client, "sea.jpg").await, (json!("skipped"), json!([])));
}

#[tokio::test]
async fn a_changed_recipe_does_exactly_its_step_again() {
    let mut app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(2)).await;
    client.processed(&id).await;
    let raw = app.database.raw().await;
    let when = async |step: &str| {
        let query = "SELECT at::text FROM step_result WHERE step = $1";
        raw.query_one(query, &[&step]).await.unwrap().get::<_, String>(0)
    };
    let before = [when("metadata").await, when("thumbnails").await];
    app.settings.media.thumbnail_quality = 50;
    let app = app.restart().await;
    let client = Client { url: app.anonymous.url.clone(), ..client };
    client.processed(&id).await;
    assert_eq!(when("metadata").await, before[0]);
    assert_ne!(when("thumbnails").await, before[1]);
    // What it replaced is gone.
    app.running.gallery.sweep().await.unwrap();
    let thumbnails = app.files().into_iter().filter(|path| path.ends_with(".webp")).count();
    assert_eq!(thumbnails, 1, "{:?}", app.files());
}

#[tokio::test]
async fn an_original_that_is_gone_is_an_error_for_its_owner_to_see_and_not_for_ever_tried() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    client.put("/jobs/metadataExtraction", &json!({ "command": "pause" })).await.ok();
    let id = client.uploaded("a.jpg", photos::jpeg(3)).await;
    fs::remove_file(app.library().join("library/admin/2024/2024-03-15/a.jpg")).unwrap();
    client.put("/jobs/metadataExtraction", &json!({ "command": "resume" })).await.ok();
    client.processed(&id).await;
    let errors = client.get(&format!("/latent/assets/{id}/errors")).await.ok();
    assert!(errors[0]["message"].as_str().unwrap().contains("not found"), "{errors}");
    let raw = app.database.raw().await;
    tests::eventually("nothing is left to do", || async {
        let open: i64 = raw.query_one("SELECT count(*) FROM asset_open", &[]).await.unwrap().get(0);
        (open == 0).then_some(())
    })
    .await;
}
