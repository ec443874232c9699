//! `latent plugin`, beside a server that runs.

use std::path::Path;
use std::process::{Command, Stdio};

use minisign::KeyPair;
use tests::{TestApp, eventually};

use crate::plugin_lifecycle::{ID, key, plugin, signed};

/// What it printed, and what it said was wrong.
type Said = Result<String, String>;

struct Line<'a> {
    app: &'a TestApp,
}

impl Line<'_> {
    /// Nobody sits before it.
    async fn run(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(tests::bin_dir().join("latent"));
        command
            .arg("plugin")
            .args(arguments)
            .env("LATENT__DATA_DIR", self.app.folder().join("other"))
            .env("LATENT__PLUGIN_HOST__CACHE", std::env::temp_dir().join("latent-tests-compiled"))
            .env("LATENT_KIT", tests::kit())
            .envs(self.app.environment())
            .current_dir(self.app.folder())
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stdout) + &text(&output.stderr)),
        }
    }
}

fn write(folder: &Path, key: &KeyPair, name: &str, wasm: &[u8]) {
    std::fs::write(folder.join(name), wasm).unwrap();
    std::fs::write(folder.join(format!("{name}.minisig")), signed(key, wasm)).unwrap();
}

#[tokio::test]
async fn a_plugin_is_checked_installed_upgraded_taken_back_and_removed() {
    let (app, key) = (TestApp::start().await, key());
    let line = Line { app: &app };
    let folder = app.folder();
    write(folder, &key, "one.wasm", &plugin("1.0.0", "pixels = true"));
    write(folder, &key, "two.wasm", &plugin("1.1.0", "pixels = true"));
    write(folder, &key, "three.wasm", &plugin("2.0.0", "pixels = true\nconcurrency = 2"));
    std::fs::write(folder.join("key.pub"), key.pk.to_box().unwrap().into_string()).unwrap();
    let running = || app.running.gallery.plugins().face_detector.map(|found| found.plugin().manifest().version.clone());
    let becomes = async |version: Option<&str>| {
        eventually("the server takes it up", || async { (running().as_deref() == version).then_some(()) }).await;
    };

    let text = line.run(&["check", "one.wasm"]).await.unwrap_err();
    assert!(text.contains("- sees the pixels of your photos") && text.contains("is not trusted for it"), "{text}");
    let text = line.run(&["check", "one.wasm", "--key", "key.pub"]).await.unwrap();
    assert!(
        text.contains("org.example.faces 1.0.0: Example faces") && text.contains("is what its manifest says"),
        "{text}"
    );
    std::fs::write(folder.join("page.wasm"), "<html>").unwrap();
    let text = line.run(&["check", "page.wasm"]).await.unwrap_err();
    assert!(text.contains("this is not a WebAssembly component"), "{text}");
    let text = line.run(&["check", "gone.wasm"]).await.unwrap_err();
    assert!(text.contains("there is no such file"), "{text}");

    let text = line.run(&["trust", "add", "key.pub", "--for", "org.example."]).await.unwrap();
    assert!(text.contains("is trusted for org.example and all below it"), "{text}");
    assert!(line.run(&["trust", "list"]).await.unwrap().contains(&key.pk.to_base64()));
    // Without a word of approval nothing happens.
    let text = line.run(&["install", "one.wasm"]).await.unwrap_err();
    assert!(text.contains("- sees the pixels") && text.contains("nothing was installed: --yes approves"), "{text}");
    assert!(!line.run(&["list"]).await.unwrap().contains(ID));
    let text = line.run(&["install", "one.wasm", "--yes", "--grant", "pixels=false"]).await.unwrap();
    assert!(text.contains("org.example.faces 1.0.0 is installed and enabled."), "{text}");
    becomes(Some("1.0.0")).await;
    let text = line.run(&["list"]).await.unwrap();
    assert!(text.contains("latent.face-detection") && text.contains("(pinned by the settings)"), "{text}");
    let text = line.run(&["info", ID]).await.unwrap();
    assert!(text.contains("Runs: 1.0.0, sha256:") && !text.contains("pixels"), "{text}");

    let text = line.run(&["upgrade", ID, "two.wasm"]).await.unwrap();
    assert!(text.contains("It asks for no more than before. org.example.faces is 1.1.0 now."), "{text}");
    becomes(Some("1.1.0")).await;
    let text = line.run(&["upgrade", ID, "one.wasm"]).await.unwrap_err();
    assert!(text.contains("1.0.0 is lower than 1.1.0"), "{text}");
    let text = line.run(&["upgrade", ID, "three.wasm"]).await.unwrap();
    assert!(
        text.contains("- works on up to 2 calls at once") && text.contains("2.0.0 waits for an approval"),
        "{text}"
    );
    assert!(line.run(&["list"]).await.unwrap().contains("(2.0.0 waits for an approval)"));
    assert!(line.run(&["grant", ID]).await.unwrap_err().contains("nothing was changed"));
    line.run(&["grant", ID, "--yes"]).await.unwrap();
    becomes(Some("2.0.0")).await;
    let text = line.run(&["rollback", ID]).await.unwrap();
    assert!(text.contains("org.example.faces is 1.1.0 again."), "{text}");
    becomes(Some("1.1.0")).await;
    line.run(&["grant", ID, "--grant", "pixels=true"]).await.unwrap();
    assert!(line.run(&["info", ID, "--json"]).await.unwrap().contains("sees the pixels of your photos"));
    line.run(&["disable", ID]).await.unwrap();
    becomes(None).await;
    line.run(&["enable", ID]).await.unwrap();
    becomes(Some("1.1.0")).await;
    line.run(&["remove", ID]).await.unwrap();
    becomes(None).await;
    line.run(&["trust", "remove", "key.pub"]).await.unwrap();
    assert!(line.run(&["trust", "list"]).await.unwrap().is_empty());
}
