//! The plugin host against guests that behave badly (tests/guests).

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inference::{Inference, InferenceConfig};
use jiff::Timestamp;
use media::Pixels;
use plugin_host::{HostConfig, HostError, Lent, OperatorGrant, Plugin, PluginError, PluginHost, kernels};
use types::{Clock as _, DetectedFace, FixedClock};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const SKELETON: &str = include_str!("../guests/face-detector.wat");

/// A component made of the skeleton and a guest of tests/guests/hostile.
fn component(guest: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = folder.join(format!("guests/hostile/{guest}.wat"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (imports, detect) = text.split_once(";; detect\n").expect("a guest has a line `;; detect`");
    let module = SKELETON.replace("(;imports;)", imports).replace("(;detect;)", detect);
    let mut module = wat::parse_str(module).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder.join("../wit")).unwrap();
    let world = resolve.select_world(&[package], Some("face-detector")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

fn with_manifest(mut component: Vec<u8>, manifest: &str) -> Vec<u8> {
    let section = wasm_encoder::CustomSection { name: "latent:manifest".into(), data: manifest.as_bytes().into() };
    component.push(wasm_encoder::ComponentSection::id(&section));
    wasm_encoder::Encode::encode(&section, &mut component);
    component
}

/// A deadline of 200 ms, unless `requests` has its own.
fn manifest(requests: &str) -> String {
    let deadline = if requests.contains("deadline") { "" } else { "deadline = \"200ms\"" };
    format!(
        "id = \"test.guest\"\nversion = \"1.0.0\"\nworld = \"latent:plugin/face-detector@0.1.0\"\ntitle = \"A guest\"\n\
         [requests]\nmemory = \"4MiB\"\n{deadline}\n{requests}\n"
    )
}

/// A host with a clock that stands still.
struct House {
    host: PluginHost,
    clock: Arc<FixedClock>,
    folder: tempfile::TempDir,
}

fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::new(Timestamp::from_second(1_700_000_000).unwrap()));
    let config = HostConfig { cache_dir: folder.path().join("compiled"), threads: 2 };
    let host = PluginHost::lending(&config, Lent { clock: clock.clone(), ..Lent::default() }).unwrap();
    House { host, clock, folder }
}

impl House {
    async fn load(&self, guest: &str) -> Arc<Plugin> {
        self.load_with(guest, "", &OperatorGrant::default()).await.unwrap()
    }

    async fn load_with(&self, guest: &str, requests: &str, grant: &OperatorGrant) -> Result<Arc<Plugin>, HostError> {
        self.host.load(with_manifest(component(guest), &manifest(requests)).into(), grant).await
    }

    fn wait(&self, time: Duration) {
        self.clock.set(self.clock.now() + time);
    }
}

fn picture(width: u32, height: u32) -> Pixels {
    Pixels::new(width, height, vec![128; (width * height * 3) as usize]).unwrap()
}

/// What the guest makes of one picture.
async fn look(plugin: &Arc<Plugin>) -> Result<Vec<DetectedFace>, PluginError> {
    let mut found = plugin.face_detector().unwrap().detect(vec![picture(64, 48)]).await?;
    found.pop().unwrap()
}

#[tokio::test]
async fn an_endless_loop_dies_at_its_deadline() {
    let house = house();
    let plugin = house.load("spin").await;
    let begun = Instant::now();
    assert_eq!(look(&plugin).await, Err(PluginError::Timeout(200)));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(200), "{took:?}");
    // 20 ms where the machine is idle; the suite runs beside others.
    assert!(took < Duration::from_millis(1_000), "{took:?}");
}

#[tokio::test]
async fn an_endless_loop_does_not_starve_the_others() {
    let house = house();
    let long = "deadline = \"2s\"";
    let busy = house.load_with("spin", long, &OperatorGrant::default()).await.unwrap();
    let quick = house.load_with("nothing", long, &OperatorGrant::default()).await.unwrap();
    let spinning: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn({
                let busy = busy.clone();
                async move { look(&busy).await }
            })
        })
        .collect();
    let begun = Instant::now();
    assert_eq!(look(&quick).await, Ok(vec![]));
    assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
    for call in spinning {
        assert_eq!(call.await.unwrap(), Err(PluginError::Timeout(2_000)));
    }
}

#[tokio::test]
async fn a_memory_bomb_gets_what_was_granted_and_no_more() {
    let house = house();
    let plugin = house.load("memory-bomb").await;
    assert!(matches!(look(&plugin).await, Err(PluginError::Trap(_))));
}

#[tokio::test]
async fn a_handle_bomb_is_told_to_drop_some() {
    let house = house();
    let plugin = house.load("handle-bomb").await;
    let Err(PluginError::Limit(why)) = look(&plugin).await else { panic!("no limit") };
    assert_eq!(why, "1000 handles are open: drop some");
}

#[tokio::test]
async fn bytes_behind_handles_have_a_budget() {
    let house = house();
    let plugin = house
        .load_with("byte-bomb", "host-memory = \"64MiB\"\ndeadline = \"60s\"", &OperatorGrant::default())
        .await
        .unwrap();
    let Err(PluginError::Limit(why)) = look(&plugin).await else { panic!("no limit") };
    assert!(why.contains("12000000 bytes behind handles"), "{why}");
}

#[tokio::test]
async fn a_log_flood_ends_with_the_call() {
    let house = house();
    let plugin = house.load_with("log-flood", "", &OperatorGrant::default()).await.unwrap();
    // It may be too slow for its deadline; it may not take the log down.
    assert!(matches!(look(&plugin).await, Ok(_) | Err(PluginError::Timeout(_))));
}

#[tokio::test]
async fn a_list_of_two_gibibytes_is_a_trap() {
    let house = house();
    let plugin = house.load("long-list").await;
    assert!(matches!(look(&plugin).await, Err(PluginError::Trap(_))));
}

#[tokio::test]
async fn deep_recursion_is_a_trap() {
    let house = house();
    let plugin = house.load("recursion").await;
    let Err(PluginError::Trap(why)) = look(&plugin).await else { panic!("no trap") };
    assert!(why.contains("stack"), "{why}");
}

#[tokio::test]
async fn after_a_trap_the_next_call_gets_a_fresh_instance() {
    let house = house();
    let plugin = house.load("panic").await;
    let detector = plugin.face_detector().unwrap();
    let broken = detector.detect(vec![picture(1, 1)]).await.unwrap();
    assert!(matches!(broken[..], [Err(PluginError::Trap(_))]), "{broken:?}");
    assert_eq!(look(&plugin).await, Ok(vec![]));
}

#[tokio::test]
async fn of_a_batch_that_fails_only_the_bad_picture_fails() {
    let house = house();
    let plugin = house.load("panic").await;
    let detector = plugin.face_detector().unwrap();
    let found = detector.detect(vec![picture(2, 2), picture(1, 1), picture(3, 3)]).await.unwrap();
    assert!(matches!(found[..], [Ok(_), Err(PluginError::Trap(_)), Ok(_)]), "{found:?}");
}

#[tokio::test]
async fn a_plugin_that_keeps_breaking_is_left_alone_then_tried_once() {
    let house = house();
    let plugin = house.load("panic").await;
    let detector = plugin.face_detector().unwrap();
    let breaks = async || detector.detect(vec![picture(1, 1)]).await;
    for _ in 0..5 {
        assert!(matches!(breaks().await.unwrap()[..], [Err(PluginError::Trap(_))]));
    }
    assert!(matches!(breaks().await, Err(PluginError::Unavailable(_))), "it should be left alone");
    house.wait(Duration::from_millis(1_001));
    assert!(matches!(breaks().await.unwrap()[..], [Err(PluginError::Trap(_))]), "it should be tried once");
    house.wait(Duration::from_millis(1_001));
    assert!(matches!(breaks().await, Err(PluginError::Unavailable(_))), "the pause should be twice as long");
    house.wait(Duration::from_secs(1));
    assert_eq!(look(&plugin).await, Ok(vec![]));
    assert!(matches!(breaks().await.unwrap()[..], [Err(PluginError::Trap(_))]), "it should be as good as new");
}

#[tokio::test]
async fn numbers_made_from_an_image_are_denied() {
    let house = house();
    let plugin = house.load("peep").await;
    let Err(PluginError::Denied(why)) = look(&plugin).await else { panic!("not denied") };
    assert_eq!(why, "reading a tensor that was made from an image needs the grant `pixels`");
    // Asking is not enough, and neither is an operator who grants what was not asked for.
    let asked = house.load_with("peep", "pixels = true", &OperatorGrant::default()).await.unwrap();
    assert!(matches!(look(&asked).await, Err(PluginError::Denied(_))));
    let given = OperatorGrant { pixels: true, ..OperatorGrant::default() };
    let unasked = house.load_with("peep", "", &given).await.unwrap();
    assert!(matches!(look(&unasked).await, Err(PluginError::Denied(_))));
    let granted = house.load_with("peep", "pixels = true", &given).await.unwrap();
    assert_eq!(look(&granted).await, Ok(vec![]));
    assert_eq!((plugin.traffic().payload, granted.traffic().payload), (0, 4));
}

#[tokio::test]
async fn an_encoded_image_does_not_tell_its_hash() {
    let house = house();
    let plugin = house.load("peep-encoded").await;
    assert!(matches!(look(&plugin).await, Err(PluginError::Denied(_))));
}

#[tokio::test]
async fn reading_beyond_a_tensor_is_an_error() {
    let house = house();
    let plugin = house.load("out-of-range").await;
    assert_eq!(look(&plugin).await, Err(PluginError::Invalid("2 values from 4294967295 of 2".into())));
}

#[tokio::test]
async fn a_shape_that_cannot_be_counted_is_an_error() {
    let house = house();
    let plugin = house.load("huge-shape").await;
    assert!(matches!(look(&plugin).await, Err(PluginError::Invalid(_))));
}

#[tokio::test]
async fn a_face_that_cannot_be_is_not_believed() {
    let house = house();
    let plugin = house.load("nonsense").await;
    let Err(PluginError::Other(why)) = look(&plugin).await else { panic!("it was believed") };
    assert!(why.starts_with("face 0: "), "{why}");
}

#[tokio::test]
async fn a_warm_call_moves_no_payload() {
    let house = house();
    let plugin = house.load("nothing").await;
    for _ in 0..300 {
        assert_eq!(look(&plugin).await, Ok(vec![]));
    }
    let traffic = plugin.traffic();
    assert_eq!((traffic.calls, traffic.payload, traffic.results), (301, 0, 0));
}

#[tokio::test]
async fn the_first_party_plugins_move_no_payload() {
    let folder = tempfile::tempdir().unwrap();
    let config = HostConfig { cache_dir: folder.path().join("compiled"), threads: 2 };
    let inference = Inference::new(InferenceConfig {
        library: tests::kit().join("onnxruntime/libonnxruntime.so"),
        weights: vec![tests::kit().join("models")],
        ..InferenceConfig::default()
    });
    let host = PluginHost::lending(&config, Lent { inference: Some(inference.unwrap()), ..Lent::default() }).unwrap();
    let load = async |name: &str, models: [(&str, &str); 2]| {
        let wasm = fs::read(tests::kit().join(format!("plugins/{name}.wasm"))).unwrap();
        let models = models.map(|(label, model)| (label.to_owned(), model.to_owned())).into();
        host.load(wasm.into(), &OperatorGrant { models, ..OperatorGrant::default() }).await.unwrap()
    };
    let faces = load("face-detection", [("detector", "centerface"), ("embedder", "fr-feature")]).await;
    let search = load("clip-search", [("image", "starter-search-image"), ("text", "starter-search-text")]).await;

    let found = faces.face_detector().unwrap().detect(vec![picture(1920, 1440), picture(1440, 1920)]).await.unwrap();
    assert_eq!(found, [Ok(vec![]), Ok(vec![])], "a grey picture has no faces");
    let embedder = search.embedder().unwrap();
    let vectors = embedder.embed_images(vec![picture(1920, 1440), picture(1440, 1920)]).await.unwrap();
    let dimensions = embedder.describe().dimensions;
    assert!(vectors.iter().all(|vector| vector.as_ref().is_ok_and(|vector| vector.len() == dimensions)), "{vectors:?}");
    let texts = embedder.embed_texts(vec!["a dog on the beach".into(), "snow".into()], None).await.unwrap();
    assert_eq!(texts.len(), 2);

    for plugin in [&faces, &search] {
        let traffic = plugin.traffic();
        assert_eq!(traffic.payload, 0);
        assert!(traffic.results <= 10_000, "{traffic:?}");
    }
    // Labels, revisions and settings make a recipe; a patch release does not change it.
    assert!(faces.recipe().starts_with("latent.face-detection/0/detector="), "{}", faces.recipe());
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
    assert_eq!(import, "latent:plugin/image@0.1.0");
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
    let folder = house.folder.path().join("compiled");
    let entry =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find(|path| !path.ends_with("key")).unwrap();
    let honest = fs::read(&entry).unwrap();
    let mut forged = honest.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    fs::write(&entry, &forged).unwrap();
    assert_eq!(look(&house.load("nothing").await).await, Ok(vec![]));
    // Sealed anew, by whoever has the key.
    assert_ne!(fs::read(&entry).unwrap(), forged);
}

#[test]
fn boxes_that_are_no_boxes_are_not_kept() {
    let boxes = [
        [0.0, 0.0, 1.0, 1.0],
        [0.0, 0.0, 0.9, 1.0],
        [f32::NAN, 0.0, 1.0, 1.0],
        [0.0, 0.0, -1.0, 1.0],
        [5.0, 5.0, 1.0, 1.0],
    ];
    let scores = [0.5, 0.9, 1.0, 1.0, f32::NAN];
    assert_eq!(kernels::nms(&boxes, &scores, 0.5), [1]);
    assert_eq!(kernels::nms(&boxes, &scores, f32::NAN), [1]);
    assert_eq!(kernels::nms(&boxes, &[0.5, 0.9, 1.0, 1.0, 0.1], 0.95), [1, 0, 4]);
}

#[test]
fn what_is_above_comes_greatest_first_without_what_is_no_number() {
    let values = [0.1, f32::NAN, 0.9, f32::INFINITY, 0.5, 0.9];
    assert_eq!(kernels::above(&values, 0.5, 3), [(3, f32::INFINITY), (2, 0.9), (5, 0.9)]);
    assert_eq!(kernels::above(&values, 0.5, 0), []);
}

#[test]
fn normalising_and_softmax_work_along_any_axis() {
    let axis = |at| kernels::Axis::of(&[2, 2], at).unwrap();
    let mut values = [3.0, 0.0, 4.0, 0.0];
    kernels::l2_normalize(&mut values, axis(0));
    assert_eq!(values, [0.6, 0.0, 0.8, 0.0]);
    let mut values = [1.0, 1.0, f32::NEG_INFINITY, 0.0];
    kernels::softmax(&mut values, axis(1));
    assert_eq!(values, [0.5, 0.5, 0.0, 1.0]);
    assert_eq!(kernels::Axis::of(&[2, 2], 2), None);
    assert_eq!(kernels::product(&[u32::MAX, u32::MAX, u32::MAX]), None);
}
