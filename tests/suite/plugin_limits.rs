//! What a guest can make the host do, hold and tell: each limit is reached by a guest of tests/guests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use jiff::Timestamp;
use plugin_host::{Ceiling, HostConfig, Lent, OperatorGrant, PluginError, PluginHost};
use types::{Clock, FixedClock};

use crate::plugin_host::{component, first_party, house, look, manifest, models, picture, seeing, with_manifest};

/// How long the text of a guest's answer is: what it counted.
async fn counted(guest: &str) -> usize {
    let house = house();
    let plugin = house.load_with(guest, "deadline = \"20s\"", &OperatorGrant::default()).await.unwrap();
    match look(&plugin).await {
        Err(PluginError::Limit(text)) => text.len(),
        other => panic!("{guest}: {other:?}"),
    }
}

#[tokio::test]
async fn a_memory_bomb_gets_what_was_granted_and_no_more() {
    assert_eq!(counted("memory-bomb").await, 64, "pages of 64 KiB in 4 MiB");
}

#[tokio::test]
async fn asking_for_too_much_makes_no_room() {
    assert_eq!(counted("memory-trick").await, 64, "pages of 64 KiB in 4 MiB");
}

#[tokio::test]
async fn two_memories_share_what_was_granted() {
    assert_eq!(counted("two-memories").await, 64, "pages of 64 KiB in 4 MiB");
}

#[tokio::test]
async fn tables_share_a_limit() {
    // Of 20,000; the canonical ABI's own tables take a few.
    assert!((190..=200).contains(&counted("table-bomb").await));
}

#[tokio::test]
async fn a_tensor_without_numbers_costs_nothing() {
    let house = house();
    for guest in ["endless-gather", "wide-softmax"] {
        assert_eq!(look(&house.load(guest).await).await, Ok(vec![]), "{guest}");
    }
    for (guest, words) in [
        ("longest-side", "0 values do not fill the shape [4294967295, 4294967295, 0]"),
        ("wrapping-shape", "0 values do not fill the shape [0, 65536, 65536, 65536, 65536]"),
    ] {
        assert_eq!(look(&house.load(guest).await).await, Err(PluginError::Invalid(words.into())), "{guest}");
    }
}

#[tokio::test]
async fn gather_picks_rows() {
    let house = house();
    let plugin = house.load("gather").await;
    assert_eq!(look(&plugin).await, Ok(vec![]));
    // Two indices and four numbers.
    assert_eq!(plugin.traffic().results, 24);
}

#[tokio::test]
async fn what_is_made_of_pixels_is_denied_in_every_way() {
    let house = house();
    for guest in ["peep-slice", "peep-bytes", "peep-rgb", "peep-above"] {
        let plugin = house.load(guest).await;
        let found = look(&plugin).await;
        assert!(matches!(found, Err(PluginError::Denied(_))), "{guest}: {found:?}");
        assert_eq!(plugin.traffic().payload, 0, "{guest}");
        let granted = OperatorGrant { pixels: true, ..OperatorGrant::default() };
        let granted = house.load_with(guest, "pixels = true", &granted).await.unwrap();
        assert_eq!(look(&granted).await, Ok(vec![]), "{guest}");
        assert_eq!(granted.traffic().payload > 0, guest != "peep-slice", "{guest}");
    }
}

#[tokio::test]
async fn an_encoded_image_does_not_tell_its_length() {
    let house = house();
    assert_eq!(look(&house.load("peep-length").await).await, Ok(vec![]));
    let granted = OperatorGrant { pixels: true, ..OperatorGrant::default() };
    let granted = house.load_with("peep-length", "pixels = true", &granted).await.unwrap();
    assert!(matches!(look(&granted).await, Err(PluginError::Limit(told)) if told.len() == 1));
}

#[tokio::test]
async fn an_error_of_a_guest_is_cut_and_has_no_control_characters() {
    let house = house();
    let Err(PluginError::Limit(text)) = look(&house.load("noisy-error").await).await else { panic!("no error") };
    assert_eq!(text, " ".repeat(2_000));
}

#[tokio::test]
async fn a_forgotten_image_is_taken_back_after_the_call() {
    let house = house();
    let plugin = house.load("forgetful").await;
    let pixels = picture(64, 48);
    let detector = plugin.face_detector().unwrap();
    for _ in 0..10 {
        detector.detect(vec![pixels.clone()]).await.unwrap()[0].as_ref().unwrap();
        assert_eq!(Arc::strong_count(&pixels.rgb), 1, "a warm instance holds it");
    }
    assert_eq!(plugin.traffic().instances, 1, "it may stay warm");
}

#[tokio::test]
async fn a_handle_of_an_earlier_call_is_a_trap() {
    let house = house();
    let plugin = house.load("stale").await;
    assert_eq!(look(&plugin).await, Ok(vec![]));
    let Err(PluginError::Trap(why)) = look(&plugin).await else { panic!("no trap") };
    assert!(why.contains("a handle of an earlier call"), "{why}");
}

#[tokio::test]
async fn a_full_pool_is_nobodys_fault() {
    let house = house();
    let many =
        OperatorGrant { ceiling: Ceiling { concurrency: Some(64), ..Ceiling::default() }, ..OperatorGrant::default() };
    let busy = house.load_with("spin", "concurrency = 64\ndeadline = \"3s\"", &many).await.unwrap();
    let other = house.load("nothing").await;
    other.cool();
    let spinning: Vec<_> = (0..64)
        .map(|_| {
            tokio::spawn({
                let busy = busy.clone();
                async move { look(&busy).await }
            })
        })
        .collect();
    // Some fifty more would fit on a machine without a pool.
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let mut full = 0;
    for _ in 0..8 {
        match look(&other).await {
            Err(PluginError::Unavailable(why)) => {
                assert!(why.contains("every slot"), "{why}");
                full += 1;
            }
            found => assert_eq!(found, Ok(vec![])),
        }
    }
    println!("{full} of 8 calls found the pool full");
    for call in spinning {
        let _ = call.await.unwrap();
    }
    assert_eq!(look(&other).await, Ok(vec![]), "its circuit breaker must not be open");
}

/// A clock that stands until as many as the pool has slots ask for the time.
struct Gate(FixedClock, Barrier);

impl Clock for Gate {
    fn now(&self) -> Timestamp {
        self.1.wait();
        self.0.now()
    }
}

#[tokio::test]
async fn warm_instances_make_room_for_others() {
    const SLOTS: usize = 64;
    let folder = tempfile::tempdir().unwrap();
    let fixed = FixedClock::new(Timestamp::from_second(1_700_000_000).unwrap());
    // All of them are under way at once, and all are warm afterwards.
    let config = HostConfig { cache_dir: folder.path().join("compiled"), threads: SLOTS };
    let lent = Lent { clock: Arc::new(Gate(fixed, Barrier::new(SLOTS))), ..Lent::default() };
    let host = PluginHost::lending(&config, lent).unwrap();
    let many = OperatorGrant {
        ceiling: Ceiling { concurrency: Some(SLOTS), ..Ceiling::default() },
        ..OperatorGrant::default()
    };
    let wasm = with_manifest(component("clock"), &manifest("concurrency = 64\ndeadline = \"60s\""));
    let warm = host.load(wasm.into(), &many).await.unwrap();
    // The one that described itself is warm, too.
    let calls: Vec<_> = (0..SLOTS)
        .map(|_| {
            tokio::spawn({
                let warm = warm.clone();
                async move { look(&warm).await }
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(vec![]));
    }
    assert_eq!(warm.traffic().instances, SLOTS as u64);
    let other = with_manifest(component("nothing"), &manifest("deadline = \"10s\""));
    let other = host.load(other.into(), &OperatorGrant::default()).await.unwrap();
    assert_eq!(look(&other).await, Ok(vec![]));
}

/// A clock that breaks once.
struct Broken(FixedClock, AtomicBool);

impl Clock for Broken {
    fn now(&self) -> Timestamp {
        assert!(!self.1.swap(false, Ordering::Relaxed), "the clock broke");
        self.0.now()
    }
}

#[tokio::test]
async fn a_panic_of_the_host_is_a_fault_that_opens_the_breaker() {
    let folder = tempfile::tempdir().unwrap();
    let fixed = FixedClock::new(Timestamp::from_second(1_700_000_000).unwrap());
    let clock = Arc::new(Broken(fixed, AtomicBool::new(false)));
    let config = HostConfig { cache_dir: folder.path().join("compiled"), threads: 2 };
    let host = PluginHost::lending(&config, Lent { clock: clock.clone(), ..Lent::default() }).unwrap();
    let wasm = with_manifest(component("clock"), &manifest("deadline = \"10s\""));
    let plugin = host.load(wasm.into(), &OperatorGrant::default()).await.unwrap();
    assert_eq!(look(&plugin).await, Ok(vec![]));
    for _ in 0..5 {
        clock.1.store(true, Ordering::Relaxed);
        assert_eq!(look(&plugin).await, Err(PluginError::Fault("it panicked: the clock broke".into())));
    }
    assert!(matches!(
        plugin.face_detector().unwrap().detect(vec![picture(8, 8)]).await,
        Err(PluginError::Unavailable(_))
    ));
}

#[tokio::test]
async fn what_onnx_runtime_says_is_for_the_log() {
    let (host, _folder) = seeing();
    let requests = "models = [\"detector\"]\ndeadline = \"60s\"";
    let grant =
        OperatorGrant { models: [("detector".to_owned(), "centerface".to_owned())].into(), ..OperatorGrant::default() };
    let load = async |guest: &str| {
        let wasm = with_manifest(component(guest), &manifest(requests));
        host.load(wasm.into(), &grant).await.unwrap()
    };
    let told = look(&load("bad-input").await).await;
    assert_eq!(told, Err(PluginError::Other("the model failed; the server's log says why".into())));
    // A model more than there are handles is an error and no trap.
    let told = look(&load("hoarder").await).await;
    assert_eq!(told, Err(PluginError::Limit("1000 handles are open: drop some".into())));
}

#[tokio::test]
async fn a_batch_that_a_model_does_not_take_fails_alone() {
    let (host, _folder) = seeing();
    let grant = models([("image", "starter-search-image"), ("text", "starter-search-text")]);
    let search = host.load(first_party("clip-search"), &grant).await.unwrap();
    let embedder = search.embedder().unwrap();
    // Its manifest takes 32 pictures at once: one after the other, then.
    let found = embedder.embed_images(vec![picture(300, 260); 33]).await.unwrap();
    assert_eq!(found.iter().filter(|vector| vector.is_ok()).count(), 33);
    assert_eq!(search.traffic().payload, 0);
}
