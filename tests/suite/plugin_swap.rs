//! Every node runs what the database says, and swaps one version for another under calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gallery::plugins::requests::OperatorCeiling;
use gallery::plugins::{Approval, Offer, Source};
use tests::{TestApp, eventually};

use crate::plugin_host::picture;
use crate::plugin_lifecycle::{ID, manager, plugin};

/// Nobody signed it.
fn offer(wasm: Vec<u8>) -> Offer {
    let source = Source::Sent { name: "a.wasm".into(), wasm: wasm.into(), signature: None };
    Offer { allow_unsigned: true, ..Offer::new(source) }
}

fn versions_running(app: &TestApp) -> Option<String> {
    let detector = app.running.gallery.plugins().face_detector?;
    Some(detector.plugin().manifest().version.clone())
}

#[tokio::test]
async fn every_node_comes_to_run_what_the_database_says() {
    let app = TestApp::start().await;
    let other = manager(&app.database, Vec::new(), OperatorCeiling::default());
    assert_eq!(versions_running(&app), None);
    let candidate = other.look(&offer(plugin("1.0.0", ""))).await.unwrap();
    other.install(&candidate, Some(&Approval::default())).await.unwrap();
    // Nobody said anything: the node looks for itself.
    eventually("the node runs it", || async { versions_running(&app).filter(|version| version == "1.0.0") }).await;
    // A server that starts now does, too.
    let app = app.restart().await;
    assert_eq!(versions_running(&app).as_deref(), Some("1.0.0"));
    other.remove(ID).await.unwrap();
    eventually("the node runs it no more", || async { versions_running(&app).is_none().then_some(()) }).await;
}

const CALLERS: usize = 8;
const CALLS: usize = 10_000;
const SWAPS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn swapping_a_plugin_under_eight_callers_fails_no_call() {
    let app = TestApp::start().await;
    let gallery = app.running.gallery.clone();
    let manager = gallery.manager().unwrap();
    let first = manager.look(&offer(plugin("1.0.0", "concurrency = 8"))).await.unwrap();
    manager.install(&first, Some(&Approval::default())).await.unwrap();
    gallery.sync_plugins().await.unwrap();

    let (done, swapping) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (gallery, done, seen, swapping) = (gallery.clone(), done.clone(), seen.clone(), swapping.clone());
            tokio::spawn(async move {
                let mut failed = Vec::new();
                // So many calls at least, and on until the last swap.
                while done.fetch_add(1, Ordering::Relaxed) < CALLS || swapping.load(Ordering::Relaxed) {
                    let detector = gallery.plugins().face_detector.expect("there is one at any moment");
                    let version = detector.plugin().manifest().version.clone();
                    match detector.detect(vec![picture(64, 48)]).await.as_deref() {
                        Ok([Ok(_)]) => {}
                        other => failed.push(format!("{version}: {other:?}")),
                    }
                    let mut seen = seen.lock().unwrap();
                    if seen.last() != Some(&version) {
                        seen.push(version);
                    }
                }
                failed
            })
        })
        .collect();
    let second = manager.look(&offer(plugin("1.1.0", "concurrency = 8"))).await.unwrap();
    manager.upgrade(ID, &second, None).await.unwrap();
    gallery.sync_plugins().await.unwrap();
    for _ in 1..SWAPS {
        let so_far = done.load(Ordering::Relaxed);
        eventually("the callers go on", || async { (done.load(Ordering::Relaxed) > so_far + 100).then_some(()) }).await;
        manager.rollback(ID).await.unwrap();
        gallery.sync_plugins().await.unwrap();
    }
    swapping.store(false, Ordering::Relaxed);
    let mut failed = Vec::new();
    for caller in callers {
        failed.extend(caller.await.unwrap());
    }
    assert_eq!(failed, Vec::<String>::new(), "calls failed");
    let seen = seen.lock().unwrap().clone();
    let (calls, changes) = (done.load(Ordering::Relaxed) - CALLERS, seen.len());
    println!("{calls} calls of {CALLERS} callers over {SWAPS} swaps: 0 failed; {changes} changes of version were seen");
    assert!(calls >= CALLS && changes > SWAPS, "{calls} calls saw {seen:?}");
}
