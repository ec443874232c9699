//! What a plugin is before it runs: manifests that are refused, grants, settings, the cache of compiled code.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use plugin_host::{ByteSize, Ceiling, HostConfig, HostError, OperatorGrant, PluginError, PluginHost, Time};

use crate::plugin_host::{House, SKELETON, component, encoded, first_party, house, look, manifest, with_manifest};

/// Why the component with this manifest is not loaded.
async fn refusal(house: &House, wasm: Vec<u8>, grant: &OperatorGrant) -> String {
    match house.host.load(wasm.into(), grant).await {
        Ok(_) => panic!("it was loaded"),
        Err(error) => error.to_string(),
    }
}

async fn refused(manifest: &str) -> String {
    refusal(&house(), with_manifest(component("nothing"), manifest), &OperatorGrant::default()).await
}

#[tokio::test]
async fn what_is_no_component_is_refused() {
    let house = house();
    let grant = OperatorGrant::default();
    let text = b"<html>not found</html>".to_vec();
    insta::assert_snapshot!(refusal(&house, text, &grant).await, @"this is not a WebAssembly component: it has no WebAssembly header. A core module becomes one with `cargo xtask plugins`");
    let module = wat::parse_str("(module)").unwrap();
    insta::assert_snapshot!(refusal(&house, module, &grant).await, @"this is not a WebAssembly component: it is a core module. A core module becomes one with `cargo xtask plugins`");
    insta::assert_snapshot!(refusal(&house, component("nothing"), &grant).await, @"the plugin's manifest cannot be used: there is no section latent:manifest");
    let twice = with_manifest(with_manifest(component("nothing"), &manifest("")), &manifest(""));
    insta::assert_snapshot!(refusal(&house, twice, &grant).await, @"the plugin's manifest cannot be used: there are two sections latent:manifest");
    insta::assert_snapshot!(refusal(&house, vec![0; (32 << 20) + 1], &grant).await, @"it is 33554433 bytes long; a component has 33554432 at most");
}

#[tokio::test]
async fn an_unknown_world_is_refused_by_name() {
    let text = refused(&manifest("").replace("face-detector", "mind-reader")).await;
    assert!(text.contains("the world \"latent:plugin/mind-reader@0.1.0\" is unknown"), "{text}");
}

#[tokio::test]
async fn numbers_that_no_machine_has_are_refused_by_name() {
    for (requests, words) in [
        ("concurrency = 4611686018427387904", "[requests] concurrency = 4611686018427387904; it is 1 to 64"),
        ("concurrency = 65", "it is 1 to 64"),
        ("concurrency = 0", "it is 1 to 64"),
        ("host-memory = \"99999999999GiB\"", "is no size that a machine has"),
        ("host-memory = \"0MiB\"", "is no size that a machine has"),
        ("host-memory = \"64MB\"", "is no size: write 64MiB"),
        ("deadline = \"99999999999999999999s\"", "is no duration: write 500ms, 10s or 5m"),
        ("deadline = \"0s\"", "is nothing that one can wait for"),
        ("http = [\"https://example.org/path\"]", "it holds more than scheme, host and port"),
        ("http = [\"https://ann@example.org\"]", "it holds a user"),
        ("http = [\"ftp://example.org\"]", "it is neither http nor https"),
        ("secrets = [\"a b\"]", "[requests] secrets: \"a b\" is no name"),
        ("kv = \"0KiB\"", "is no size that a machine has"),
    ] {
        let text = refused(&manifest(requests)).await;
        assert!(text.contains(words), "{requests}: {text}");
    }
}

#[tokio::test]
async fn settings_are_compared_with_the_schema() {
    let house = house();
    let schema = "[settings.schema]\ntype = \"object\"\nadditionalProperties = false\n\
                  [settings.schema.properties.size]\ntype = \"integer\"\nminimum = 1\nmaximum = 9\n";
    let wasm = || with_manifest(component("nothing"), &(manifest("") + schema));
    let set = |key: &str, value: serde_json::Value| OperatorGrant {
        settings: [(key.to_owned(), value)].into_iter().collect(),
        ..OperatorGrant::default()
    };
    house.host.load(wasm().into(), &set("size", 5.into())).await.unwrap();
    insta::assert_snapshot!(refusal(&house, wasm(), &set("size", 10.into())).await, @"test.guest, settings: size has 10, but at most 9 are taken");
    insta::assert_snapshot!(refusal(&house, wasm(), &set("size", "big".into())).await, @"test.guest, settings: size is string, but has to be of type integer");
    insta::assert_snapshot!(refusal(&house, wasm(), &set("sise", 5.into())).await, @"test.guest, settings: sise is not known; there are size");
    let unknown = manifest("") + "[settings.schema]\noneOf = []\n";
    let text = refusal(&house, with_manifest(component("nothing"), &unknown), &OperatorGrant::default()).await;
    assert!(text.contains("this host does not check \"oneOf\""), "{text}");
}

#[tokio::test]
async fn a_plugin_that_stores_nothing_is_no_storage_backend() {
    let house = house();
    let grant = OperatorGrant { files: Some(house.folder.path().into()), ..OperatorGrant::default() };
    let text = refusal(&house, with_manifest(component("nothing"), &manifest("")), &grant).await;
    insta::assert_snapshot!(text, @"test.guest is a latent:plugin/face-detector@0.1.0, which stores nothing: a storage backend needs a plugin of a storage world");
}

#[tokio::test]
async fn an_operator_gives_less_than_a_manifest_asks_for() {
    let house = house();
    let less = |ceiling| OperatorGrant { ceiling, ..OperatorGrant::default() };
    let memory = Ceiling { memory: Some(ByteSize(1 << 20)), ..Ceiling::default() };
    let plugin = house.load_with("memory-bomb", "", &less(memory)).await.unwrap();
    let Err(PluginError::Limit(pages)) = look(&plugin).await else { panic!("no limit") };
    assert_eq!(pages.len(), 16, "pages of 64 KiB");
    let deadline = Ceiling { deadline: Some(Time(Duration::from_millis(50))), ..Ceiling::default() };
    let plugin = house.load_with("spin", "deadline = \"5m\"", &less(deadline)).await.unwrap();
    assert_eq!(look(&plugin).await, Err(PluginError::Timeout(50)));
    // Without a word of the operator, what the world usually needs.
    let plugin = house.load_with("memory-bomb", "", &OperatorGrant::default()).await.unwrap();
    let Err(PluginError::Limit(pages)) = look(&plugin).await else { panic!("no limit") };
    assert_eq!(pages.len(), 64);
}

#[tokio::test]
async fn a_space_that_the_database_cannot_hold_is_refused() {
    let house = house();
    let describes = |dimensions: &str, revision: &str| {
        let module = SKELETON
            .replace("\"\\00\\00\\00\\00\\02\\00\\00\\00", &format!("\"\\00\\00\\00\\00{dimensions}"))
            .replace("\"r1\"", &format!("\"{revision}\""));
        assert_ne!(module, SKELETON);
        with_manifest(encoded(&module.replace("(;detect;)", "(global.get $one)")), &manifest(""))
    };
    let grant = OperatorGrant::default();
    let long = refusal(&house, describes("\\a1\\0f\\00\\00", "r1"), &grant).await;
    assert!(long.contains("it describes 4001 dimensions"), "{long}");
    let odd = refusal(&house, describes("\\02\\00\\00\\00", "\\00\\0a"), &grant).await;
    assert!(odd.contains("is no name: 1 to 128 letters"), "{odd}");
    house.host.load(describes("\\a0\\0f\\00\\00", "v1").into(), &grant).await.unwrap();
}

#[tokio::test]
async fn a_manifest_that_lies_about_its_world_is_refused() {
    let house = house();
    let lie = manifest("").replace("face-detector", "embedder");
    let refused = house.host.load(with_manifest(component("nothing"), &lie).into(), &OperatorGrant::default()).await;
    let Err(error) = refused else { panic!("it was loaded") };
    assert!(error.to_string().contains("does not export latent:plugin/embedding@0.1.0"), "{error}");
}

#[tokio::test]
async fn an_import_outside_the_world_is_refused_by_name() {
    let house = house();
    let storage = manifest("").replace("face-detector", "local-storage");
    let refused =
        house.host.load(with_manifest(component("nothing"), &storage).into(), &OperatorGrant::default()).await;
    let Err(HostError::OutsideWorld { import, .. }) = refused else { panic!("it was loaded") };
    assert_eq!(import, "latent:plugin/tensor@0.1.0");
}

#[tokio::test]
async fn a_foreign_import_is_refused_by_name() {
    let house = house();
    let component = wat::parse_str("(component (import \"wasi:sockets/tcp@0.2.0\" (instance)))").unwrap();
    let refused = house.host.load(with_manifest(component, &manifest("")).into(), &OperatorGrant::default()).await;
    let Err(HostError::ForeignImport { import, .. }) = refused else { panic!("it was loaded") };
    assert_eq!(import, "wasi:sockets/tcp@0.2.0");
}

#[tokio::test]
async fn a_label_without_a_model_says_what_to_write() {
    let house = house();
    let refused = house.load_with("nothing", "models = [\"detector\"]", &OperatorGrant::default()).await;
    let Err(error) = refused else { panic!("it was loaded") };
    insta::assert_snapshot!(error, @r#"test.guest, model label "detector": no model is bound to it. Write into the settings: [plugins."test.guest".models] detector = "<model>""#);
}

#[tokio::test]
async fn a_model_for_a_label_that_nobody_asked_for_is_a_mistake() {
    let house = house();
    let grant = OperatorGrant { models: [("embeder".to_owned(), "x".to_owned())].into(), ..OperatorGrant::default() };
    let Err(error) = house.load_with("nothing", "", &grant).await else { panic!("it was loaded") };
    insta::assert_snapshot!(error, @r#"test.guest, model label "embeder": the plugin has no such label; its labels are none. Take the line out of [plugins."test.guest".models]"#);
}

#[tokio::test]
async fn a_forged_cache_entry_is_compiled_again() {
    let house = house();
    house.load("nothing").await;
    let entry = entry(&house);
    let honest = fs::read(&entry).unwrap();
    let mut forged = honest.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    fs::write(&entry, &forged).unwrap();
    assert_eq!(look(&house.load("nothing").await).await, Ok(vec![]));
    // Sealed anew, by whoever has the key.
    assert_ne!(fs::read(&entry).unwrap(), forged);
}

/// The one compiled plugin.
fn entry(house: &House) -> PathBuf {
    let entries = fs::read_dir(house.folder.path().join("compiled")).unwrap();
    entries.map(|entry| entry.unwrap().path()).find(|path| !path.ends_with("key")).unwrap()
}

fn again(house: &House) -> PluginHost {
    PluginHost::new(&HostConfig { cache_dir: house.folder.path().join("compiled"), threads: 1 }).unwrap()
}

#[tokio::test]
async fn a_cache_entry_under_another_name_is_not_taken() {
    let house = house();
    house.load("nothing").await;
    let nothing = entry(&house);
    let honest = fs::read(&nothing).unwrap();
    fs::remove_file(&nothing).unwrap();
    house.load("spin").await;
    // Sealed by us, but as the code of another plugin.
    let spin = entry(&house);
    fs::write(&spin, &honest).unwrap();
    let plugin = house.load("spin").await;
    assert_eq!(look(&plugin).await, Err(PluginError::Timeout(200)), "it must be itself");
    assert_ne!(fs::read(&spin).unwrap(), honest);
}

#[tokio::test]
async fn a_cache_entry_of_another_installation_is_not_taken() {
    let (ours, theirs) = (house(), house());
    ours.load("nothing").await;
    theirs.load("nothing").await;
    let foreign = fs::read(entry(&theirs)).unwrap();
    fs::write(entry(&ours), &foreign).unwrap();
    assert_eq!(look(&ours.load("nothing").await).await, Ok(vec![]));
    assert_ne!(fs::read(entry(&ours)).unwrap(), foreign);
}

#[tokio::test]
async fn a_key_that_is_none_makes_way_for_a_new_one() {
    let house = house();
    house.load("nothing").await;
    let before = fs::read(entry(&house)).unwrap();
    let folder = house.folder.path().join("compiled");
    let key = folder.join("key");
    for bad in [Vec::new(), vec![1; 31]] {
        fs::write(&key, &bad).unwrap();
        again(&house);
        assert_eq!(fs::read(&key).unwrap().len(), 32);
    }
    // One that others could read is no secret.
    let known = fs::read(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let host = again(&house);
    assert_ne!(fs::read(&key).unwrap(), known);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    host.load(with_manifest(component("nothing"), &manifest("")).into(), &OperatorGrant::default()).await.unwrap();
    assert_ne!(fs::read(entry(&house)).unwrap(), before, "it must be sealed anew");
}

#[tokio::test]
async fn a_cache_that_others_could_write_to_is_closed_and_made_anew() {
    let house = house();
    house.load("nothing").await;
    let folder = house.folder.path().join("compiled");
    let key = fs::read(folder.join("key")).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    again(&house);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_ne!(fs::read(folder.join("key")).unwrap(), key);
}

#[tokio::test]
async fn a_storage_plugin_without_a_folder_is_told_so() {
    let house = house();
    let Err(error) = house.host.load(first_party("storage-local"), &OperatorGrant::default()).await else {
        panic!("it was loaded")
    };
    assert!(error.to_string().contains("give it a folder"), "{error}");
}
