//! What a plugin may send, where to, and what it gets back: through the probe of tests/guests against servers that misbehave.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use blobs::{Blob, BlobClass, Object, StorageBackend};
use parking_lot::Mutex;
use plugin_host::http::{Origin as Address, OriginPattern, Reach, Resolver, reach};
use plugin_host::{
    BoundSecret, Ceiling, HostConfig, HttpOrigin, Lent, OperatorGrant, Plugin, PluginHost, SecretText, Time,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::guests::probe;
use tests::kv::Memory;
use tests::origin::{Origin, Reply};

/// A host for the probe, with names that a test decides.
pub struct Lab {
    host: PluginHost,
    _folder: tempfile::TempDir,
}

/// The addresses of every name, one answer after the other; the last one for ever.
struct Names(Mutex<Vec<Vec<IpAddr>>>, Arc<AtomicUsize>);

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let mut answers = self.0.lock();
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    }
}

impl Lab {
    pub fn new() -> Self {
        Self::lending(Lent::default())
    }

    fn naming(answers: Vec<Vec<IpAddr>>) -> (Self, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let resolver = Arc::new(Names(Mutex::new(answers), asked.clone()));
        (Self::lending(Lent { resolver, ..Lent::default() }), asked)
    }

    fn lending(lent: Lent) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache_dir = std::env::temp_dir().join("latent-tests-compiled");
        let lent = Lent { kv: Some(Arc::new(Memory::default())), ..lent };
        let host = PluginHost::lending(&HostConfig { cache_dir, threads: 2 }, lent).unwrap();
        Self { host, _folder: folder }
    }

    pub async fn probe(&self, grant: &OperatorGrant) -> Probe {
        let plugin = self.host.load(probe(), grant).await.unwrap();
        Probe { storage: plugin.storage(), plugin }
    }
}

/// The loaded probe.
pub struct Probe {
    pub plugin: Arc<Plugin>,
    pub storage: Arc<dyn StorageBackend>,
}

impl Probe {
    /// What came of a command.
    pub async fn tell(&self, command: Value) -> Value {
        let answer = self.storage.head(&command.to_string()).await.unwrap().unwrap();
        serde_json::from_str(&answer.location).unwrap()
    }

    async fn send(&self, url: &str) -> Value {
        self.tell(json!({ "do": "send", "url": url })).await
    }

    /// The kind of the error, and its text.
    async fn refusal(&self, command: Value) -> (String, String) {
        let answer = self.tell(command.clone()).await;
        let text = |key: &str| answer[key].as_str().unwrap_or_else(|| panic!("{command}: {answer}")).to_owned();
        (text("error"), text("text"))
    }
}

/// Granted although it is on this machine.
pub fn meant(url: &str) -> HttpOrigin {
    HttpOrigin { private: true, ..HttpOrigin::from(url.parse::<Address>().unwrap()) }
}

/// These origins, each meant, and a secret of the first.
pub fn granted(urls: &[&str]) -> OperatorGrant {
    let secret = |origin: &str| BoundSecret { value: SecretText::new(SECRET), origin: origin.parse().unwrap() };
    OperatorGrant {
        http: urls.iter().map(|url| meant(url)).collect(),
        secrets: BTreeMap::from([("key".to_owned(), secret(urls[0]))]),
        ..OperatorGrant::default()
    }
}

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

#[tokio::test]
async fn a_request_goes_to_a_granted_origin_and_to_no_other() {
    let (server, other) = (Origin::start(|_| Reply::text("here")).await, Origin::start(|_| Reply::text("there")).await);
    let probe = Lab::new().probe(&granted(&[&server.url()])).await;
    let answer = probe.send(&format!("{}/a%2Fb/../c?d=e", server.url())).await;
    assert_eq!((&answer["status"], &answer["body"], &answer["len"]), (&json!(200), &json!("here"), &json!(4)));
    let port = server.address.port();
    for (url, kind) in [
        (other.url(), "denied"),
        (format!("https://127.0.0.1:{port}/"), "denied"),
        (format!("http://localhost:{port}/"), "denied"),
        (format!("http://127.0.0.2:{port}/"), "denied"),
        ("http://127.0.0.1/".to_owned(), "denied"),
        (format!("http://ann:secret@127.0.0.1:{port}/"), "invalid"),
        (format!("http://127.0.0.1:{port}@evil.example/"), "invalid"),
        (format!("http://127.0.0.1:{port}999999/"), "invalid"),
        ("file:///etc/passwd".to_owned(), "invalid"),
        ("ftp://127.0.0.1/".to_owned(), "invalid"),
        ("/etc/passwd".to_owned(), "invalid"),
        (String::new(), "invalid"),
        (format!("{}/{}", server.url(), "a".repeat(9_000)), "limit"),
    ] {
        let (found, text) = probe.refusal(json!({ "do": "send", "url": url })).await;
        assert_eq!(found, kind, "{url}: {text}");
    }
    // Another way to write the same address, and the path as it was written.
    let answer = probe.send(&format!("http://0x7f.1:{port}/")).await;
    assert_eq!(answer["body"], "here", "{answer}");
    assert_eq!(other.connections(), 0);
    let paths: Vec<String> = server.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/a%2Fb/../c?d=e", "/"]);
    assert_eq!(server.seen()[0].header("host"), Some(&*format!("127.0.0.1:{port}")));
}

#[tokio::test]
async fn what_belongs_to_the_connection_is_the_hosts() {
    let server = Origin::start(|_| Reply::text("")).await;
    let probe = Lab::new().probe(&granted(&[&server.url()])).await;
    let send = |name: &str, value: &str| json!({ "do": "send", "url": server.url(), "headers": [[name, value]] });
    for name in ["Host", "content-length", "Transfer-Encoding", "connection", "te", "upgrade", "Proxy-Authorization"] {
        let (kind, text) = probe.refusal(send(name, "1")).await;
        assert!(kind == "invalid" && text.contains("is the host's"), "{name}: {kind} {text}");
    }
    for (name, value) in [("x", "a\r\nhost: b"), ("x\r\ny", "a"), ("", "a"), ("x", "a\0")] {
        assert_eq!(probe.refusal(send(name, value)).await.0, "invalid", "{name:?} {value:?}");
    }
    let many: Vec<[&str; 2]> = vec![["x", "y"]; 65];
    assert_eq!(probe.refusal(json!({ "do": "send", "url": server.url(), "headers": many })).await.0, "limit");
    assert_eq!(probe.refusal(send("x", &"y".repeat(40_000))).await.0, "limit");
    let connect = json!({ "do": "send", "url": server.url(), "method": "CONNECT" });
    assert_eq!(probe.refusal(connect).await.0, "invalid");
    assert_eq!(server.connections(), 0);
    let answer = probe.tell(json!({ "do": "send", "url": server.url(), "method": "PURGE", "body": "abc" })).await;
    assert_eq!(answer["status"], 200);
    let seen = &server.seen()[0];
    assert_eq!((&*seen.method, seen.header("content-length"), &*seen.body), ("PURGE", Some("3"), &b"abc"[..]));
}

#[test]
fn addresses_are_known_by_where_they_lead() {
    let of = |text: &str| reach(text.parse().unwrap());
    for address in
        ["127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "::1", "fd00::1"]
    {
        assert_eq!(of(address), Reach::Private, "{address}");
    }
    for address in [
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.1",
        "198.51.100.7",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::7f00:1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001::1",
        "2001:db8::1",
        "2001:10::1",
        "2002:7f00:1::",
        "100::1",
        "3fff::1",
        "5f00::1",
        "64:ff9b:1::1",
    ] {
        assert_eq!(of(address), Reach::Never, "{address}");
    }
    for (address, wanted) in [
        ("93.184.216.34", Reach::Public),
        ("172.32.0.1", Reach::Public),
        ("100.128.0.1", Reach::Public),
        ("2606:4700::1111", Reach::Public),
        ("::ffff:93.184.216.34", Reach::Public),
        ("::ffff:127.0.0.1", Reach::Private),
        ("::ffff:169.254.169.254", Reach::Never),
        ("64:ff9b::8.8.8.8", Reach::Public),
        ("64:ff9b::10.0.0.1", Reach::Private),
    ] {
        assert_eq!(of(address), wanted, "{address}");
    }
}

#[test]
fn origins_and_patterns_mean_what_they_say() {
    let origin = |text: &str| text.parse::<Address>();
    assert_eq!(origin("HTTPS://S3.Example.NET:443/").unwrap().to_string(), "https://s3.example.net");
    assert_eq!(origin("https://bücher.example").unwrap().to_string(), "https://xn--bcher-kva.example");
    assert_eq!(origin("http://[::1]:80").unwrap().to_string(), "http://[::1]");
    for wrong in ["s3.example.net", "https://", "https://a/b", "https://a?b", "https://u@a", "https://*.a", "ws://a"] {
        assert!(origin(wrong).is_err(), "{wrong}");
    }
    let fits = |pattern: &str, text: &str| pattern.parse::<OriginPattern>().unwrap().fits(&origin(text).unwrap());
    assert!(fits("*", "http://a:1") && fits("https://*", "https://a:9") && !fits("https://*", "http://a"));
    assert!(fits("https://*.example.org", "https://a.b.example.org"));
    for other in ["https://example.org", "https://badexample.org", "http://a.example.org", "https://a.example.org:8443"]
    {
        assert!(!fits("https://*.example.org", other), "{other}");
    }
}

#[tokio::test]
async fn an_address_of_this_network_is_refused_unless_it_is_meant() {
    let server = Origin::start(|_| Reply::text("inside")).await;
    let port = server.address.port();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let metadata: IpAddr = "169.254.169.254".parse().unwrap();
    let by_name = format!("http://photos.example:{port}");
    let unmeant = |url: &str| OperatorGrant {
        http: vec![url.parse::<Address>().unwrap().into()],
        secrets: granted(&[url]).secrets,
        ..OperatorGrant::default()
    };
    let (lab, _) = Lab::naming(vec![vec![loopback]]);
    for url in [by_name.clone(), server.url(), format!("http://[::ffff:127.0.0.1]:{port}")] {
        let (kind, text) = lab.probe(&unmeant(&url)).await.refusal(json!({ "do": "send", "url": url })).await;
        assert!(kind == "denied" && text.contains("a private network"), "{url}: {kind} {text}");
        assert!(!text.contains("127.0.0.1") || url.contains("127.0.0.1"), "it tells where the name leads: {text}");
    }
    assert_eq!(server.connections(), 0);
    let answer = lab.probe(&granted(&[&by_name])).await.send(&by_name).await;
    assert_eq!(answer["body"], "inside");
    assert_eq!(server.seen()[0].header("host"), Some(&*format!("photos.example:{port}")));
    // Where a cloud keeps its credentials nobody gets.
    let (lab, _) = Lab::naming(vec![vec![metadata]]);
    assert_eq!(
        lab.probe(&granted(&[&by_name])).await.refusal(json!({ "do": "send", "url": by_name })).await.0,
        "denied"
    );
}

#[tokio::test]
async fn a_name_that_changes_its_address_leads_nowhere_else() {
    let server = Origin::start(|_| Reply::text("inside")).await;
    let url = format!("http://rebind.example:{}", server.address.port());
    let grant = OperatorGrant {
        http: vec![url.parse::<Address>().unwrap().into()],
        secrets: granted(&[&url]).secrets,
        ..OperatorGrant::default()
    };
    // First an address of somebody else's, where nobody answers; then this machine.
    let (lab, asked) = Lab::naming(vec![vec!["240.0.0.1".parse().unwrap()], vec!["127.0.0.1".parse().unwrap()]]);
    let probe = lab.probe(&grant).await;
    for _ in 0..3 {
        let (kind, _) = probe.refusal(json!({ "do": "send", "url": url, "timeout": 500 })).await;
        assert_eq!(kind, "denied");
    }
    assert_eq!((server.connections(), asked.load(Ordering::Relaxed)), (0, 3), "a name is asked for once a connection");
}

#[tokio::test]
async fn a_redirect_is_looked_at_like_a_request() {
    let target = Origin::start(|_| Reply::text("target")).await;
    let unmeant = Origin::start(|_| Reply::text("unmeant")).await;
    let stranger = Origin::start(|_| Reply::text("stranger")).await;
    let (to, hidden, away) = (target.url(), unmeant.url(), stranger.url());
    let server = Origin::start(move |seen| match &*seen.path {
        "/target" => Reply::redirect(302, &format!("{to}/got")),
        "/unmeant" => Reply::redirect(307, &hidden),
        "/stranger" => Reply::redirect(301, &away),
        "/metadata" => Reply::redirect(302, "http://169.254.169.254/latest"),
        "/here" => Reply::redirect(308, "there?x=1"),
        "/loop" => Reply::redirect(302, "/loop"),
        "/file" => Reply::redirect(302, "file:///etc/passwd"),
        _ => Reply::text("here"),
    })
    .await;
    let mut grant = granted(&[&server.url(), &target.url()]);
    grant.http.push(unmeant.url().parse::<Address>().unwrap().into());
    let probe = Lab::new().probe(&grant).await;
    let headers =
        json!([["authorization", "Bearer ${secret:key}"], ["x-key", "${secret:key}"], ["cookie", "a"], ["x", "y"]]);
    let get = |path: &str, redirects: u8| json!({ "do": "send", "url": format!("{}{path}", server.url()), "redirects": redirects, "headers": headers });
    let answer = probe.tell(get("/target", 0)).await;
    assert_eq!(answer["status"], 302, "a plugin that does not ask gets the redirect itself");
    assert_eq!(probe.tell(get("/target", 1)).await["body"], "target");
    let got = &target.seen()[0];
    assert_eq!((got.header("x"), &*got.path), (Some("y"), "/got"));
    for header in ["authorization", "x-key", "cookie"] {
        assert_eq!(got.header(header), None, "{header} went along");
    }
    assert_eq!(probe.tell(get("/here", 1)).await["body"], "here");
    let last = server.seen().pop().unwrap();
    assert_eq!((&*last.path, last.header("x-key")), ("/there?x=1", Some(SECRET)), "the same origin");
    for path in ["/unmeant", "/stranger", "/metadata"] {
        assert_eq!(probe.refusal(get(path, 5)).await.0, "denied", "{path}");
    }
    assert_eq!((unmeant.connections(), stranger.connections()), (0, 0));
    assert_eq!(probe.refusal(get("/file", 5)).await.0, "unavailable");
    let before = server.seen().len();
    assert_eq!(probe.tell(get("/loop", 200)).await["status"], 302);
    assert_eq!(server.seen().len() - before, 6, "five are followed at most");
}

#[tokio::test]
async fn a_secret_goes_to_its_origin_and_never_comes_back() {
    let echo = |seen: &tests::origin::Seen| {
        let key = seen.header("authorization").unwrap_or("").to_owned();
        Reply::Answer(200, vec![("x-echo", format!("<{key}>"))], format!("you sent {key} to me").into_bytes())
    };
    let (server, other) = (Origin::start(echo).await, Origin::start(echo).await);
    let probe = Lab::new().probe(&granted(&[&server.url(), &other.url()])).await;
    let send = |url: String, value: &str| json!({ "do": "send", "url": url, "headers": [["authorization", value]] });
    let answer = probe.tell(send(server.url(), "Bearer ${secret:key}")).await;
    assert_eq!(server.seen()[0].header("authorization"), Some(&*format!("Bearer {SECRET}")));
    assert_eq!(server.seen()[0].header("accept-encoding"), Some("identity"));
    let stars = "*".repeat(SECRET.len());
    assert_eq!(answer["body"], format!("you sent Bearer {stars} to me"));
    assert!(
        !answer.to_string().contains(SECRET) && answer.to_string().contains(&format!("<Bearer {stars}>")),
        "{answer}"
    );
    // Another server, which echoes too, though it is granted; and what is no secret.
    for (url, value) in
        [(other.url(), "${secret:key}"), (server.url(), "${secret:other}"), (server.url(), "${secret:key")]
    {
        let (kind, text) = probe.refusal(send(url, value)).await;
        assert!(kind == "denied" && !text.contains(SECRET), "{value}: {kind} {text}");
    }
    assert_eq!(other.connections(), 0);
    // Elsewhere it is text.
    let url = format!("{}/?${{secret:key}}", server.url());
    assert_eq!(probe.tell(send(url, "x")).await["status"], 200);
    assert_eq!(server.seen().pop().unwrap().path, "/?${secret:key}");
}

#[tokio::test]
async fn a_secret_across_two_pieces_of_a_body_is_blotted_out() {
    let (front, back) = SECRET.split_at(11);
    let pieces =
        [format!("HTTP/1.1 200 x\r\nconnection: close\r\n\r\nabc {front}"), format!("{back} def {SECRET}"), "!".into()];
    let server =
        Origin::start(move |_| Reply::Raw(pieces.iter().map(|piece| piece.clone().into_bytes()).collect())).await;
    let probe = Lab::new().probe(&granted(&[&server.url()])).await;
    let headers = json!([["x-api-key", "${secret:key}"]]);
    let answer = probe.tell(json!({ "do": "send", "url": server.url(), "headers": headers })).await;
    let stars = "*".repeat(SECRET.len());
    assert_eq!(answer["body"], format!("abc {stars} def {stars}!"));
}

#[tokio::test]
async fn a_signature_is_what_a_secret_gives_away() {
    let server = "https://iam.amazonaws.com";
    let probe = Lab::new().probe(&granted(&[server])).await;
    let chain = |prefix: Value, messages: &[&str]| json!({ "do": "chain", "secret": "key", "prefix": prefix, "messages": messages });
    // AWS's own example of a signature of version 4.
    let text = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
    let messages = ["20150830", "us-east-1", "iam", "aws4_request", text];
    assert_eq!(
        probe.tell(chain("AWS4".into(), &messages)).await,
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
    // Four would be the key that signs for a day.
    for wrong in [&messages[..4], &["20150830", "us-east-1", "iam", "aws4_request2", text], &messages[..1]] {
        assert_eq!(probe.refusal(chain("AWS4".into(), wrong)).await.0, "invalid", "{wrong:?}");
    }
    assert_eq!(probe.refusal(chain(Value::Null, &["one"])).await.0, "invalid");
    assert!(probe.tell(chain(Value::Null, &["one", "two"])).await.is_string());
    let unbound = json!({ "do": "chain", "secret": "other", "prefix": null, "messages": ["a", "b"] });
    assert_eq!(probe.refusal(unbound).await.0, "denied");
}

fn object(key: &str, bytes: &[u8]) -> Object {
    Object {
        key: key.into(),
        class: BlobClass::Original,
        owner: "ann".into(),
        owner_label: None,
        taken_ms: None,
        file_name: "IMG.jpg".into(),
        sha256: Sha256::digest(bytes).into(),
    }
}

/// A granted server that keeps what it gets, and the probe that puts there.
async fn store(part: Option<u64>) -> (Origin, Probe) {
    let kept: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
    let server = Origin::start(move |seen| match &*seen.method {
        "PUT" => {
            let tag = hex::encode(Sha256::digest(&seen.body));
            assert!(seen.header("x-sha256").is_none_or(|told| told == tag), "the hash of a part is wrong");
            kept.lock().insert(seen.path.clone(), seen.body.clone());
            Reply::Answer(200, vec![("etag", tag)], Vec::new())
        }
        _ => match kept.lock().get(&seen.path) {
            None => Reply::Answer(404, Vec::new(), Vec::new()),
            Some(bytes) => {
                let range = seen.header("range").and_then(|range| range.strip_prefix("bytes="));
                let (first, last) = range.and_then(|range| range.split_once('-')).unwrap();
                let last = last.parse().map_or(bytes.len(), |last: usize| last + 1);
                Reply::Answer(206, Vec::new(), bytes[first.parse().unwrap()..last.min(bytes.len())].to_vec())
            }
        },
    })
    .await;
    let mut grant = granted(&[&server.url()]);
    grant.settings.insert("base".into(), format!("{}/", server.url()).into());
    if let Some(part) = part {
        grant.settings.insert("part".into(), part.into());
    }
    let probe = Lab::new().probe(&grant).await;
    (server, probe)
}

#[tokio::test]
async fn objects_are_streamed_by_the_host_in_both_directions() {
    let (server, probe) = store(None).await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at * 7 + at / 256) as u8).collect();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), &bytes).unwrap();
    for (key, blob) in
        [("memory", Blob::from_bytes(bytes.clone())), ("file", Blob::open(folder.path().join("a")).unwrap())]
    {
        let stored = probe.storage.put(&object(key, &bytes), &blob).await.unwrap();
        assert_eq!(stored.etag, Some(hex::encode(Sha256::digest(&bytes))), "{key}");
        // The blob outlives the call, and the instance.
        let whole = probe.storage.get(key, 0, None).await.unwrap();
        let part = probe.storage.get(key, 1_000_000, Some(500)).await.unwrap();
        probe.plugin.cool();
        assert_eq!((whole.known_len(), whole.is_seekable()), (Some(3_000_000), false));
        assert_eq!(whole.read().await.unwrap(), bytes);
        assert_eq!(part.read().await.unwrap(), bytes[1_000_000..1_000_500]);
        // What one storage gives another takes.
        let again = probe.storage.get(key, 0, None).await.unwrap();
        probe.storage.put(&object("copy", &bytes), &again).await.unwrap();
        assert_eq!(server.seen().pop().unwrap().body, bytes);
    }
    let traffic = probe.plugin.traffic();
    assert_eq!((traffic.payload, traffic.results, traffic.messages), (0, 0, 0), "{traffic:?}");
}

#[tokio::test]
async fn parts_of_a_file_go_side_by_side() {
    let (server, probe) = store(Some(100_000)).await;
    let bytes: Vec<u8> = (0..950_000_u32).map(|at| (at / 3) as u8).collect();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), &bytes).unwrap();
    let blob = Blob::open(folder.path().join("a")).unwrap();
    let stored = probe.storage.put(&object("parts", &bytes), &blob).await.unwrap();
    let wanted: Vec<String> = bytes.chunks(100_000).map(|part| hex::encode(Sha256::digest(part))).collect();
    assert_eq!(stored.etag.unwrap(), wanted.join(","));
    assert!(server.connections() >= 2, "one after the other");
    assert_eq!(probe.plugin.traffic().payload, 0);
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_not_fetched() {
    let server = Origin::start(|_| Reply::Endless(Some(1 << 30))).await;
    let mut grant = granted(&[&server.url()]);
    grant.settings.insert("base".into(), format!("{}/", server.url()).into());
    let probe = Lab::new().probe(&grant).await;
    let blob = probe.storage.get("a", 0, None).await.unwrap();
    assert_eq!(blob.next(0, 10).await.unwrap(), &b"xxxxxxxxxx"[..]);
    // Buffers of two sockets and one of ours.
    let last = AtomicU64::new(u64::MAX);
    let sent = tests::eventually("the server is told to wait", async || {
        let before = last.swap(server.sent(), Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
        (before == server.sent()).then_some(before)
    })
    .await;
    assert!(sent < 16 << 20, "{sent} bytes were taken");
    drop(blob);
    tests::eventually("the connection ends", async || (server.open() == 0).then_some(())).await;
}

#[tokio::test]
async fn what_arrives_is_read_once_and_forward() {
    let server = Origin::start(|_| Reply::text("0123456789")).await;
    let probe = Lab::new().probe(&granted(&[&server.url()])).await;
    let answer = probe.tell(json!({ "do": "backwards", "url": server.url() })).await;
    assert_eq!(answer, json!({ "later": "45", "earlier": "invalid", "sha256": "unsupported" }));
    let spliced = probe.tell(json!({ "do": "splice", "url": server.url() })).await;
    assert_eq!(spliced, json!({ "len": 10, "sha256": hex::encode(Sha256::digest("0123456789")) }));
    // Messages, and no payload.
    let traffic = probe.plugin.traffic();
    assert_eq!((traffic.payload, traffic.messages), (0, 2), "{traffic:?}");
}

#[tokio::test]
async fn requests_side_by_side_are_answered_in_their_order() {
    let server = Origin::start(|seen| match &*seen.path {
        "/redirect" => Reply::redirect(302, "/x"),
        path => Reply::text(path),
    })
    .await;
    let probe = Lab::new().probe(&granted(&[&server.url()])).await;
    let mut urls: Vec<String> = (0..20).map(|at| format!("{}/{at}", server.url())).collect();
    urls[7] = "http://127.0.0.1:1/".into();
    let answers = probe.tell(json!({ "do": "all", "urls": urls, "at_once": 5 })).await;
    for (at, answer) in answers.as_array().unwrap().iter().enumerate() {
        match at {
            7 => assert_eq!(answer["error"], "denied"),
            _ => assert_eq!(answer["body"], format!("/{at}"), "{answer}"),
        }
    }
    assert!(server.connections() >= 2, "one after the other");
    let many: Vec<&str> = vec!["http://127.0.0.1:1/"; 65];
    let answers = probe.tell(json!({ "do": "all", "urls": many, "at_once": 5 })).await;
    assert!(answers.as_array().unwrap().iter().all(|answer| answer["error"] == "limit"), "{answers}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_and_the_plugin_told() {
    let server = Origin::start(|_| Reply::Silence).await;
    let ceiling = Ceiling { deadline: Some(Time(Duration::from_secs(1))), ..Ceiling::default() };
    let probe = Lab::new().probe(&OperatorGrant { ceiling, ..granted(&[&server.url()]) }).await;
    // By the request's own limit; by the call's, where that is less. The guest answers, so nothing counts as broken.
    for timeout in [Some(100), None] {
        for _ in 0..3 {
            let (kind, _) = probe.refusal(json!({ "do": "send", "url": server.url(), "timeout": timeout })).await;
            assert_eq!(kind, "timeout");
        }
    }
    tests::eventually("the connections end", async || (server.open() == 0).then_some(())).await;
    let slow = Origin::start(|_| Reply::Drip).await;
    let probe = Lab::new().probe(&OperatorGrant { ceiling, ..granted(&[&slow.url()]) }).await;
    for command in [json!({ "do": "send", "url": slow.url() }), json!({ "do": "splice", "url": slow.url() })] {
        assert_eq!(probe.refusal(command).await.0, "timeout");
    }
    tests::eventually("the connections end", async || (slow.open() == 0).then_some(())).await;
    let nobody = Origin::start(|_| Reply::Silence).await.url();
    let probe = Lab::new().probe(&granted(&[&nobody])).await;
    assert_eq!(probe.refusal(json!({ "do": "send", "url": nobody })).await.0, "unavailable");
}

#[tokio::test]
async fn a_body_that_breaks_off_or_never_ends_is_an_error() {
    let short = b"HTTP/1.1 200 x\r\ncontent-length: 100\r\n\r\nabc".to_vec();
    let garbage = b"SSH-2.0-OpenSSH_9.2\r\n".to_vec();
    let server = Origin::start(move |seen| match &*seen.path {
        "/short" => Reply::Raw(vec![short.clone()]),
        "/garbage" => Reply::Raw(vec![garbage.clone()]),
        "/headers" => Reply::Raw(vec![format!("HTTP/1.1 200 x\r\na: {}\r\n\r\n", "b".repeat(1 << 20)).into_bytes()]),
        "/endless" => Reply::Endless(None),
        _ => Reply::text(""),
    })
    .await;
    let mut grant = granted(&[&server.url()]);
    grant.settings.insert("base".into(), format!("{}/", server.url()).into());
    let probe = Lab::new().probe(&grant).await;
    for path in ["/short", "/garbage", "/headers"] {
        let (kind, text) = probe.refusal(json!({ "do": "send", "url": format!("{}{path}", server.url()) })).await;
        assert_eq!(kind, "unavailable", "{path}: {text}");
    }
    assert!(probe.storage.get("short", 0, None).await.unwrap().read().await.is_err());
    // More than the host holds for it; and nothing that is returned without a length.
    let (kind, text) = probe.refusal(json!({ "do": "splice", "url": format!("{}/endless", server.url()) })).await;
    assert!(kind == "limit" && text.contains("host-memory"), "{kind} {text}");
    let error = probe.storage.get("endless", 0, None).await.unwrap_err();
    assert!(error.to_string().contains("how long it is"), "{error}");
    tests::eventually("the connections end", async || (server.open() == 0).then_some(())).await;
}

#[tokio::test]
async fn answers_that_a_guest_holds_are_few_and_end_with_the_call() {
    let server = Origin::start(|_| Reply::Endless(Some(1 << 30))).await;
    let probe = Lab::new().probe(&granted(&[&server.url()])).await;
    for _ in 0..2 {
        let answer = probe.tell(json!({ "do": "hold", "url": server.url(), "times": 100 })).await;
        assert_eq!((&answer["held"], &answer["why"]["error"]), (&json!(64), &json!("limit")), "{answer}");
        tests::eventually("the connections end", async || (server.open() == 0).then_some(())).await;
    }
}

#[tokio::test]
async fn what_was_not_granted_is_refused_by_name_with_what_to_write() {
    let lab = Lab::new();
    let refusal = async |grant: &OperatorGrant| match lab.host.load(probe(), grant).await {
        Ok(_) => panic!("it was loaded"),
        Err(error) => error.to_string(),
    };
    let says = async |grant: &OperatorGrant, words: &str| {
        let text = refusal(grant).await;
        assert!(text.contains(words), "{text}");
    };
    let line = "test.probe needs latent:plugin/http@0.1.0, which was not granted: it asks for \"*\". Write into the settings: \
                [storage.backend.<name>] http = [\"https://...\"]";
    says(&OperatorGrant::default(), line).await;
    let no_secret = OperatorGrant { secrets: BTreeMap::new(), ..granted(&["https://a.example"]) };
    let line = "needs latent:plugin/secrets@0.1.0, which was not granted: it asks for key, other. Write into the settings: \
                [storage.backend.<name>] secrets.key = { env = \"...\", origin = \"https://...\" }";
    says(&no_secret, line).await;
    let elsewhere = OperatorGrant { http: vec![meant("https://b.example")], ..granted(&["https://a.example"]) };
    says(&elsewhere, "the secret \"key\" is bound to https://a.example, which is not granted").await;
    let mut unknown = granted(&["https://a.example"]);
    let key = unknown.secrets["key"].clone();
    unknown.secrets.insert("kee".into(), key.clone());
    says(&unknown, "it has no use for a secret \"kee\"; it asks for key, other").await;
    let mut short = granted(&["https://a.example"]);
    short.secrets.insert("key".into(), BoundSecret { value: SecretText::new("1234567"), ..key });
    says(&short, "the secret \"key\": it has 7 bytes; a secret has at least 8").await;
    let ca = OperatorGrant {
        http: vec![HttpOrigin { ca: Some("/nonexistent.pem".into()), ..meant("https://a.example") }],
        ..granted(&["https://a.example"])
    };
    says(&ca, "the certificates in /nonexistent.pem").await;
}

#[test]
fn a_secret_is_not_shown() {
    let grant = granted(&["https://a.example"]);
    let shown = format!("{grant:?} {}", serde_json::to_string(&grant.secrets["key"].value).unwrap());
    assert!(!shown.contains(SECRET) && shown.contains("***"), "{shown}");
}

/// Speaks TLS with the certificate of the tests, which is for `localhost` and signed by nobody else, before a server that does not.
async fn with_tls(behind: std::net::SocketAddr) -> u16 {
    let folder = tests::root().join("tests/fixtures/tls");
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(stream).await?;
                let mut server = tokio::net::TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    port
}

#[tokio::test]
async fn https_trusts_whom_the_operator_trusts_and_no_other_name() {
    let server = Origin::start(|_| Reply::text("safe")).await;
    let port = with_tls(server.address).await;
    let own = Some(tests::root().join("tests/fixtures/tls/cert.pem"));
    let ask = async |url: String, ca: Option<std::path::PathBuf>| {
        let grant = OperatorGrant { http: vec![HttpOrigin { ca, ..meant(&url) }], ..granted(&[&url]) };
        Lab::new().probe(&grant).await.tell(json!({ "do": "send", "url": url })).await
    };
    let by_name = format!("https://localhost:{port}");
    assert_eq!(ask(by_name.clone(), own.clone()).await["body"], "safe");
    for (url, ca) in [
        (by_name, None),
        (format!("https://127.0.0.2:{port}"), own.clone()),
        (format!("https://127.0.0.1:{port}"), None),
    ] {
        let answer = ask(url.clone(), ca).await;
        assert_eq!(answer["error"], "unavailable", "{url}: {answer}");
    }
    // Plain words to a server that speaks TLS, and TLS to one that does not.
    assert_eq!(ask(format!("http://localhost:{port}"), None).await["error"], "unavailable");
    assert_eq!(ask(format!("https://localhost:{}", server.address.port()), own).await["error"], "unavailable");
}
