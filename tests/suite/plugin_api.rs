//! Plugins over HTTP: Latent's own operations for administrators, and what Immich's clients see.

use std::collections::BTreeSet;

use api::Access;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{Answer, Client, TestApp};

use crate::plugin_lifecycle::{ID, key, plugin, signed};
use crate::plugin_sources::Site;

/// Calls an operation of the table by its name, and remembers that it succeeded.
struct Caller {
    client: Client,
    done: BTreeSet<&'static str>,
}

impl Caller {
    async fn call(&mut self, name: &str, body: Value) -> Answer {
        let operations = api::operations();
        let operation = operations.iter().find(|operation| operation.id == name).unwrap();
        let path = operation.path.replace("{id}", ID);
        let request = self.client.request(operation.method.clone(), &path).json(&body);
        let answer = self.client.answer(request).await;
        if answer.status.is_success() {
            self.done.insert(operation.id);
        }
        answer
    }

    async fn upload(&mut self, wasm: Vec<u8>, fields: &[(&'static str, String)]) -> Answer {
        let file = Part::bytes(wasm).file_name("faces.wasm");
        let mut form = Form::new().part("component", file);
        for (name, value) in fields {
            form = form.text(*name, value.clone());
        }
        let request = self.client.request(Method::POST, "/latent/plugins/upload").multipart(form);
        let answer = self.client.answer(request).await;
        if answer.status.is_success() {
            self.done.insert("uploadPlugin");
        }
        answer
    }
}

fn running(app: &TestApp) -> Option<String> {
    Some(app.running.gallery.plugins().face_detector?.plugin().manifest().version.clone())
}

#[tokio::test]
async fn an_administrator_does_everything_and_the_server_runs_it_at_once() {
    let (app, site, key) = (TestApp::start().await, Site::start().await, key());
    let mut ann = Caller { client: app.sign_up().await, done: BTreeSet::new() };
    let trusted = json!({ "publicKey": key.pk.to_base64(), "prefix": "org.example." });
    let shown = ann.call("trustPluginKey", trusted.clone()).await.ok();
    assert_eq!(ann.call("listPluginKeys", json!({})).await.ok()[0]["key"], shown["key"]);

    let wasm = plugin("1.0.0", "pixels = true");
    site.says("/faces.wasm", wasm.clone());
    site.says("/faces.wasm.minisig", signed(&key, &wasm));
    let source = json!({ "source": format!("{}/faces.wasm", site.url) });
    let waiting = ann.call("installPlugin", source.clone()).await.ok();
    assert_eq!((&waiting["health"]["state"], running(&app)), (&json!("waiting"), None));
    assert_eq!(waiting["staged"]["wider"][0], "sees the pixels of your photos");
    let active = ann.call("approvePlugin", json!({ "grants": { "pixels": false } })).await.ok();
    assert_eq!((&active["health"]["state"], running(&app).as_deref()), (&json!("running"), Some("1.0.0")));
    assert_eq!(active["active"]["signedBy"], json!({ "key": shown["key"], "trusted": true }));
    let granted = ann.call("grantPlugin", json!({ "grants": { "pixels": true } })).await.ok();
    assert_eq!(granted["active"]["may"][0], "sees the pixels of your photos");

    // The same address gives a newer version that asks for no more.
    let newer = plugin("1.1.0", "");
    site.says("/faces.wasm", newer.clone());
    site.says("/faces.wasm.minisig", signed(&key, &newer));
    assert_eq!(ann.call("upgradePlugin", json!({})).await.ok()["active"]["version"], "1.1.0");
    assert_eq!(running(&app).as_deref(), Some("1.1.0"));
    ann.call("rollbackPlugin", json!({})).await.ok();
    assert_eq!(running(&app).as_deref(), Some("1.0.0"));
    assert_eq!(ann.call("disablePlugin", json!({})).await.ok()["health"]["state"], "disabled");
    assert_eq!(running(&app), None);
    ann.call("enablePlugin", json!({})).await.ok();
    assert_eq!(running(&app).as_deref(), Some("1.0.0"));

    // An uploaded file in its place, then taken out, and another by upload alone.
    let unsigned = [("upgrade", ID.to_owned()), ("allowUnsigned", "true".to_owned())];
    let staged = ann.upload(plugin("2.0.0", ""), &unsigned).await.ok();
    assert!(staged["staged"]["wider"][0].as_str().unwrap().starts_with("is signed by nobody, not by"), "{staged}");
    assert_eq!(running(&app).as_deref(), Some("1.0.0"), "what ran runs on");
    ann.call("discardPlugin", json!({})).await.ok();
    assert!(ann.call("showPlugin", json!({})).await.ok()["staged"].is_null(), "it is not taken");
    assert_eq!(running(&app).as_deref(), Some("1.0.0"), "what ran runs on");
    let listed = ann.call("listPlugins", json!({})).await.ok();
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["latent.clip-search", "latent.face-detection", "latent.transcoding", ID]);
    assert_eq!((&listed[0]["pinned"], &listed[0]["health"]["state"]), (&json!(true), &json!("disabled")));
    ann.call("removePlugin", json!({})).await.ok();
    assert_eq!(running(&app), None);
    assert_eq!(ann.call("showPlugin", json!({})).await.status, StatusCode::NOT_FOUND);
    let signature = signed(&key, &newer);
    ann.upload(newer, &[("signature", signature)]).await.ok();
    assert_eq!(ann.call("showPlugin", json!({})).await.ok()["staged"]["source"], "file faces.wasm");
    ann.call("distrustPluginKey", trusted).await.ok();

    let missed: Vec<&str> = api::operations()
        .iter()
        .filter(|operation| operation.path.starts_with("/latent/plugin"))
        .map(|operation| operation.id)
        .filter(|id| !ann.done.contains(id))
        .collect();
    assert!(
        missed.is_empty(),
        "no call of these succeeded here; a new operation belongs into this session: {missed:?}"
    );
}

#[tokio::test]
async fn who_is_no_administrator_is_told_nothing_and_changes_nothing() {
    let app = TestApp::start().await;
    let mut ann = Caller { client: app.sign_up().await, done: BTreeSet::new() };
    ann.upload(plugin("1.0.0", ""), &[("allowUnsigned", "true".into())]).await.ok();
    ann.call("approvePlugin", json!({})).await.ok();
    let before = ann.call("listPlugins", json!({})).await.ok();
    let mut bob = Caller { client: ann.client.beside(&app.running.gallery, "Bob").await, done: BTreeSet::new() };
    for operation in api::operations().iter().filter(|operation| operation.path.starts_with("/latent/plugin")) {
        assert!(matches!(operation.access, Access::Admin(_)), "{}", operation.id);
        let answer = bob.call(operation.id, json!({})).await;
        assert_eq!((operation.id, answer.status), (operation.id, StatusCode::FORBIDDEN));
    }
    let answer = bob.upload(plugin("1.0.0", ""), &[("allowUnsigned", "true".into())]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(ann.call("listPlugins", json!({})).await.ok(), before);
    assert_eq!(running(&app).as_deref(), Some("1.0.0"));
}

#[tokio::test]
async fn what_cannot_be_done_says_so_and_leaves_all_as_it_was() {
    let app = TestApp::start().await;
    let mut ann = Caller { client: app.sign_up().await, done: BTreeSet::new() };
    let unsigned = [("allowUnsigned", "true".to_owned())];
    let text = ann.upload(plugin("1.0.0", ""), &[]).await.error();
    assert!(text.starts_with("400 org.example.faces is not signed"), "{text}");
    ann.upload(plugin("1.0.0", ""), &unsigned).await.ok();
    ann.call("approvePlugin", json!({})).await.ok();
    let before = ann.call("showPlugin", json!({})).await.ok();
    let text = ann.upload(plugin("1.0.0", ""), &unsigned).await.error();
    assert!(text.starts_with("400 org.example.faces is installed already"), "{text}");
    let text = ann.upload(b"<html>".to_vec(), &unsigned).await.error();
    assert!(text.starts_with("400 this is not a WebAssembly component"), "{text}");
    assert_eq!(ann.upload(vec![0; 33 << 20], &unsigned).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    for (source, words) in [
        ("/etc/passwd", "is no address: begin with https:// or oci://"),
        ("file.wasm", "is no address"),
        ("gopher://example.org/a", "is no place for plugins"),
        ("http://example.org/a.wasm", "is not encrypted"),
    ] {
        let text = ann.call("installPlugin", json!({ "source": source })).await.error();
        assert!(text.starts_with("400 ") && text.contains(words), "{source}: {text}");
    }
    let text = ann.call("upgradePlugin", json!({})).await.error();
    assert!(text.contains("it came from the file faces.wasm"), "{text}");
    for (name, body, words) in [
        ("installPlugin", json!({ "sauce": "x" }), "unknown field"),
        ("approvePlugin", json!({}), "waits for an approval"),
        ("discardPlugin", json!({}), "no version of org.example.faces waits for an approval"),
        ("rollbackPlugin", json!({}), "no version of org.example.faces to go back to"),
        ("grantPlugin", json!({ "grants": { "models": { "x": "y" } } }), "it does not ask for \"models\""),
        ("trustPluginKey", json!({ "publicKey": "x", "prefix": "org.example" }), "no public key"),
    ] {
        let text = ann.call(name, body).await.error();
        assert!(text.starts_with("400 ") && text.contains(words), "{name}: {text}");
    }
    // Pinned by the settings.
    for path in ["latent.face-detection/rollback", "latent.face-detection/enable"] {
        let text = ann.client.post(&format!("/latent/plugins/{path}"), &json!({})).await.error();
        assert!(text.contains("is pinned by the settings"), "{text}");
    }
    assert_eq!(ann.call("showPlugin", json!({})).await.ok(), before);
    assert_eq!(running(&app).as_deref(), Some("1.0.0"));
}

#[tokio::test]
async fn immichs_clients_find_plugins_and_their_methods() {
    let app = TestApp::start().await;
    let mut ann = Caller { client: app.sign_up().await, done: BTreeSet::new() };
    ann.upload(plugin("1.0.0", ""), &[("allowUnsigned", "true".into())]).await.ok();
    // What was not approved is not there yet.
    let missing = ann.client.get(&format!("/plugins/{ID}")).await;
    assert_eq!(missing.error(), "400 Plugin not found");
    ann.call("approvePlugin", json!({})).await.ok();
    let bob = ann.client.beside(&app.running.gallery, "Bob").await;
    let one = bob.get(&format!("/plugins/{ID}")).await.ok();
    assert_eq!(
        (&one["title"], &one["version"], &one["author"]),
        (&json!("Example faces"), &json!("1.0.0"), &json!("org.example"))
    );
    let names = |list: Value, name: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one[name].as_str().unwrap().to_owned()).collect()
    };
    let all = bob.get("/plugins").await.ok();
    assert_eq!(names(all, "id"), ["latent.clip-search", "latent.face-detection", "latent.transcoding", ID]);
    assert_eq!(names(bob.get("/plugins?enabled=true").await.ok(), "id"), [ID]);
    assert_eq!(names(bob.get("/plugins?title=Example%20faces&version=2.0.0").await.ok(), "id"), Vec::<String>::new());
    let methods = bob.get(&format!("/plugins/methods?pluginName={ID}&$type=AssetV1&trigger=AssetCreate")).await.ok();
    assert_eq!(names(methods, "key"), [format!("{ID}#detect")]);
    assert_eq!(bob.get("/plugins/methods?trigger=AssetTagged").await.ok(), json!([]));
    assert_eq!(bob.get("/plugins/templates").await.ok(), json!([]));
}
