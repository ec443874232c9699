//! Small state of plugins: within its quota, apart from others', and what is counted is counted once.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use plugin_host::{ByteSize, Ceiling, HostConfig, Lent, OperatorGrant, PluginHost};
use serde_json::json;
use server::plugin_state::PluginState;
use tests::Database;
use types::{Clock as _, FixedClock};

use tests::guests::probe;

use crate::plugin_http::{Probe, granted};

/// A host over a database of its own, with a clock that stands.
struct House {
    host: PluginHost,
    clock: Arc<FixedClock>,
    database: Database,
}

impl House {
    async fn new() -> Self {
        let database = Database::new().await;
        let clock = Arc::new(FixedClock::new(Timestamp::now()));
        let cache_dir = std::env::temp_dir().join("latent-tests-compiled");
        let kv = Arc::new(PluginState(database.store.clone()));
        let lent = Lent { kv: Some(kv), clock: clock.clone(), ..Lent::default() };
        Self { host: PluginHost::lending(&HostConfig { cache_dir, threads: 2 }, lent).unwrap(), clock, database }
    }

    async fn probe(&self, scope: &str, quota: Option<u64>) -> Probe {
        let ceiling = Ceiling { kv: quota.map(ByteSize), ..Ceiling::default() };
        let grant = OperatorGrant { scope: scope.into(), ceiling, ..granted(&["https://a.example"]) };
        let plugin = self.host.load(probe(), &grant).await.unwrap();
        Probe { storage: plugin.storage(), plugin }
    }
}

#[tokio::test]
async fn what_is_kept_is_there_for_the_next_instance_and_for_nobody_else() {
    let house = House::new().await;
    let (one, other) = (house.probe("one", None).await, house.probe("other", None).await);
    one.tell(json!({ "do": "kv-set", "key": "a", "value": "1", "ttl": null })).await;
    one.plugin.cool();
    assert_eq!(one.tell(json!({ "do": "kv-get", "key": "a" })).await, "1");
    assert_eq!(other.tell(json!({ "do": "kv-get", "key": "a" })).await, json!(null));
    other.tell(json!({ "do": "kv-delete", "key": "a" })).await;
    // Another host over the same database: a restart.
    let again = house.probe("one", None).await;
    assert_eq!(again.tell(json!({ "do": "kv-get", "key": "a" })).await, "1");
    again.tell(json!({ "do": "kv-delete", "key": "a" })).await;
    assert_eq!(one.tell(json!({ "do": "kv-get", "key": "a" })).await, json!(null));
}

#[tokio::test]
async fn a_value_ends_at_its_time_and_makes_room() {
    let house = House::new().await;
    let probe = house.probe("", Some(4 << 10)).await;
    let set = |key: &str, ttl: u64| json!({ "do": "kv-set", "key": key, "value": "x".repeat(3_000), "ttl": ttl });
    assert_eq!(probe.tell(set("a", 1_000)).await, json!(null));
    assert_eq!(probe.tell(set("b", 1_000)).await["error"], "limit");
    house.clock.set(house.clock.now() + Duration::from_millis(1_001));
    assert_eq!(probe.tell(json!({ "do": "kv-get", "key": "a" })).await, json!(null));
    assert_eq!(probe.tell(set("b", u64::MAX)).await, json!(null));
    house.clock.set(house.clock.now() + Duration::from_secs(365 * 24 * 3_600));
    assert_eq!(probe.tell(json!({ "do": "kv-get", "key": "b" })).await, "x".repeat(3_000));
    // The housekeeper takes away what its plugin never looks at again.
    house.clock.set(Timestamp::now() - Duration::from_secs(60));
    probe.tell(json!({ "do": "kv-set", "key": "c", "value": "", "ttl": 1 })).await;
    assert_eq!(house.database.store.sweep_plugin_values().await.unwrap(), 1);
    assert_eq!(house.database.store.sweep_plugin_values().await.unwrap(), 0);
}

#[tokio::test]
async fn a_flood_ends_at_the_quota_whoever_writes_beside() {
    let house = House::new().await;
    let probes = [house.probe("", None).await, house.probe("", None).await];
    let flood = |probe: usize| json!({ "do": "kv-flood", "bytes": 1_000, "prefix": format!("{probe}-") });
    let (a, b) = tokio::join!(probes[0].tell(flood(0)), probes[1].tell(flood(1)));
    let written: u64 = [&a, &b].iter().map(|answer| answer["written"].as_u64().unwrap()).sum();
    assert_eq!((&a["why"]["error"], &b["why"]["error"]), (&json!("limit"), &json!("limit")), "{a} {b}");
    // 64 KiB of values of 1,000 bytes, keys of some, and 32 a row.
    assert_eq!(written, 63, "{a} {b}");
    let raw = house.database.raw().await;
    let sum: i64 = raw
        .query_one("SELECT sum(octet_length(key) + octet_length(value) + 32)::bigint FROM plugin_kv", &[])
        .await
        .unwrap()
        .get(0);
    assert!(sum <= 64 << 10, "{sum}");
    // A thousand operations are enough for a call, and too large is too large.
    let many = probes[0].tell(json!({ "do": "kv-flood", "bytes": 0, "prefix": "" })).await;
    assert_eq!(many["why"]["error"], "limit", "{many}");
    let large = json!({ "do": "kv-set", "key": "a", "value": "x".repeat((64 << 10) + 1), "ttl": null });
    assert_eq!(probes[0].tell(large).await["error"], "limit");
    for key in [String::new(), "k".repeat(257), "a\0b".into()] {
        assert_eq!(probes[0].tell(json!({ "do": "kv-get", "key": key })).await["error"], "invalid", "{key:?}");
    }
}

#[tokio::test]
async fn what_is_counted_by_many_is_counted_once() {
    let house = House::new().await;
    let probe = Arc::new(house.probe("", None).await);
    let counting: Vec<_> = (0..40)
        .map(|_| {
            let probe = probe.clone();
            tokio::spawn(async move { probe.tell(json!({ "do": "kv-add", "key": "n", "by": 1 })).await })
        })
        .collect();
    let mut sums = Vec::new();
    for count in counting {
        sums.push(count.await.unwrap().as_i64().unwrap());
    }
    sums.sort_unstable();
    assert_eq!(sums, (1..=40).collect::<Vec<_>>());
    assert_eq!(probe.tell(json!({ "do": "kv-add", "key": "n", "by": -41 })).await, -1);
    assert_eq!(probe.tell(json!({ "do": "kv-get", "key": "n" })).await, "-1");
    assert_eq!(probe.tell(json!({ "do": "kv-add", "key": "n", "by": i64::MIN })).await["error"], "invalid");
    probe.tell(json!({ "do": "kv-set", "key": "t", "value": "ten", "ttl": null })).await;
    assert_eq!(probe.tell(json!({ "do": "kv-add", "key": "t", "by": 1 })).await["error"], "invalid");
}
