//! Where plugins come from: addresses, indexes and registries, honest and others.

use std::collections::BTreeMap;
use std::net::TcpListener as StdListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use gallery::plugins::{OCI_SIGNATURE, Offer, Source};
use minisign::KeyPair;
use reqwest::header::LOCATION;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::plugin_lifecycle::{ID, Shop, key, plugin, shop, signed};

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What a site says to a path: status line, headers, body.
type Page = (&'static str, String, Vec<u8>);

/// A web site on this machine that says what a test wants, and remembers what it was asked.
#[derive(Clone)]
pub struct Site {
    pub url: String,
    pages: Arc<Mutex<BTreeMap<String, Page>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let site = Self { url, pages: Arc::default(), asked: Arc::default() };
        let serving = site.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        site
    }

    async fn serve(self, mut stream: tokio::net::TcpStream) {
        let (mut request, mut buffer) = (Vec::new(), [0; 4_096]);
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => request.extend_from_slice(&buffer[..read]),
            }
        }
        let request = String::from_utf8_lossy(&request).into_owned();
        let path = request.split_whitespace().nth(1).unwrap_or("/").to_owned();
        // A page of its own for who has a token.
        let with_token = format!("{path}#authorized");
        let is_known = request.to_lowercase().contains("authorization: bearer for-nobody");
        let pages = self.pages.lock().unwrap().clone();
        let found = pages.get(&with_token).filter(|_| is_known).or_else(|| pages.get(&path)).cloned();
        self.asked.lock().unwrap().push(request);
        let (status, headers, body) = found.unwrap_or_else(|| ("404 Not Found", String::new(), Vec::new()));
        let length = match headers.contains("content-length") {
            true => String::new(),
            false => format!("content-length: {}\r\n", body.len()),
        };
        let head = format!("HTTP/1.1 {status}\r\n{length}{headers}connection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&body).await;
        let _ = stream.shutdown().await;
    }

    pub fn says(&self, path: &str, body: impl Into<Vec<u8>>) {
        self.answers(path, "200 OK", "", body);
    }

    fn answers(&self, path: &str, status: &'static str, headers: &str, body: impl Into<Vec<u8>>) {
        self.pages.lock().unwrap().insert(path.to_owned(), (status, headers.to_owned(), body.into()));
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

/// A shop that trusts a key.
async fn trusting() -> (Shop, KeyPair, Vec<u8>) {
    let (shop, key) = (shop().await, key());
    shop.manager.trust(&key.pk.to_base64(), "org.example").await.unwrap();
    (shop, key, plugin("1.0.0", ""))
}

fn from(source: &str) -> Offer {
    Offer::new(Source::parse(source).unwrap())
}

async fn refused(shop: &Shop, offer: &Offer) -> String {
    let error = shop.manager.look(offer).await.map(|candidate| candidate.package.digest).unwrap_err();
    assert!(shop.manager.list().await.unwrap().is_empty());
    error.to_string()
}

#[tokio::test]
async fn an_address_gives_a_plugin_and_its_signature() {
    let ((shop, key, wasm), site) = (trusting().await, Site::start().await);
    site.says("/faces.wasm?v=1", wasm.clone());
    site.says("/faces.wasm.minisig?v=1", signed(&key, &wasm));
    site.answers("/latest", "302 Found", "location: /faces.wasm?v=1\r\n", "");
    let source = site.at("/faces.wasm?v=1");
    let offer = Offer { digest: Some(format!("sha256:{}", sha256(&wasm))), ..from(&source) };
    let candidate = shop.manager.look(&offer).await.unwrap();
    assert_eq!(candidate.signed_by, Some(key.pk.to_base64()));
    shop.manager.install(&candidate, None).await.unwrap();
    let shown = shop.manager.show(ID).await.unwrap();
    assert_eq!((&shown["staged"]["source"], &shown["health"]["state"]), (&json!(source), &json!("waiting")));
    // Redirects are followed; the signature is looked for where one asked.
    let unsigned = Offer { allow_unsigned: true, ..from(&site.at("/latest")) };
    assert_eq!(shop.manager.look(&unsigned).await.unwrap().package.wasm, wasm);
}

#[tokio::test]
async fn an_address_that_gives_anything_else_changes_nothing() {
    let ((shop, _, wasm), site) = (trusting().await, Site::start().await);
    site.says("/faces.wasm", wasm.clone());
    site.answers("/round", "302 Found", "location: /round\r\n", "");
    site.answers("/nowhere", "302 Found", "", "");
    site.answers("/away", "302 Found", "location: http://example.org/faces.wasm\r\n", "");
    site.answers("/file", "302 Found", "location: file:///etc/passwd\r\n", "");
    site.answers("/short", "200 OK", "content-length: 100000\r\n", wasm.clone());
    site.answers("/long", "200 OK", "", vec![0; (32 << 20) + 1]);
    site.answers("/broken", "500 Internal Server Error", "", "");
    site.says("/page", "<html>sign in</html>");
    let dead = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (source, words) in [
        (site.at("/faces.wasm"), "is not signed: there is no .minisig beside it"),
        (site.at("/gone"), "it answers 404 Not Found"),
        (site.at("/broken"), "it answers 500"),
        (site.at("/round"), "more than 5 redirects"),
        (site.at("/nowhere"), "it redirects to nowhere"),
        (site.at("/away"), "http://example.org/faces.wasm is not encrypted"),
        (site.at("/file"), "address"),
        (site.at("/short"), "the transfer broke off"),
        (site.at("/long"), "it sends more than 33554432 bytes"),
        (site.at("/page"), "this is not a WebAssembly component"),
        (format!("http://{dead}/faces.wasm"), "cannot reach 127.0.0.1"),
        (
            "http://example.org/faces.wasm".into(),
            "is not encrypted, so whoever is on the way could change what it sends. --allow-http",
        ),
    ] {
        let text = refused(&shop, &from(&source)).await;
        assert!(text.contains(words), "{source}: {text}");
    }
    let pinned = Offer { digest: Some("00".repeat(32)), allow_unsigned: true, ..from(&site.at("/faces.wasm")) };
    let text = refused(&shop, &pinned).await;
    assert!(text.contains(&format!("has the SHA-256 {}, not 0000", sha256(&wasm))), "{text}");
    for (source, words) in [
        ("ftp://example.org/a", "is no place for plugins"),
        ("index+https://a/b", "names no plugin"),
        ("", "nothing is named"),
    ] {
        let text = Source::parse(source).unwrap_err();
        assert!(text.contains(words), "{source}: {text}");
    }
}

#[tokio::test]
async fn an_index_gives_the_highest_version_or_the_one_that_is_named() {
    let ((shop, key, wasm), site) = (trusting().await, Site::start().await);
    let (newer, early) = (plugin("1.10.0", ""), plugin("2.0.0-rc.1", ""));
    let mut lines = Vec::new();
    for (version, wasm) in [("1.0.0", &wasm), ("1.10.0", &newer), ("2.0.0-rc.1", &early)] {
        site.says(&format!("/plugins/faces-{version}.wasm"), wasm.clone());
        site.says(&format!("/signatures/{version}"), signed(&key, wasm));
        let signature = format!("/signatures/{version}");
        lines.push(json!({ "id": ID, "version": version, "file": format!("faces-{version}.wasm"),
                           "sha256": sha256(wasm), "signature": signature }));
    }
    let document = json!({ "plugin": lines });
    site.says("/plugins/index.json", document.to_string());
    site.says("/plugins/index.toml", toml::to_string(&document).unwrap());
    for index in ["/plugins/index.json", "/plugins/index.toml"] {
        let source = format!("index+{}#{ID}", site.at(index));
        let found = shop.manager.look(&from(&source)).await.unwrap();
        assert_eq!(found.package.manifest.version, "1.10.0", "{index}");
        let found = shop.manager.look(&from(&format!("{source}@1.0.0"))).await.unwrap();
        assert_eq!(found.package.wasm, wasm);
        let text = refused(&shop, &from(&format!("{source}@3.0.0"))).await;
        assert!(text.contains("no version 3.0.0 of org.example.faces; it has 1.0.0, 1.10.0, 2.0.0-rc.1"), "{text}");
    }
    // Installed from it, an upgrade looks there again.
    let source = format!("index+{}#{ID}@1.0.0", site.at("/plugins/index.json"));
    let candidate = shop.manager.look(&from(&source)).await.unwrap();
    let installed = shop.manager.install(&candidate, Some(&Default::default())).await.unwrap();
    let again = Source::again(&installed.active.unwrap().source).unwrap();
    assert_eq!(shop.manager.look(&Offer::new(again)).await.unwrap().package.manifest.version, "1.10.0");
}

#[tokio::test]
async fn an_index_that_lies_is_not_believed() {
    let ((shop, key, wasm), site) = (trusting().await, Site::start().await);
    site.says("/faces.wasm", wasm.clone());
    site.says("/faces.wasm.minisig", signed(&key, &wasm));
    let line = |id: &str, sha256: &str| {
        json!({ "plugin": [{ "id": id, "version": "1.0.0", "file": "faces.wasm", "sha256": sha256 }] }).to_string()
    };
    site.says("/hash.json", line(ID, &"ab".repeat(32)));
    site.says("/short.json", line(ID, "abc"));
    site.says("/other.json", line("org.example.ocr", &sha256(&wasm)));
    site.says("/page.json", "<html>");
    for (index, id, words) in [
        ("/hash.json", ID, "and the index says abab"),
        ("/short.json", ID, "\"abc\" of org.example.faces 1.0.0 is no SHA-256"),
        ("/other.json", "org.example.ocr", "gives org.example.faces where org.example.ocr was asked for"),
        ("/other.json", ID, "the index has no plugin org.example.faces"),
        ("/page.json", ID, "the index is no list of plugins"),
        ("/gone.json", ID, "it answers 404"),
    ] {
        let text = refused(&shop, &from(&format!("index+{}#{id}", site.at(index)))).await;
        assert!(text.contains(words), "{index}: {text}");
    }
}

/// Debian's registry, on a port of its own. Killed when dropped.
struct Registry {
    child: Child,
    host: String,
    folder: tempfile::TempDir,
}

impl Registry {
    async fn start() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&path).map(|dir| dir.join("docker-registry"));
        let program = places.find(|path| path.is_file()).expect("docker-registry is missing: run `cargo xtask test`");
        let folder = tempfile::tempdir().unwrap();
        // Free a moment ago; if somebody takes it now, the registry ends and the test says so.
        let host = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let config = folder.path().join("config.yml");
        let store = folder.path().join("store");
        std::fs::write(
            &config,
            format!(
                "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
                store.display()
            ),
        )
        .unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(program);
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        let mut registry = Self { child, host, folder };
        eventually("the registry answers", || {
            let ended = registry.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "it ended: {}",
                std::fs::read_to_string(registry.folder.path().join("log")).unwrap()
            );
            let asked = reqwest::get(format!("http://{}/v2/", registry.host));
            async move { asked.await.ok().filter(|answer| answer.status().is_success()).map(drop) }
        })
        .await;
        registry
    }

    async fn push_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let http = reqwest::Client::new();
        let begun = http.post(format!("http://{}/v2/{repository}/blobs/uploads/", self.host)).send().await.unwrap();
        assert_eq!(begun.status(), 202);
        let place = begun.headers()[LOCATION].to_str().unwrap().to_owned();
        let digest = format!("sha256:{}", sha256(bytes));
        let place = format!("{place}&digest={digest}");
        let put = http.put(place).header("content-type", "application/octet-stream").body(bytes.to_vec());
        assert_eq!(put.send().await.unwrap().status(), 201);
        digest
    }

    /// Pushes what `change` makes of the Wasm layout of a component; gives the manifest's digest.
    async fn push(&self, repository: &str, tag: &str, wasm: &[u8], change: impl FnOnce(&mut Value)) -> String {
        let layer = self.push_blob(repository, wasm).await;
        let config = json!({
            "created": "2026-11-25T00:00:00Z", "architecture": "wasm", "os": "wasip2", "layerDigests": [layer],
        });
        let config = config.to_string();
        let config_digest = self.push_blob(repository, config.as_bytes()).await;
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": config_digest, "size": config.len() },
            "layers": [{ "mediaType": "application/wasm", "digest": layer, "size": wasm.len() }],
        });
        change(&mut manifest);
        let manifest = manifest.to_string();
        let put = reqwest::Client::new()
            .put(format!("http://{}/v2/{repository}/manifests/{tag}", self.host))
            .header("content-type", "application/vnd.oci.image.manifest.v1+json")
            .body(manifest.clone());
        let answer = put.send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        format!("sha256:{}", sha256(manifest.as_bytes()))
    }

    /// Where it keeps the bytes of a digest.
    fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        self.folder.path().join(format!("store/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_registry_gives_a_plugin_by_tag_and_by_digest() {
    let ((shop, key, wasm), registry) = (trusting().await, Registry::start().await);
    let signature = signed(&key, &wasm);
    let annotated = |manifest: &mut Value| manifest["annotations"] = json!({ OCI_SIGNATURE: signature });
    let digest = registry.push("ann/faces", "1.0.0", &wasm, annotated).await;
    let host = &registry.host;
    for reference in [format!("{host}/ann/faces:1.0.0"), format!("{host}/ann/faces@{digest}")] {
        let candidate = shop.manager.look(&from(&format!("oci://{reference}"))).await.unwrap();
        assert_eq!((candidate.package.wasm, candidate.signed_by), (wasm.clone().into(), Some(key.pk.to_base64())));
    }
    for (reference, words) in [
        (format!("{host}/ann/faces:2.0.0"), "the manifest: it answers 404"),
        (format!("{host}/ann/ocr:1.0.0"), "the manifest: it answers 404"),
        (format!("{host}/ann/faces@sha256:{}", "0".repeat(64)), "the manifest: it answers 404"),
    ] {
        let text = refused(&shop, &from(&format!("oci://{reference}"))).await;
        assert!(text.contains(words), "{reference}: {text}");
    }
    let layer = format!("sha256:{}", sha256(&wasm));
    let image =
        |manifest: &mut Value| manifest["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
    registry.push("ann/faces", "image", &wasm, image).await;
    let tar =
        |manifest: &mut Value| manifest["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar".into();
    registry.push("ann/faces", "tar", &wasm, tar).await;
    let size = wasm.len();
    let two = |manifest: &mut Value| {
        let layers = manifest["layers"].as_array_mut().unwrap();
        layers.push(json!({ "mediaType": "application/wasm", "digest": layer, "size": size }));
    };
    registry.push("ann/faces", "two", &wasm, two).await;
    registry.push("ann/faces", "plain", &wasm, |_| {}).await;
    for (tag, words) in [
        ("image", "its config is application/vnd.oci.image.config.v1+json, so it is no component"),
        ("tar", "its layer is application/vnd.oci.image.layer.v1.tar, and that of a component is application/wasm"),
        ("two", "it has 2 layers, and a component is one"),
        ("plain", "is not signed"),
    ] {
        let text = refused(&shop, &from(&format!("oci://{host}/ann/faces:{tag}"))).await;
        assert!(text.contains(words), "{tag}: {text}");
    }
    // Its disk is somebody else's now.
    let mut other = wasm.clone();
    *other.last_mut().unwrap() ^= 1;
    std::fs::write(registry.blob(&layer), &other).unwrap();
    let text = refused(&shop, &from(&format!("oci://{host}/ann/faces:1.0.0"))).await;
    assert!(text.contains("the registry serves other bytes") || text.contains("the layer: "), "{text}");
}

#[tokio::test]
async fn a_registry_that_lies_or_is_gone_changes_nothing() {
    let ((shop, _, wasm), site) = (trusting().await, Site::start().await);
    let host = site.url.trim_start_matches("http://").to_owned();
    let digest = format!("sha256:{}", sha256(&wasm));
    let manifest = |digest: &str, size: usize| {
        json!({
            "schemaVersion": 2,
            "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": digest, "size": 2 },
            "layers": [{ "mediaType": "application/wasm", "digest": digest, "size": size }],
        })
        .to_string()
    };
    let says = |tag: &str, body: String| site.says(&format!("/v2/a/b/manifests/{tag}"), body);
    says("other", manifest(&digest, wasm.len()));
    site.says(&format!("/v2/a/b/blobs/{digest}"), plugin("6.6.6", ""));
    let claimed = "0".repeat(64);
    site.says(&format!("/v2/a/b/manifests/sha256:{claimed}"), manifest(&digest, wasm.len()));
    says("huge", manifest(&digest, 1 << 40));
    says("path", manifest("sha256:../../secrets", 10));
    says("text", "<html>".into());
    says("flood", "x".repeat((1 << 20) + 1));
    site.answers(
        "/v2/a/b/manifests/header",
        "200 OK",
        &format!("docker-content-digest: {digest}\r\n"),
        manifest(&digest, 1),
    );
    site.answers("/v2/a/b/manifests/basic", "401 Unauthorized", "www-authenticate: Basic realm=\"x\"\r\n", "");
    let dead = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (reference, words) in [
        (format!("{host}/a/b:other"), "the layer: it"),
        (format!("{host}/a/b@sha256:{claimed}"), "the manifest has the digest"),
        (format!("{host}/a/b:header"), "the registry serves other bytes"),
        (format!("{host}/a/b:huge"), "a component has 33554432 at most"),
        (format!("{host}/a/b:path"), "is no sha256:"),
        (format!("{host}/a/b:text"), "the manifest is none"),
        (format!("{host}/a/b:flood"), "it sends more than 1048576 bytes"),
        (format!("{host}/a/b:basic"), "only what everybody may pull"),
        (format!("{dead}/a/b:1"), "cannot reach 127.0.0.1"),
    ] {
        let text = refused(&shop, &from(&format!("oci://{reference}"))).await;
        assert!(text.contains(words), "{reference}: {text}");
    }
    for wrong in
        ["oci://host", "oci://host/../b:1", "oci://host/a:b:c", "oci://host/a@sha256:12", "oci://ho st/a", "oci:///a"]
    {
        let text = Source::parse(wrong).unwrap_err();
        assert!(text.contains("write oci://host/repository:tag"), "{wrong}: {text}");
    }
}

#[tokio::test]
async fn a_registry_that_wants_a_token_gets_one_for_nobody() {
    let ((shop, key, wasm), site) = (trusting().await, Site::start().await);
    let host = site.url.trim_start_matches("http://").to_owned();
    let challenge = format!("www-authenticate: Bearer realm=\"{}/token\",service=\"a registry\"\r\n", site.url);
    site.answers("/v2/a/b/manifests/1", "401 Unauthorized", &challenge, "");
    site.says(
        "/token?scope=repository%3Aa%2Fb%3Apull&service=a%20registry",
        json!({ "token": "for-nobody" }).to_string(),
    );
    let (digest, signature) = (format!("sha256:{}", sha256(&wasm)), signed(&key, &wasm));
    let manifest = json!({
        "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": digest, "size": 2 },
        "layers": [{ "mediaType": "application/wasm", "digest": digest, "size": wasm.len(),
                     "annotations": { OCI_SIGNATURE: signature } }],
    });
    let blob = format!("/v2/a/b/blobs/{digest}");
    site.says("/v2/a/b/manifests/1#authorized", manifest.to_string());
    // Where the bytes lie is another host, which is not told who asks.
    let store = Site::start().await;
    store.says("/data", wasm.clone());
    site.answers(&blob, "401 Unauthorized", &challenge, "");
    site.answers(
        &format!("{blob}#authorized"),
        "307 Temporary Redirect",
        &format!("location: {}/data\r\n", store.url),
        "",
    );
    let candidate = shop.manager.look(&from(&format!("oci://{host}/a/b:1"))).await.unwrap();
    assert_eq!(candidate.signed_by, Some(key.pk.to_base64()));
    let asked = store.asked.lock().unwrap().clone();
    assert!(asked.len() == 1 && !asked[0].to_lowercase().contains("authorization"), "{asked:?}");
    let token = site.asked.lock().unwrap()[1].to_lowercase();
    assert!(token.starts_with("get /token") && !token.contains("authorization"), "{token}");
}
