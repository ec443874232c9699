//! What a whole server feels of a guest that behaves badly: how long a ping takes meanwhile, and how much memory goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use media::Pixels;
use parking_lot::Mutex;
use plugin_host::http::Origin as Address;
use plugin_host::{BoundSecret, HostConfig, HttpOrigin, Lent, OperatorGrant, Plugin, PluginHost, SecretText};
use serde_json::{Value, json};
use server::plugin_state::PluginState;
use types::{Clock, FixedClock};

use crate::origin::{Origin, Reply};
use crate::{TestApp, guests};

/// Guests in text (tests/guests/hostile), each a face detector that is shown pictures.
const LOOKERS: &[&str] = &[
    "spin",
    "memory-bomb",
    "handle-bomb",
    "table-bomb",
    "byte-bomb",
    "log-flood",
    "recursion",
    "long-list",
    "panic",
    "huge-shape",
    "nonsense",
    "peep",
    "peep-encoded",
    "forgetful",
    "endless-gather",
    "wide-softmax",
];

/// Commands that the probe is given, by what they are.
const PROBES: &[(&str, &str)] = &[
    ("probe-spin", r#"{"do":"spin"}"#),
    ("probe-allocate", r#"{"do":"allocate"}"#),
    ("http-silence", r#"{"do":"send","url":"{silent}","timeout":150}"#),
    ("http-waits-for-ever", r#"{"do":"send","url":"{silent}"}"#),
    ("http-endless-body", r#"{"do":"splice","url":"{endless}"}"#),
    ("http-held-bodies", r#"{"do":"hold","url":"{endless}","times":100}"#),
    ("http-flood", r#"{"do":"flood","url":"{good}"}"#),
    ("http-redirect-inside", r#"{"do":"send","url":"{good}/inside","redirects":5}"#),
    ("http-secret-to-echo", r#"{"do":"send","url":"{good}","headers":[["x","${secret:key}"]]}"#),
    ("kv-flood", r#"{"do":"kv-flood","bytes":1000,"prefix":"p"}"#),
];

/// One guest's row.
pub struct Row {
    pub guest: String,
    /// What most of its calls came to.
    pub outcome: String,
    pub calls: u64,
    /// p99 of a ping in milliseconds, before and meanwhile.
    pub calm: f64,
    pub meanwhile: f64,
    /// MiB that the process grew by, at most.
    pub growth: f64,
}

impl Row {
    pub fn ratio(&self) -> f64 {
        self.meanwhile / self.calm
    }
}

/// A table for people.
pub fn table(rows: &[Row]) -> String {
    let mut text =
        format!("{:<22} {:>7} {:>9} {:>9} {:>6} {:>7}  outcome\n", "guest", "calls", "calm p99", "p99", "ratio", "MiB");
    for row in rows {
        let late = if row.ratio() > 3.0 { " (more than 3 x)" } else { "" };
        text += &format!(
            "{:<22} {:>7} {:>6.2} ms {:>6.2} ms {:>6.2} {:>7.1}  {}{late}\n",
            row.guest,
            row.calls,
            row.calm,
            row.meanwhile,
            row.ratio(),
            row.growth,
            row.outcome
        );
    }
    text
}

/// What is called over and over.
enum Guest {
    /// With the sides of the picture that it is shown.
    Looker(Arc<Plugin>, u32),
    Probe(Arc<Plugin>, String),
    /// One that breaks before it is loaded.
    Init(&'static str),
}

/// A clock that can be moved: breakers are waited out, so that a guest is really called all the time.
struct House {
    host: Arc<PluginHost>,
    clock: Arc<FixedClock>,
    grant: OperatorGrant,
    _servers: Vec<Origin>,
    _folder: tempfile::TempDir,
}

/// Runs them all beside a server, each for so many pings. Call it in a process of its own, on a runtime with threads.
pub async fn run(pings: usize) -> Vec<Row> {
    let app = TestApp::start().await;
    let (house, guests) = house(&app).await;
    let house = Arc::new(house);
    let pinger = Pinger::new(&app);
    // What a first call of everything takes stays taken: it is nobody's growth.
    for (_, guest) in &guests {
        let _ = tokio::time::timeout(Duration::from_millis(300), call(&house, guest)).await;
    }
    pinger.times(pings).await;
    let mut rows = Vec::new();
    for (name, guest) in guests {
        rows.push(row(&house, &pinger, name, guest, pings).await);
    }
    rows
}

async fn row(house: &Arc<House>, pinger: &Pinger, name: String, guest: Guest, pings: usize) -> Row {
    let calm = p99(pinger.times(pings).await);
    let before = resident();
    let (stop, calls, peak) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let outcomes: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    let guest = Arc::new(guest);
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let (house, guest, stop) = (house.clone(), guest.clone(), stop.clone());
            let (calls, outcomes) = (calls.clone(), outcomes.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let outcome = call(&house, &guest).await;
                    calls.fetch_add(1, Ordering::Relaxed);
                    *outcomes.lock().entry(outcome).or_default() += 1;
                }
            })
        })
        .collect();
    let sampler = std::thread::spawn({
        let (stop, peak) = (stop.clone(), peak.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                peak.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
    let meanwhile = p99(pinger.times(pings).await);
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    sampler.join().unwrap();
    let growth = peak.load(Ordering::Relaxed).saturating_sub(before) as f64 / 1024.0;
    let outcomes = outcomes.lock();
    let outcome = outcomes.iter().max_by_key(|(_, count)| **count).map_or("no call ended", |(text, _)| text.as_str());
    Row { guest: name, outcome: outcome.to_owned(), calls: calls.load(Ordering::Relaxed), calm, meanwhile, growth }
}

async fn house(app: &TestApp) -> (House, Vec<(String, Guest)>) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::new(Timestamp::now()));
    let kv = Arc::new(PluginState(app.database.store.clone()));
    let lent = Lent { clock: clock.clone(), kv: Some(kv), ..Lent::default() };
    let config = HostConfig { cache_dir: folder.path().join("compiled"), threads: 2 };
    let host = Arc::new(PluginHost::lending(&config, lent).unwrap());
    let silent = Origin::start(|_| Reply::Silence).await;
    let endless = Origin::start(|_| Reply::Endless(Some(1 << 40))).await;
    let good = Origin::start(|seen| match &*seen.path {
        "/inside" => Reply::redirect(302, "http://169.254.169.254/latest/meta-data"),
        _ => Reply::text("good"),
    })
    .await;
    // The secret is another server's.
    let bound = BoundSecret { value: SecretText::new("12345678"), origin: silent.url().parse().unwrap() };
    let meant =
        |server: &Origin| HttpOrigin { private: true, ..HttpOrigin::from(server.url().parse::<Address>().unwrap()) };
    let grant = OperatorGrant {
        http: vec![meant(&silent), meant(&endless), meant(&good)],
        secrets: BTreeMap::from([("key".to_owned(), bound)]),
        ..OperatorGrant::default()
    };
    let mut guests = Vec::new();
    for name in LOOKERS {
        let manifest = guests::manifest("host-memory = \"16MiB\"\nconcurrency = 2\ndeadline = \"200ms\"");
        let wasm = guests::with_manifest(guests::component(name), &manifest);
        let plugin = host.load(wasm.into(), &OperatorGrant::default()).await.unwrap();
        guests.push(((*name).to_owned(), Guest::Looker(plugin, if *name == "panic" { 1 } else { 64 })));
    }
    let short = OperatorGrant {
        ceiling: plugin_host::Ceiling { deadline: Some("300ms".parse().unwrap()), ..Default::default() },
        ..grant.clone()
    };
    for (name, command) in PROBES {
        let plugin = host.load(guests::probe(), &short).await.unwrap();
        let command = command
            .replace("{silent}", &silent.url())
            .replace("{endless}", &endless.url())
            .replace("{good}", &good.url());
        guests.push(((*name).to_owned(), Guest::Probe(plugin, command)));
    }
    for how in ["spin", "trap", "allocate"] {
        guests.push((format!("init-{how}"), Guest::Init(how)));
    }
    let house = House { host, clock, grant: short, _servers: vec![silent, endless, good], _folder: folder };
    (house, guests)
}

/// One call, and what it came to in a few words.
async fn call(house: &House, guest: &Guest) -> String {
    // Past every breaker.
    house.clock.set(house.clock.now() + Duration::from_secs(301));
    match guest {
        Guest::Looker(plugin, side) => {
            plugin.release();
            let picture = Pixels::new(*side, *side, vec![128; (side * side * 3) as usize]).unwrap();
            let found = plugin.face_detector().unwrap().detect(vec![picture]).await;
            few(found
                .and_then(|mut found| found.pop().unwrap())
                .map_or_else(|error| error.to_string(), |_| "answered".into()))
        }
        Guest::Probe(plugin, command) => few(match plugin.storage().head(command).await {
            Ok(answer) => told(&answer.unwrap().location),
            Err(error) => error.to_string(),
        }),
        Guest::Init(how) => {
            let mut grant = house.grant.clone();
            grant.settings.insert("init".into(), json!(how));
            few(match house.host.load(guests::probe(), &grant).await {
                Ok(_) => "loaded".into(),
                Err(error) => error.to_string(),
            })
        }
    }
}

fn told(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let why = if answer["why"].is_object() { &answer["why"] } else { &answer };
    match why["error"].as_str() {
        Some(error) => format!("{error} {}", why["text"].as_str().unwrap_or("")),
        None => "answered".into(),
    }
}

/// Numbers differ from call to call.
fn few(text: String) -> String {
    let plain: String = text.chars().filter(|c| !c.is_ascii_digit()).take(70).collect();
    plain.trim().to_owned()
}

/// Asks the server for a sign of life, over one connection.
struct Pinger {
    client: reqwest::Client,
    url: String,
}

impl Pinger {
    fn new(app: &TestApp) -> Self {
        let client = reqwest::Client::builder().pool_max_idle_per_host(1).build().unwrap();
        Self { client, url: format!("{}/api/server/ping", app.anonymous.url) }
    }

    /// Milliseconds of each, one after the other.
    async fn times(&self, count: usize) -> Vec<f64> {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let begun = Instant::now();
            self.client.get(&self.url).send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
            times.push(begun.elapsed().as_secs_f64() * 1e3);
            // A server that is asked without a pause has no calm.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times
    }
}

fn p99(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[(times.len() - 1) * 99 / 100]
}

/// KiB of this process in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
