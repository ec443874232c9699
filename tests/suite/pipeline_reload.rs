//! Pipelines that are changed while the server runs.

use serde_json::{Value, json};
use tests::{Client, Program, TestApp, eventually, photos};

use crate::pipeline_triggers::{app, folder};

fn rule(name: &str) -> String {
    format!(
        "on = \"asset.created\"\n[[step]]\nid = \"favour\"\nuse = \"host:set\"\nset = {{ favorite = true }}\n\
         when = \"asset.fileName == '{name}'\"\n"
    )
}

async fn overview(client: &Client) -> Value {
    client.get("/latent/pipelines").await.ok()
}

async fn is_favorite(client: &Client, name: &str, seed: u32) -> bool {
    let id = client.uploaded(name, photos::jpeg(seed)).await;
    client.processed(&id).await["isFavorite"] == true
}

#[tokio::test]
async fn a_bad_file_leaves_the_old_pipeline_running_and_is_told_until_it_is_mended() {
    let (app, place) = app("rule", &rule("one.jpg")).await;
    let client = app.sign_up().await;
    assert!(is_favorite(&client, "one.jpg", 1).await);
    let file = place.path().join("rule.toml");
    std::fs::write(&file, rule("two.jpg").replace("asset.fileName", "asset.filName")).unwrap();
    let answer = client.post("/latent/pipelines/reload", &json!({})).await.ok();
    assert_eq!(answer["pipelines"], json!(["ingest", "rule"]));
    let problem = &answer["problems"][0];
    assert_eq!(problem["what"], "asset has no \"filName\"; did you mean \"fileName\"?");
    assert_eq!((&problem["line"], &problem["file"]), (&json!(6), &json!(file.display().to_string())));
    assert_eq!(overview(&client).await["problems"], answer["problems"]);
    let ready = client.http.get(format!("{}/readyz", client.url)).send().await.unwrap();
    assert!(ready.status().is_success());
    assert!(is_favorite(&client, "one.jpg", 2).await, "the old one runs");
    assert!(!is_favorite(&client, "two.jpg", 3).await);
    std::fs::write(&file, rule("two.jpg")).unwrap();
    assert_eq!(client.post("/latent/pipelines/reload", &json!({})).await.ok()["problems"], json!([]));
    assert!(is_favorite(&client, "two.jpg", 4).await);
    // A plugin that is not there leaves the old one, too; one that is taken away is gone.
    std::fs::write(&file, "on = \"asset.created\"\n[[step]]\nid = \"favour\"\nuse = \"nobodys.plugin\"\n").unwrap();
    let answer = client.post("/latent/pipelines/reload", &json!({})).await.ok();
    assert_eq!(
        answer["problems"][0]["what"],
        "the step \"favour\" needs the plugin \"nobodys.plugin\", which is not installed: install it, or write optional = true"
    );
    assert!(is_favorite(&client, "two.jpg", 5).await);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(client.post("/latent/pipelines/reload", &json!({})).await.ok()["pipelines"], json!(["ingest"]));
    assert!(!is_favorite(&client, "two.jpg", 6).await);
}

#[tokio::test]
async fn a_changed_file_is_read_without_anybody_asking_and_a_new_queue_is_worked_on() {
    let (app, place) = app("rule", &rule("one.jpg")).await;
    let client = app.sign_up().await;
    let text = format!("{}queue = \"rules\"\n", rule("two.jpg"));
    std::fs::write(place.path().join("rule.toml"), text).unwrap();
    eventually("the file is read", || async {
        let queues = overview(&client).await["queues"].clone();
        queues.as_array().unwrap().iter().any(|queue| queue["name"] == "rules").then_some(())
    })
    .await;
    assert!(is_favorite(&client, "two.jpg", 1).await);
}

#[tokio::test]
async fn a_fallback_that_is_not_installed_is_a_mistake_and_an_optional_step_without_its_plugin_is_none() {
    let step = |lines: &str| format!("on = \"manual\"\n[[step]]\nid = \"faces\"\nuse = \"face-detection\"\n{lines}\n");
    let (app, place) = app("extra", &step("optional = true")).await;
    let client = app.sign_up().await;
    assert_eq!(overview(&client).await["problems"], json!([]));
    let seeing = TestApp::seeing().await;
    let plugins = seeing.running.gallery.plugins();
    for (lines, expected) in [
        ("on-failure = \"fallback:clip-search\"", None),
        (
            "on-failure = [\"fallback:clip-search\", \"fallback:face-detecton\"]",
            Some("\"face-detecton\", which is not installed"),
        ),
        ("on-failure = \"fallback:nobodys.plugin\"", Some("\"nobodys.plugin\", which is not installed: install it")),
        (
            "optional = true\non-failure = \"fallback:nobodys.plugin\"",
            Some("\"nobodys.plugin\", which is not installed: install it"),
        ),
    ] {
        folder(place.path(), "extra", &step(lines));
        let source = pipelines::Source { folder: place.path().to_path_buf(), built_in: Vec::new() };
        let opened = pipelines::Pipelines::open(source, pipelines::QueueRules::default()).unwrap();
        let checked = opened.check(&plugins).map_err(|mistake| mistake.to_string());
        match expected {
            None => assert_eq!(checked, Ok(()), "{lines}"),
            Some(expected) => {
                let why = checked.unwrap_err();
                assert!(why.contains("extra.toml:3: ") && why.contains(expected), "{lines}: {why}");
            }
        }
    }
}

#[tokio::test]
async fn a_hang_up_reads_the_pipelines_again() {
    let place = tempfile::tempdir().unwrap();
    let environment = [
        ("LATENT__PLUGINS__LATENT.FACE-DETECTION__ENABLED", "false"),
        ("LATENT__PLUGINS__LATENT.CLIP-SEARCH__ENABLED", "false"),
    ];
    let program = Program::start(place.path(), &environment);
    program.signal(libc::SIGHUP);
    eventually("they are read again", || async { program.log().contains("Read the pipelines again").then_some(()) })
        .await;
    let client = program.anonymous.clone().sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    assert!(program.stop().success());
}
