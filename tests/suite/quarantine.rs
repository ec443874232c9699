//! Plugins that break again and again are left alone: for a while, then until somebody decides. What they had to do waits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gallery::plugins::quarantine;
use jiff::Timestamp;
use parking_lot::Mutex;
use plugin_host::{HealthState, HostConfig, Lent, OperatorGrant, Plugin, PluginError, PluginHost, Watch};
use server::plugin_state::PluginState;
use tests::guests::{component, manifest, probe, with_manifest};
use tests::{Client, Database, TestApp, photos};
use types::{Clock as _, FixedClock};

use crate::plugin_host::{look, picture};
use crate::plugin_http::granted;

#[derive(Default)]
struct Notes(Mutex<Vec<(String, String, String)>>);

#[async_trait]
impl Watch for Notes {
    async fn quarantined(&self, plugin: &str, digest: &str, reason: &str) {
        self.0.lock().push((plugin.into(), digest.into(), reason.into()));
    }
}

struct House {
    host: PluginHost,
    clock: Arc<FixedClock>,
    notes: Arc<Notes>,
}

impl House {
    fn new() -> Self {
        let (clock, notes) = (Arc::new(FixedClock::new(Timestamp::now())), Arc::<Notes>::default());
        let cache_dir = std::env::temp_dir().join("latent-tests-compiled");
        let kv = Arc::new(tests::kv::Memory::default());
        let lent = Lent { clock: clock.clone(), watch: Some(notes.clone()), kv: Some(kv), ..Lent::default() };
        Self { host: PluginHost::lending(&HostConfig { cache_dir, threads: 2 }, lent).unwrap(), clock, notes }
    }

    async fn load(&self, guest: &str) -> Arc<Plugin> {
        let wasm = with_manifest(component(guest), &manifest("deadline = \"10s\""));
        self.host.load(wasm.into(), &OperatorGrant::default()).await.unwrap()
    }

    fn wait(&self) {
        self.clock.set(self.clock.now() + Duration::from_secs(301));
    }
}

/// A picture of one pixel makes the guest `panic` panic.
async fn breaks(plugin: &Arc<Plugin>) -> Result<(), PluginError> {
    plugin.face_detector().unwrap().detect(vec![picture(1, 1)]).await?.pop().unwrap().map(drop)
}

async fn open(house: &House, plugin: &Arc<Plugin>) {
    house.wait();
    while plugin.health().state == HealthState::Healthy {
        assert!(breaks(plugin).await.is_err());
    }
}

#[tokio::test]
async fn a_plugin_that_breaks_again_and_again_is_put_away_until_it_is_released() {
    let house = House::new();
    let plugin = house.load("panic").await;
    for _ in 0..5 {
        open(&house, &plugin).await;
        let health = plugin.health();
        let HealthState::Resting { export, until } = health.state else { panic!("{health:?}") };
        assert!(export == "face-detection.detect" && until > house.clock.now(), "{export} {until}");
    }
    open(&house, &plugin).await;
    let health = plugin.health();
    let HealthState::Quarantined(quarantine) = &health.state else { panic!("{health:?}") };
    assert!(quarantine.reason.starts_with("face-detection.detect broke again and again"), "{quarantine:?}");
    assert_eq!(quarantine.since, house.clock.now());
    let detect = health.exports.iter().find(|export| export.name == "face-detection.detect").unwrap();
    assert!(detect.broke >= 10 && detect.calls >= detect.broke, "{detect:?}");
    assert!(matches!(health.last_failure.unwrap().error, PluginError::Trap(_)));
    // No waiting helps, and calls that would go well are refused too.
    house.wait();
    let Err(PluginError::Unavailable(why)) = plugin.face_detector().unwrap().detect(vec![picture(8, 8)]).await else {
        panic!("it was called")
    };
    assert!(why.contains("test.guest is in quarantine: face-detection.detect broke"), "{why}");
    let noted = tests::eventually("it is written down", async || house.notes.0.lock().first().cloned()).await;
    assert_eq!((&*noted.0, &*noted.1, &noted.2), ("test.guest", plugin.digest(), &quarantine.reason));
    plugin.release();
    assert_eq!(plugin.health().state, HealthState::Healthy);
    assert_eq!(look(&plugin).await, Ok(vec![]));
}

#[tokio::test]
async fn what_went_well_for_long_is_not_held_against_it() {
    let house = House::new();
    let plugin = house.load("panic").await;
    for _ in 0..2 {
        for _ in 0..4 {
            open(&house, &plugin).await;
        }
        house.wait();
        for _ in 0..201 {
            assert_eq!(look(&plugin).await, Ok(vec![]));
        }
    }
    assert_eq!(plugin.health().state, HealthState::Healthy);
    assert!(house.notes.0.lock().is_empty());
}

#[tokio::test]
async fn a_storage_plugin_rests_and_is_asked_again() {
    let house = House::new();
    let plugin = house.host.load(probe(), &granted(&["https://a.example"])).await.unwrap();
    let storage = plugin.storage();
    for _ in 0..10 {
        house.wait();
        while plugin.health().state == HealthState::Healthy {
            assert!(storage.head("{\"do\":\"trap\"}").await.is_err());
        }
        assert!(matches!(plugin.health().state, HealthState::Resting { .. }));
    }
    house.wait();
    assert!(storage.check().await.is_ok());
}

#[tokio::test]
async fn a_plugin_that_traps_in_its_first_call_is_not_started_again() {
    let database = Database::new().await;
    let cache_dir = std::env::temp_dir().join("latent-tests-compiled");
    let kv = Arc::new(PluginState(database.store.clone()));
    let lent = Lent { kv: Some(kv), ..Lent::default() };
    let host = PluginHost::lending(&HostConfig { cache_dir, threads: 2 }, lent).unwrap();
    let mut grant = granted(&["https://a.example"]);
    grant.settings.insert("init".into(), "trap".into());
    let refusal = async |wasm: bytes::Bytes, grant: &OperatorGrant| {
        quarantine::load(&database.store, &host, wasm, grant).await.err().map(|error| error.to_string())
    };
    let first = refusal(probe(), &grant).await.unwrap();
    assert!(
        first.contains("test.probe is in quarantine") && first.contains("its first call: the plugin crashed"),
        "{first}"
    );
    // With settings that would do: nobody has decided.
    let well = granted(&["https://a.example"]);
    assert!(refusal(probe(), &well).await.unwrap().contains("is in quarantine since"));
    // Another version is not to blame, and neither is this one after somebody has decided.
    let mut other = probe().to_vec();
    let note = wasm_encoder::CustomSection { name: "note".into(), data: b"another"[..].into() };
    other.push(wasm_encoder::ComponentSection::id(&note));
    wasm_encoder::Encode::encode(&note, &mut other);
    assert_eq!(refusal(other.into(), &well).await, None);
    assert!(database.store.release("test.probe").await.unwrap());
    assert_eq!(refusal(probe(), &well).await, None);
    // An error that it answers is no crash.
    grant.settings.insert("init".into(), "fail".into());
    let told = refusal(probe(), &grant).await.unwrap();
    assert!(told.contains("failed its first call: init fails"), "{told}");
    assert!(database.store.quarantined().await.unwrap().is_empty());
}

const INGEST: &str = "on = \"asset.created\"\n[[step]]\nid = \"metadata\"\nuse = \"host:metadata\"\n[[step]]\nid = \"thumbnails\"\n\
    use = \"host:thumbnails\"\nafter = [\"metadata\"]\n[[step]]\nid = \"faces\"\nafter = [\"thumbnails\"]\n\
    use = \"test.guest\"\nretry = { attempts = 1, backoff = \"10ms\" }\n";

#[tokio::test]
async fn the_steps_of_a_plugin_in_quarantine_wait_for_it_also_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (pipelines, file) = (folder.path().join("pipelines"), folder.path().join("guest.wasm"));
    std::fs::create_dir(&pipelines).unwrap();
    std::fs::write(pipelines.join("ingest.toml"), INGEST).unwrap();
    std::fs::write(&file, with_manifest(component("nothing"), &manifest(""))).unwrap();
    let app = TestApp::with(|settings| {
        settings.pipelines = pipelines;
        let plugin = serde_json::from_value(serde_json::json!({ "file": file })).unwrap();
        settings.plugins.insert("test.guest".into(), plugin);
    })
    .await;
    let client = app.sign_up().await;
    let plugin = app.running.gallery.plugins().all().pop().unwrap();
    let store = app.database.store.clone();
    store.quarantine("test.guest", plugin.digest(), "it was seen to bite").await.unwrap();
    quarantine::apply(&app.running.gallery.plugins(), &store.quarantined().await.unwrap());
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let steps = format!("/latent/assets/{id}/steps");
    tests::eventually("the error is shown", async || {
        let errors = client.get(&format!("/latent/assets/{id}/errors")).await.ok();
        let shown = errors[0]["message"].as_str().is_some_and(|why| why.contains("it was seen to bite"));
        shown.then_some(())
    })
    .await;
    assert_eq!(client.get(&steps).await.ok()["steps"]["ingest/faces"], "pending");
    // The restarted server starts without it, and its step still waits.
    let app = app.restart().await;
    let client = Client { url: app.anonymous.url.clone(), ..client.clone() };
    assert!(
        app.running.gallery.plugins().all().is_empty() && app.running.gallery.plugins().is_quarantined("test.guest")
    );
    assert_ne!(client.get(&steps).await.ok()["steps"]["ingest/faces"], "done");
    assert!(store.release("test.guest").await.unwrap());
    let app = app.restart().await;
    let client = Client { url: app.anonymous.url.clone(), ..client.clone() };
    tests::eventually("the step is done", async || {
        (client.get(&steps).await.ok()["steps"]["ingest/faces"] == "done").then_some(())
    })
    .await;
}
