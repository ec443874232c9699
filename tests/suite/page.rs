//! The page, in a real Chromium: see tests/browser/run.mjs.

use std::path::PathBuf;
use std::process::Command;

use tests::TestApp;

/// The labelled photos, which xtask puts there.
fn photos() -> PathBuf {
    let folder = std::env::var_os("LATENT_PHOTOS")
        .expect("LATENT_PHOTOS names the folder with the photos: run `cargo xtask test`");
    PathBuf::from(folder)
}

#[tokio::test]
async fn signs_up_uploads_searches_names_a_person_and_signs_out() {
    let app = TestApp::seeing().await;
    let url = app.anonymous.url.clone();
    let shots = tests::bin_dir().join("screenshots");
    let run = tests::root().join("tests/browser/run.mjs");
    // A browser that hangs ends by itself, so that what it said is seen.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "300", "node"]).arg(run).arg(url).arg(photos()).arg("--shots").arg(&shots);
    command.args(["--search", "a cup of coffee=coffee.png", "--search", "a cat=chelsea.png", "--people", "2"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\nScreenshots are in {}", shots.display());
}

#[tokio::test]
async fn is_served_with_a_strict_policy_and_its_files_for_ever() {
    let app = TestApp::start().await;
    let get = |path: &str| {
        app.anonymous.http.get(format!("{}{path}", app.anonymous.url)).header("accept", "text/html").send()
    };
    let index = get("/people/7").await.unwrap();
    assert_eq!(index.status(), 200, "the page knows its own routes");
    let policy = index.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    // A bare scheme would let the page talk to anybody by it.
    for anybody in ["ws:", "wss:", "http:", "https:", "blob:", "*"] {
        let is_there = policy.split([' ', ';']).any(|source| source == anybody);
        assert!(!is_there, "{anybody} in {policy}");
    }
    assert!(policy.contains("connect-src 'self';"), "{policy}");
    assert_eq!(index.headers()["cache-control"], "no-cache");
    let html = index.text().await.unwrap();
    let at = html.find("/assets/").unwrap();
    let script: String = html[at..].chars().take_while(|c| *c != '"').collect();
    let file = get(&script).await.unwrap();
    assert_eq!(file.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(get("/assets/nothing.js").await.unwrap().status(), 200, "a browser that asks for HTML gets the page");
    let other = app.anonymous.http.get(format!("{}/nothing.png", app.anonymous.url)).send().await.unwrap();
    assert_eq!(other.status(), 404);
}
