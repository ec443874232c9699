//! `latent pipeline`, as somebody types it.

use std::path::Path;
use std::process::{Command, Output};

use tests::{Program, TestApp, photos};

use crate::pipeline_triggers::folder;

const RULE: &str = "on = \"manual\"\n[[step]]\nid = \"favour\"\nuse = \"host:set\"\nset = { favorite = true }\n";

fn latent(args: &[&str], environment: &[(&str, String)]) -> Output {
    let mut command = Command::new(tests::bin_dir().join("latent"));
    command.args(args).envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
    command
        .env("LATENT_KIT", tests::kit())
        .env("LATENT__PLUGIN_HOST__CACHE", std::env::temp_dir().join("latent-tests-compiled"));
    command.env_remove("LATENT_FAILPOINT").output().unwrap()
}

#[track_caller]
fn said(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A server's environment with its pipelines, for a command beside it.
fn beside(app: &TestApp, pipelines: &Path) -> Vec<(&'static str, String)> {
    let mut environment = app.environment();
    environment.push(("LATENT__PIPELINES", pipelines.display().to_string()));
    environment.push(("LATENT__DATA_DIR", app.folder().join("data").display().to_string()));
    environment
}

#[test]
fn check_needs_no_server_and_says_what_is_wrong_with_every_file() {
    let place = tempfile::tempdir().unwrap();
    folder(place.path(), "rule", RULE);
    let path = place.path().display().to_string();
    // No database, no data folder: neither would be there.
    let nowhere = [("LATENT__DATABASE__URL", "postgresql://nobody@127.0.0.1:1/none".to_owned())];
    let text = said(&latent(&["pipeline", "check", &path], &nowhere));
    assert!(text.contains("ingest.toml: in order, 2 steps, on each new asset"), "{text}");
    assert!(text.contains("rule.toml: in order, 1 steps, when it is started by hand"), "{text}");
    said(&latent(&["pipeline", "check"], &nowhere));
    let bad = place.path().join("bad.toml");
    std::fs::write(&bad, RULE.replace("manual", "manuel").replace("favorite", "favourite")).unwrap();
    for target in [&path, &bad.display().to_string()] {
        let output = latent(&["pipeline", "check", target], &nowhere);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr);
        for line in [
            "bad.toml:1: there is no trigger \"manuel\"; did you mean \"manual\"?",
            "bad.toml:5: set has no key \"favourite\"; did you mean \"favorite\"?",
        ] {
            assert!(error.contains(line), "{error}");
        }
    }
    let missing = latent(&["pipeline", "check", "/nowhere/at/all"], &nowhere);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot be read"), "{missing:?}");
}

#[tokio::test]
async fn explain_and_run_beside_a_running_server() {
    let place = tempfile::tempdir().unwrap();
    folder(place.path(), "rule", RULE);
    let app = TestApp::with(|settings| {
        settings.pipelines = place.path().to_path_buf();
        settings.queue.get_mut("faces").unwrap().active.clear();
    })
    .await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let bad = client.uploaded("bad.jpg", b"\xff\xd8\xff\xe0 no picture".to_vec()).await;
    client.processed(&id).await;
    client.processed(&bad).await;
    let environment = beside(&app, place.path());
    let latent = async |args: &[&str]| {
        let (args, environment): (Vec<String>, _) =
            (args.iter().map(ToString::to_string).collect(), environment.clone());
        let run = move || latent(&args.iter().map(String::as_str).collect::<Vec<_>>(), &environment);
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    let text = said(&latent(&["pipeline", "explain"]).await);
    assert!(text.contains("2. thumbnails: host:thumbnails, after metadata"), "{text}");
    assert!(text.contains("queue thumbnails; 3 attempts, the second after 10s; on failure: retry"), "{text}");
    assert!(text.contains("1 done, 0 skipped, 1 failed"), "{text}");
    assert!(text.contains("0 done, 0 skipped, 0 failed, 2 never run"), "{text}");
    let text = said(&latent(&["pipeline", "explain", "ingest", "--asset", &bad]).await);
    assert!(text.contains("metadata: done, by metadata/1") && text.contains("thumbnails: failed: "), "{text}");
    let text = said(&latent(&["pipeline", "explain", "rule", "--asset", &id]).await);
    assert!(text.contains("favour: not run: nothing has started the pipeline on this asset"), "{text}");
    let text = said(&latent(&["pipeline", "run", "rule", "--all", "--dry-run"]).await);
    assert!(text.contains("2 assets would be run"), "{text}");
    let text = said(&latent(&["pipeline", "run", "rule", "--asset", &id, "--wait"]).await);
    assert!(text.contains("on 1 assets") && text.contains("1 of 1 done"), "{text}");
    assert_eq!(client.get(&format!("/assets/{id}")).await.ok()["isFavorite"], true);
    assert_eq!(client.get(&format!("/assets/{bad}")).await.ok()["isFavorite"], false);
    let output = latent(&["pipeline", "run", "rul"]).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && error.contains("there is no pipeline \"rul\"; did you mean \"rule\"?"),
        "{error}"
    );
}

#[tokio::test]
async fn a_run_that_was_started_while_no_server_ran_is_done_by_the_next() {
    let place = tempfile::tempdir().unwrap();
    let pipelines = place.path().join("pipelines");
    folder(&pipelines, "rule", RULE);
    let (shown, data) = (pipelines.display().to_string(), place.path().join("data").display().to_string());
    let environment = [
        ("LATENT__PIPELINES", shown.as_str()),
        ("LATENT__PLUGINS__LATENT.FACE-DETECTION__ENABLED", "false"),
        ("LATENT__PLUGINS__LATENT.CLIP-SEARCH__ENABLED", "false"),
    ];
    let program = Program::start(place.path(), &environment);
    let client = program.anonymous.clone().sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    assert!(program.stop().success());
    let mut beside: Vec<(&str, String)> =
        environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    beside.push(("LATENT__DATA_DIR", data));
    let text = said(&tokio::task::spawn_blocking(move || latent(&["pipeline", "run", "rule"], &beside)).await.unwrap());
    assert!(text.contains("on 1 assets") && text.contains("the next that starts"), "{text}");
    let program = Program::start(place.path(), &environment);
    let mut client = program.anonymous.clone();
    client.log_in().await;
    tests::eventually("the run is done", || async {
        (client.get(&format!("/assets/{id}")).await.ok()["isFavorite"] == true).then_some(())
    })
    .await;
}
