//! Installing, approving, upgrading and taking back, through the manager that the command line, the API and the page share.

use std::path::PathBuf;
use std::sync::Arc;

use gallery::GalleryError;
use gallery::plugins::requests::{self, OperatorCeiling};
use gallery::plugins::{Approval, Manager, ManagerParts, Offer, Package, Pinned, Source, verify};
use jiff::Timestamp;
use minisign::KeyPair;
use plugin_host::http::Origin;
use plugin_host::{
    BoundSecret, ByteSize, Ceiling, HostConfig, HttpOrigin, PluginError, PluginHost, SecretText, read_manifest,
};
use serde_json::{Map, Value, json};
use store::plugin_kv::KvSpace;
use store::plugins::PluginKey;
use tests::Database;

use crate::plugin_host::{component, look, with_manifest};

pub const ID: &str = "org.example.faces";

/// A face detector that finds nothing.
pub fn plugin(version: &str, requests: &str) -> Vec<u8> {
    guest("nothing", version, requests)
}

pub fn guest(guest: &str, version: &str, requests: &str) -> Vec<u8> {
    with_manifest(component(guest), &manifest(ID, version, requests))
}

fn manifest(id: &str, version: &str, requests: &str) -> String {
    let deadline = if requests.contains("deadline") { "" } else { "deadline = \"2s\"" };
    format!(
        "id = \"{id}\"\nversion = \"{version}\"\nworld = \"latent:plugin/face-detector@0.1.0\"\ntitle = \"Example faces\"\n\
         [requests]\nmemory = \"4MiB\"\n{deadline}\n{requests}\n"
    )
}

pub fn key() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}

/// A signature with this trusted comment.
pub fn sign(key: &KeyPair, wasm: &[u8], comment: &str) -> String {
    minisign::sign(Some(&key.pk), &key.sk, wasm, Some(comment), None).unwrap().into_string()
}

/// As an author signs it.
pub fn signed(key: &KeyPair, wasm: &[u8]) -> String {
    let manifest = read_manifest(wasm).unwrap();
    sign(key, wasm, &format!("id={} version={}", manifest.id, manifest.version))
}

/// A manager with a database and a folder of its own.
pub struct Shop {
    pub manager: Manager,
    pub database: Database,
    folder: tempfile::TempDir,
}

pub async fn shop() -> Shop {
    shop_with(Vec::new(), OperatorCeiling::default()).await
}

async fn shop_with(pinned: Vec<Pinned>, ceiling: OperatorCeiling) -> Shop {
    let database = Database::new().await;
    let manager = manager(&database, pinned, ceiling);
    Shop { manager, database, folder: tempfile::tempdir().unwrap() }
}

/// A process's that is not the server's: nobody hears of what it does.
pub fn manager(database: &Database, pinned: Vec<Pinned>, ceiling: OperatorCeiling) -> Manager {
    let config = HostConfig { cache_dir: std::env::temp_dir().join("latent-tests-compiled"), threads: 2 };
    Manager::new(ManagerParts {
        store: database.store.clone(),
        host: Arc::new(PluginHost::new(&config).unwrap()),
        pinned,
        ceilings: [(ID.to_owned(), ceiling)].into(),
        models: vec!["centerface".into()],
        queue: None,
    })
}

impl Shop {
    /// The file as it lies on a disk, with its signature beside it.
    pub fn file(&self, name: &str, wasm: &[u8], signature: Option<&str>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, wasm).unwrap();
        if let Some(signature) = signature {
            std::fs::write(self.folder.path().join(format!("{name}.minisig")), signature).unwrap();
        }
        path
    }

    fn unsigned(&self, wasm: &[u8]) -> Offer {
        let file = self.file(&format!("{}.wasm", uuid::Uuid::new_v4()), wasm, None);
        Offer { allow_unsigned: true, ..Offer::new(Source::File(file)) }
    }

    /// Installs what nobody signed, and approves all that it asks for.
    async fn install(&self, wasm: &[u8]) -> Result<(), GalleryError> {
        let candidate = self.manager.look(&self.unsigned(wasm)).await?;
        self.manager.install(&candidate, Some(&Approval::default())).await.map(drop)
    }

    async fn upgrade(&self, wasm: &[u8]) -> Result<(), GalleryError> {
        let candidate = self.manager.look(&self.unsigned(wasm)).await?;
        self.manager.upgrade(ID, &candidate, None).await.map(drop)
    }

    /// Versions that run, ran and wait.
    async fn versions(&self) -> [Value; 3] {
        let shown = self.manager.show(ID).await.unwrap();
        ["active", "previous", "staged"].map(|name| shown[name]["version"].clone())
    }
}

fn approving(grants: Value) -> Approval {
    Approval { grants: grants.as_object().unwrap().clone(), settings: None }
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_and_nothing_changes() {
    let shop = shop().await;
    let good = plugin("1.0.0", "");
    let twice = with_manifest(good.clone(), &manifest(ID, "1.0.0", ""));
    let foreign = wat::parse_str("(component (import \"wasi:sockets/tcp@0.2.0\" (instance)))").unwrap();
    let of = |manifest: String| with_manifest(component("nothing"), &manifest);
    let plain = manifest(ID, "1.0.0", "");
    for (wasm, words) in [
        (b"<html>404</html>".to_vec(), "this is not a WebAssembly component: it has no WebAssembly header"),
        (wat::parse_str("(module)").unwrap(), "it is a core module"),
        (component("nothing"), "there is no section latent:manifest"),
        (twice, "there are two sections latent:manifest"),
        (of(plain.replace("face-detector", "mind-reader")), "is unknown; known are"),
        (of(plain.replace("face-detector", "embedder")), "does not export latent:plugin/embedding@0.1.0"),
        (of(plain.replace("face-detector", "local-storage")), "imports latent:plugin/tensor@0.1.0"),
        (with_manifest(foreign, &plain), "imports wasi:sockets/tcp@0.2.0, which is no interface of latent:plugin"),
        (of(manifest(ID, "one", "")), "the manifest's version \"one\" is none"),
        (of(plain.clone() + "[settings.schema]\noneOf = []\n"), "does not check \"oneOf\""),
    ] {
        let text = shop.install(&wasm).await.unwrap_err().to_string();
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(shop.manager.list().await.unwrap().is_empty());
    assert_eq!(shop.database.store.plugin_generation().await.unwrap(), 0);
}

#[tokio::test]
async fn a_signature_counts_by_a_key_that_is_trusted_for_the_id() {
    let shop = shop().await;
    let (ours, theirs, wasm) = (key(), key(), plugin("1.0.0", ""));
    let taken = async |name: &str, wasm: &[u8], signature: Option<String>| {
        let file = shop.file(name, wasm, signature.as_deref());
        shop.manager.look(&Offer::new(Source::File(file))).await.map_err(|error| error.to_string())
    };
    let text = taken("none.wasm", &wasm, None).await.unwrap_err();
    assert!(text.contains("org.example.faces is not signed") && text.contains("--allow-unsigned"), "{text}");
    let text = taken("early.wasm", &wasm, Some(signed(&ours, &wasm))).await.unwrap_err();
    assert!(text.contains("which is not trusted for it: `latent plugin trust add"), "{text}");

    shop.manager.trust(&ours.pk.to_base64(), "org.example.").await.unwrap();
    let good = taken("good.wasm", &wasm, Some(signed(&ours, &wasm))).await.unwrap();
    assert_eq!(good.signed_by, Some(ours.pk.to_base64()));
    let text = taken("foreign.wasm", &wasm, Some(signed(&theirs, &wasm))).await.unwrap_err();
    assert!(text.contains("not trusted for it"), "{text}");
    // A key of somebody else's ids.
    shop.manager.trust(&theirs.pk.to_base64(), "org.exam").await.unwrap();
    let text = taken("prefix.wasm", &wasm, Some(signed(&theirs, &wasm))).await.unwrap_err();
    assert!(text.contains("(only for org.exam)"), "{text}");

    let text = taken("other.wasm", &plugin("1.0.1", ""), Some(signed(&ours, &wasm))).await.unwrap_err();
    assert!(text.contains("does not hold: these are not the bytes"), "{text}");
    for (comment, words) in [
        ("id=org.example.faces version=0.9.0", "the signature is for version 0.9.0, and this is 1.0.0"),
        ("id=org.example.ocr version=1.0.0", "the signature is for id org.example.ocr"),
        ("timestamp:1", "names no id: sign with -t \"id=org.example.faces version=1.0.0\""),
    ] {
        let text = taken("comment.wasm", &wasm, Some(sign(&ours, &wasm, comment))).await.unwrap_err();
        assert!(text.contains(words), "{text}");
    }
    let text = taken("garbage.wasm", &wasm, Some("nonsense".into())).await.unwrap_err();
    assert!(text.contains("is none of minisign's"), "{text}");

    // What may be unsigned may not be signed wrongly.
    let file = shop.file("wrong.wasm", &plugin("1.0.1", ""), Some(&signed(&ours, &wasm)));
    let offer = Offer { allow_unsigned: true, ..Offer::new(Source::File(file)) };
    assert!(shop.manager.look(&offer).await.unwrap_err().to_string().contains("does not hold"));
}

#[tokio::test]
async fn a_signature_of_the_older_kind_counts_too() {
    // minisign-verify's own example, made by the original program without hashing first.
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let signature = "untrusted comment: signature from minisign secret key\n\
        RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n\
        trusted comment: timestamp:1555779966\tfile:test\n\
        QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==";
    let wasm = plugin("1.0.0", "");
    let package = |bytes: &'static [u8]| Package {
        wasm: bytes.into(),
        manifest: read_manifest(&wasm).unwrap(),
        version: "1.0.0".parse().unwrap(),
        digest: String::new(),
    };
    let keys = [PluginKey { public_key: key.into(), prefix: "org.example".into(), added_at: Timestamp::UNIX_EPOCH }];
    let said = |bytes| verify(&package(bytes), Some(signature), &keys, false).unwrap_err();
    // It holds, and only says nothing of a plugin.
    assert!(said(b"test").contains("names no id"), "{}", said(b"test"));
    assert!(said(b"Test").contains("does not hold"), "{}", said(b"Test"));
}

#[tokio::test]
async fn a_key_that_is_none_and_a_prefix_of_everything_are_refused() {
    let shop = shop().await;
    let key = key().pk.to_base64();
    for (key, prefix, words) in [
        ("RWQ", "org.example", "this is no public key"),
        (&*key, "", "is no beginning of an id"),
        (&*key, ".", "is no beginning of an id"),
        (&*key, "org..example", "is no beginning of an id"),
        (&*key, "Org", "is no beginning of an id"),
    ] {
        let text = shop.manager.trust(key, prefix).await.unwrap_err().to_string();
        assert!(text.contains(words), "{key} {prefix}: {text}");
    }
    assert!(shop.manager.keys().await.unwrap().is_empty());
    let text = shop.manager.distrust(&key, None).await.unwrap_err().to_string();
    assert!(text.contains("is not trusted, so it cannot be removed"), "{text}");
    shop.manager.trust(&key, "org.example").await.unwrap();
    shop.manager.distrust(&key, Some("org.example.")).await.unwrap();
    assert!(shop.manager.keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_it_asks_for_is_said_in_plain_words_and_approved_in_part() {
    let shop = shop().await;
    let asks = "pixels = true\nmodels = [\"detector\"]\nhost-memory = \"32MiB\"\nconcurrency = 2";
    let wasm = plugin("1.0.0", asks);
    let candidate = shop.manager.look(&shop.unsigned(&wasm)).await.unwrap();
    insta::assert_snapshot!(candidate.words().join("\n"), @r"
    is not signed by anybody whom you trust
    sees the pixels of your photos
    may run the models that you bind to: detector
    works on up to 2 calls at once
    works up to 2s at a call
    holds up to 32MiB of images and tensors an instance
    takes up to 4MiB of memory an instance
    ");
    let refused =
        async |grants: Value| shop.manager.install(&candidate, Some(&approving(grants))).await.unwrap_err().to_string();
    let text = refused(json!({})).await;
    assert!(
        text.contains("no model is bound to detector; bind one to each with --model LABEL=MODEL. There are centerface"),
        "{text}"
    );
    let text = refused(json!({ "models": { "detector": "nothing" } })).await;
    assert!(text.contains("there is no model nothing for detector; there are centerface"), "{text}");
    let text = refused(json!({ "models": { "eyes": "centerface" } })).await;
    assert!(text.contains("it has no label \"eyes\"; there are detector"), "{text}");
    let text = refused(json!({ "http": ["https://example.org"] })).await;
    assert!(text.contains("it does not ask for \"http\"; it asks for"), "{text}");
    let text = refused(json!({ "memory": true })).await;
    assert!(text.contains("is not in the form of"), "{text}");
    assert!(shop.manager.list().await.unwrap().is_empty());

    // This host lends no models, so what asks for none is approved in part.
    let candidate = shop.manager.look(&shop.unsigned(&plugin("1.0.0", "pixels = true"))).await.unwrap();
    let less = json!({ "pixels": false, "memory": "64GiB", "deadline": "1s" });
    shop.manager.install(&candidate, Some(&approving(less))).await.unwrap();
    let shown = shop.manager.show(ID).await.unwrap();
    // More than it asks for is not approved in advance.
    assert_eq!(shown["active"]["grants"], json!({ "memory": "4MiB", "deadline": "1s" }));
    assert_eq!(shown["active"]["may"], json!(["works up to 1s at a call", "takes up to 4MiB of memory an instance"]));
}

#[tokio::test]
async fn requests_and_what_the_settings_allow_bound_what_was_approved() {
    let peep = guest("peep", "1.0.0", "pixels = true");
    let seen = async |ceiling: OperatorCeiling, grants: Value| {
        let shop = shop_with(Vec::new(), ceiling).await;
        let candidate = shop.manager.look(&shop.unsigned(&peep)).await.unwrap();
        shop.manager.install(&candidate, Some(&approving(grants))).await.unwrap();
        let plugins = shop.manager.loaded_now().await.unwrap();
        look(plugins.face_detector.unwrap().plugin()).await
    };
    let none = OperatorCeiling::default;
    assert_eq!(seen(none(), json!({})).await, Ok(vec![]));
    assert!(matches!(seen(none(), json!({ "pixels": false })).await, Err(PluginError::Denied(_))));
    let ceiling = OperatorCeiling { pixels: Some(false), ..none() };
    assert!(matches!(seen(ceiling, json!({})).await, Err(PluginError::Denied(_))));
}

#[tokio::test]
async fn origins_are_approved_by_name_and_a_way_out_of_the_house_is_called_one() {
    let shop = shop().await;
    let asks = "pixels = true\nhttp = [\"https://api.example.org\", \"https://*.cdn.example.org\"]";
    let candidate = shop.manager.look(&shop.unsigned(&plugin("1.0.0", asks))).await.unwrap();
    let words = candidate.words();
    assert!(words[1].starts_with("may send requests to https://api.example.org"), "{words:?}");
    assert!(words[1].ends_with("together with the pixels of your photos this is a way out of the house"), "{words:?}");
    for wrong in
        [json!(["https://evil.example.org"]), json!([{ "origin": "https://api.example.org", "private": true }])]
    {
        let approval = approving(json!({ "http": wrong }));
        let text = shop.manager.install(&candidate, Some(&approval)).await.unwrap_err().to_string();
        assert!(text.contains("is no origin of those that it asks for"), "{text}");
    }
    shop.manager.install(&candidate, Some(&Approval::default())).await.unwrap();
    let grants = async || shop.manager.show(ID).await.unwrap()["active"]["grants"]["http"].clone();
    // A kind of origins is granted only as far as an operator names them.
    let named = grants().await;
    assert_eq!(named.as_array().map(Vec::len), Some(1), "{named}");
    let both = json!(["https://api.example.org", "https://a.cdn.example.org"]);
    shop.manager.grant(ID, &approving(json!({ "http": both }))).await.unwrap();
    // A version that asks for the kind alone keeps what is of it.
    shop.upgrade(&plugin("1.1.0", "http = [\"https://*.cdn.example.org\"]")).await.unwrap();
    assert_eq!(grants().await, json!(["https://a.cdn.example.org"]));
}

#[test]
fn the_settings_bound_origins_secrets_and_what_is_kept() {
    let grants =
        json!({ "http": ["https://api.example.org", "http://nas.lan:9000"], "secrets": ["key"], "kv": "1MiB" });
    let grants = grants.as_object().unwrap();
    let origin = |text: &str| HttpOrigin::from(text.parse::<Origin>().unwrap());
    let secret = |at: &str| BoundSecret { value: SecretText::new("0123456789"), origin: at.parse().unwrap() };
    let effective = |grants: &Map<String, Value>, ceiling: &OperatorCeiling| {
        requests::operator(grants, &Map::new(), ceiling).unwrap()
    };
    let free = effective(grants, &OperatorCeiling::default());
    assert_eq!(free.http, [origin("https://api.example.org"), origin("http://nas.lan:9000")]);
    assert_eq!((free.ceiling.kv, free.secrets.len()), (Some(ByteSize(1 << 20)), 0));
    // What the settings know of an origin counts; what they do not name is not there.
    let private = HttpOrigin { private: true, ..origin("http://nas.lan:9000") };
    let ceiling = OperatorCeiling {
        http: Some(vec![private.clone(), origin("https://never-approved.example.org")]),
        secrets: [
            ("key".to_owned(), secret("http://nas.lan:9000")),
            ("other".to_owned(), secret("http://nas.lan:9000")),
        ]
        .into(),
        limits: Ceiling { kv: Some(ByteSize(1 << 10)), ..Ceiling::default() },
        ..OperatorCeiling::default()
    };
    let bounded = effective(grants, &ceiling);
    assert_eq!((bounded.http, bounded.ceiling.kv), (vec![private], Some(ByteSize(1 << 10))));
    assert_eq!(bounded.secrets.keys().collect::<Vec<_>>(), ["key"]);
    // Nothing approved is nothing granted.
    let nothing = effective(&Map::new(), &ceiling);
    assert!(nothing.http.is_empty() && nothing.secrets.is_empty() && !nothing.pixels);
    assert_eq!(nothing.ceiling.kv, Some(ByteSize(0)));
    let none = OperatorCeiling { http: Some(Vec::new()), ..ceiling };
    let closed = effective(grants, &none);
    assert!(closed.http.is_empty() && closed.secrets.is_empty());
}

#[tokio::test]
async fn an_upgrade_that_asks_for_no_more_is_switched_at_once_and_one_step_back_is_possible() {
    let shop = shop().await;
    shop.install(&plugin("1.0.0", "pixels = true")).await.unwrap();
    shop.manager.grant(ID, &approving(json!({ "pixels": false }))).await.unwrap();
    shop.upgrade(&plugin("1.1.0", "pixels = true")).await.unwrap();
    assert_eq!(shop.versions().await, [json!("1.1.0"), json!("1.0.0"), Value::Null]);
    // What was refused once is not asked for again.
    assert_eq!(shop.manager.show(ID).await.unwrap()["active"]["grants"].get("pixels"), None);
    shop.upgrade(&plugin("1.2.0", "")).await.unwrap();
    assert_eq!(shop.versions().await, [json!("1.2.0"), json!("1.1.0"), Value::Null]);

    let lower = shop.upgrade(&plugin("1.1.9", "")).await.unwrap_err().to_string();
    assert!(lower.contains("1.1.9 is lower than 1.2.0, which runs"), "{lower}");
    let before = shop.upgrade(&plugin("1.2.0-rc.1", "")).await.unwrap_err().to_string();
    assert!(before.contains("is lower than"), "{before}");
    let same = shop.upgrade(&plugin("1.2.0", "")).await.unwrap_err().to_string();
    assert!(same.contains("1.2.0 runs already"), "{same}");

    shop.manager.rollback(ID).await.unwrap();
    assert_eq!(shop.versions().await, [json!("1.1.0"), json!("1.2.0"), Value::Null]);
    assert_eq!(shop.manager.show(ID).await.unwrap()["active"]["asks"][0], "sees the pixels of your photos");
    shop.manager.rollback(ID).await.unwrap();
    assert_eq!(shop.versions().await, [json!("1.2.0"), json!("1.1.0"), Value::Null]);
    // What no version names any more takes no room.
    let client = shop.database.raw().await;
    let count: i64 = client.query_one("SELECT count(*) FROM plugin_component", &[]).await.unwrap().get(0);
    assert_eq!(count, 2);
}

#[tokio::test]
async fn an_upgrade_that_asks_for_more_waits_for_the_difference_to_be_approved() {
    let shop = shop().await;
    shop.install(&plugin("1.0.0", "concurrency = 2")).await.unwrap();
    let wider = plugin("2.0.0", "pixels = true\nconcurrency = 3\ndeadline = \"1s\"");
    let candidate = shop.manager.look(&shop.unsigned(&wider)).await.unwrap();
    let difference = shop.manager.compare(ID, &candidate).await.unwrap();
    assert_eq!(difference, ["sees the pixels of your photos", "works on up to 3 calls at once"]);
    shop.upgrade(&wider).await.unwrap();
    assert_eq!(shop.versions().await, [json!("1.0.0"), Value::Null, json!("2.0.0")]);
    let shown = shop.manager.show(ID).await.unwrap();
    assert_eq!(shown["staged"]["wider"], json!(difference));
    assert_eq!(shown["active"]["grants"].get("pixels"), None);
    // Approved in part.
    shop.manager.approve(ID, &approving(json!({ "pixels": false }))).await.unwrap();
    assert_eq!(shop.versions().await, [json!("2.0.0"), json!("1.0.0"), Value::Null]);
    let grants = shop.manager.show(ID).await.unwrap()["active"]["grants"].clone();
    assert_eq!(grants, json!({ "concurrency": 3, "deadline": "2s", "memory": "4MiB" }));
    let nothing = shop.manager.approve(ID, &Approval::default()).await.unwrap_err().to_string();
    assert!(nothing.contains("waits for an approval"), "{nothing}");
}

#[tokio::test]
async fn another_signer_and_other_bytes_of_a_version_are_a_wider_request() {
    let shop = shop().await;
    let (first, second) = (key(), key());
    for key in [&first, &second] {
        shop.manager.trust(&key.pk.to_base64(), "org.example").await.unwrap();
    }
    let offer = |key: &KeyPair, wasm: &[u8]| {
        let name = format!("{}.wasm", uuid::Uuid::new_v4());
        Offer::new(Source::File(shop.file(&name, wasm, Some(&signed(key, wasm)))))
    };
    let one = shop.manager.look(&offer(&first, &plugin("1.0.0", ""))).await.unwrap();
    shop.manager.install(&one, Some(&Approval::default())).await.unwrap();
    let two = shop.manager.look(&offer(&second, &plugin("1.1.0", ""))).await.unwrap();
    shop.manager.upgrade(ID, &two, None).await.unwrap();
    assert_eq!(shop.versions().await, [json!("1.0.0"), Value::Null, json!("1.1.0")]);
    let wider = shop.manager.show(ID).await.unwrap()["staged"]["wider"].to_string();
    assert!(wider.contains("is signed by") && wider.contains(", not by"), "{wider}");
    // The key is taken back before the approval comes.
    shop.manager.distrust(&second.pk.to_base64(), None).await.unwrap();
    let text = shop.manager.approve(ID, &Approval::default()).await.unwrap_err().to_string();
    assert!(text.contains("not trusted for it"), "{text}");
    assert_eq!(shop.versions().await, [json!("1.0.0"), Value::Null, json!("1.1.0")]);

    let again = plugin("1.0.0", "deadline = \"1s\"");
    let again = shop.manager.look(&offer(&first, &again)).await.unwrap();
    let wider = shop.manager.compare(ID, &again).await.unwrap();
    assert_eq!(wider, ["has the version 1.0.0 like the one that runs, with other bytes"]);
    // Nobody's signature in the place of somebody's.
    let wasm = plugin("1.3.0", "");
    let unsigned = shop.manager.look(&shop.unsigned(&wasm)).await.unwrap();
    let wider = shop.manager.compare(ID, &unsigned).await.unwrap();
    assert!(wider[0].starts_with("is signed by nobody, not by "), "{wider:?}");
}

#[tokio::test]
async fn settings_that_do_not_fit_the_schema_are_refused_and_the_old_ones_stay() {
    let shop = shop().await;
    let schema = "[settings.schema]\ntype = \"object\"\nadditionalProperties = false\n\
                  [settings.schema.properties.size]\ntype = \"integer\"\nmaximum = 9\n";
    shop.install(&plugin("1.0.0", schema)).await.unwrap();
    let set = |settings: Value| Approval { grants: Map::new(), settings: settings.as_object().cloned() };
    shop.manager.grant(ID, &set(json!({ "size": 5 }))).await.unwrap();
    for (wrong, words) in [(json!({ "size": 10 }), "at most 9"), (json!({ "sise": 1 }), "sise is not known")] {
        let text = shop.manager.grant(ID, &set(wrong)).await.unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(shop.manager.show(ID).await.unwrap()["active"]["settings"], json!({ "size": 5 }));
    // A version that they do not fit is not switched to.
    let other = plugin("1.1.0", &schema.replace("size", "width"));
    let text = shop.upgrade(&other).await.unwrap_err().to_string();
    assert!(text.contains("size is not known; there are width"), "{text}");
    assert_eq!(shop.versions().await, [json!("1.0.0"), Value::Null, Value::Null]);
}

#[tokio::test]
async fn two_plugins_with_one_id_are_refused() {
    let shop = shop().await;
    shop.install(&plugin("1.0.0", "")).await.unwrap();
    let text = shop.install(&plugin("2.0.0", "")).await.unwrap_err().to_string();
    assert!(text.contains("is installed already: `latent plugin upgrade org.example.faces"), "{text}");
    assert_eq!(shop.versions().await, [json!("1.0.0"), Value::Null, Value::Null]);

    let pinned = Pinned {
        id: ID.into(),
        enabled: true,
        source: "settings".into(),
        manifest: None,
        digest: String::new(),
        changed_at: Timestamp::UNIX_EPOCH,
        granted: Map::new(),
        plugin: None,
        error: None,
    };
    let shop = shop_with(vec![pinned], OperatorCeiling::default()).await;
    let text = shop.install(&plugin("2.0.0", "")).await.unwrap_err().to_string();
    assert!(text.contains("is pinned by the settings"), "{text}");
}

#[tokio::test]
async fn a_plugin_that_breaks_when_it_is_first_asked_is_not_switched_to() {
    let shop = shop().await;
    shop.install(&plugin("1.0.0", "")).await.unwrap();
    // `describe` answers a revision that is none.
    let module =
        crate::plugin_host::SKELETON.replace("\"r1\"", "\"\\00\\0a\"").replace("(;detect;)", "(global.get $one)");
    let broken = with_manifest(crate::plugin_host::encoded(&module), &manifest(ID, "1.1.0", ""));
    let text = shop.upgrade(&broken).await.unwrap_err().to_string();
    assert!(text.contains("failed its first call"), "{text}");
    assert_eq!(shop.versions().await, [json!("1.0.0"), Value::Null, Value::Null]);
}

#[tokio::test]
async fn a_version_that_is_left_alone_says_why_until_it_is_enabled_again() {
    let shop = shop().await;
    shop.install(&plugin("1.0.0", "")).await.unwrap();
    let shown = async || shop.manager.show(ID).await.unwrap()["health"].clone();
    let digest = shop.manager.show(ID).await.unwrap()["active"]["digest"].as_str().unwrap().to_owned();
    shop.database.store.quarantine(ID, &digest, "it crashed 5 times in a row").await.unwrap();
    assert_eq!(shown().await, json!({ "state": "quarantined", "why": "it crashed 5 times in a row" }));
    shop.manager.set_enabled(ID, true).await.unwrap();
    assert_eq!(shown().await["state"], "enabled");
}

#[tokio::test]
async fn of_two_operators_at_once_one_is_told() {
    let shop = shop().await;
    shop.install(&plugin("1.0.0", "")).await.unwrap();
    let read = shop.database.store.installed_plugin(ID).await.unwrap().unwrap();
    shop.manager.set_enabled(ID, false).await.unwrap();
    assert_eq!(shop.database.store.save_plugin(&read, None).await.unwrap(), None, "it was read before the change");
    assert_eq!(shop.database.store.delete_plugin(ID, read.revision).await.unwrap(), None);
    let generation = shop.database.store.plugin_generation().await.unwrap();
    assert_eq!(generation, 2, "what was refused leaves nothing");
    let store = &shop.database.store;
    let space = KvSpace { plugin: ID, scope: "", quota: 1 << 20 };
    store.set_plugin_value(space, "state", b"x", None, Timestamp::now()).await.unwrap();
    shop.manager.remove(ID).await.unwrap();
    assert_eq!(store.plugin_value(space, "state", Timestamp::now()).await.unwrap(), None, "its state goes with it");
    let text = shop.manager.remove(ID).await.unwrap_err().to_string();
    assert_eq!(text, "no plugin org.example.faces is installed");
}
