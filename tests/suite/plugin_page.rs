//! The page's plugins, in a real Chromium: see tests/browser/plugins.mjs.

use std::process::Command;

use tests::TestApp;

use crate::plugin_lifecycle::plugin;

#[tokio::test]
async fn an_administrator_installs_upgrades_and_removes_a_plugin_in_the_page() {
    let app = TestApp::start().await;
    app.sign_up().await;
    let (one, two) = (app.folder().join("one.wasm"), app.folder().join("two.wasm"));
    std::fs::write(&one, plugin("1.0.0", "pixels = true")).unwrap();
    std::fs::write(&two, plugin("2.0.0", "pixels = true\nconcurrency = 2")).unwrap();
    let shots = tests::bin_dir().join("screenshots");
    // A browser that hangs ends by itself, so that what it said is seen.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "200", "node"]).arg(tests::root().join("tests/browser/plugins.mjs"));
    command.arg(&app.anonymous.url).args([&one, &two, &shots]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\nScreenshots are in {}", shots.display());
}
