//! An S3 service inside the test: the crate s3s-fs on loopback, behind a layer that breaks what a test wants broken.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Who may do everything.
pub const ACCESS_KEY: &str = "AKIALATENTTESTS";
/// The secret key.
pub const SECRET_KEY: &str = "a/secret+key/of-the-tests";
/// A bucket that is there.
pub const BUCKET: &str = "photos";

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A running service. It ends when it is dropped.
pub struct S3 {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    folder: TempDir,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<String>>,
    /// Milliseconds that the service's clock is ahead of the world's.
    ahead_ms: AtomicI64,
}

/// What happens to requests instead of what should.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This answer, and the service never hears of it.
    Answer { status: u16, code: &'static str, headers: Vec<(&'static str, String)> },
    /// The connection ends before an answer; the service never hears of it.
    Drop,
    /// The connection ends before an answer; the service has done it.
    Lose,
    /// The answer's body ends after so many bytes.
    Cut(usize),
    /// One bit of the answer's body is another.
    Spoil,
}

struct Rule {
    /// `PUT /photos/library partNumber=2`: words that the method, and the path with its query, contain.
    of: String,
    times: u32,
    fault: Fault,
}

impl S3 {
    /// With the bucket [`BUCKET`].
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("ls3").tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut config = S3Config::default();
        // The layer looks at clocks, which a test may set.
        config.presigned_url_max_skew_time_secs = u32::MAX;
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(serve(listener, service, shared.clone()));
        Self { url, folder, shared, task }
    }

    /// The next `times` requests of which `METHOD /path?query` contains all words of `of` go wrong.
    pub fn break_next(&self, times: u32, of: &str, fault: Fault) {
        self.shared.rules.lock().unwrap().push(Rule { of: of.into(), times, fault });
    }

    /// All goes well again.
    pub fn mend(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// `METHOD /path?query status` of every request since the last time.
    pub fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }

    pub fn set_clock_ahead(&self, ahead: Duration) {
        self.shared.ahead_ms.store(ahead.as_millis() as i64, Ordering::Relaxed);
    }

    /// Where the objects of the bucket lie as files.
    pub fn bucket(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// Settings of the plugin storage-s3 for this service.
    pub fn settings(&self) -> serde_json::Map<String, Value> {
        settings(&self.url)
    }
}

/// Settings of the plugin storage-s3 for a service at `url`.
pub fn settings(url: &str) -> serde_json::Map<String, Value> {
    let Value::Object(settings) = json!({ "endpoint": url, "bucket": BUCKET, "access-key-id": ACCESS_KEY }) else {
        unreachable!("it is an object")
    };
    settings
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, service: S3Service, shared: Arc<Shared>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let _ = socket.set_nodelay(true);
        let (service, shared) = (service.clone(), shared.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request| handle(service.clone(), shared.clone(), request).boxed());
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), answer).await;
        });
    }
}

/// An error ends the connection.
async fn handle(
    service: S3Service,
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::io::Error> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let what = format!("{} {path}", request.method());
    let fault = shared.fault(&what);
    let skewed = shared.skewed(&request);
    let answered = match (fault, skewed) {
        (Some(Fault::Drop), _) => Err(std::io::Error::other("dropped")),
        (Some(Fault::Answer { status, code, headers }), _) => {
            // As a real one does: it has read the request before it refuses it.
            let _ = request.into_body().collect().await;
            Ok(refusal(status, code, &headers))
        }
        (_, Some(date)) => Ok(refusal(403, "RequestTimeTooSkewed", &[("date", date)])),
        (fault, None) => pass(service, request, fault).await,
    };
    let status = answered.as_ref().map_or(0, |answer| answer.status().as_u16());
    shared.seen.lock().unwrap().push(format!("{what} {status}"));
    answered
}

async fn pass(
    service: S3Service,
    request: Request<Incoming>,
    fault: Option<Fault>,
) -> Result<Response<Body>, std::io::Error> {
    let answer = service.call(request.map(s3s::Body::from)).await;
    let answer = answer.map_err(|error| std::io::Error::other(format!("{error:?}")))?;
    let (head, body) = plain(answer).into_parts();
    Ok(match fault {
        Some(Fault::Lose) => return Err(std::io::Error::other("lost")),
        Some(Fault::Cut(after)) => {
            let whole = body.collect().await?.to_bytes();
            let part = Frame::data(whole.slice(..after.min(whole.len())));
            // What was written before goes out when the server finds nothing more to write, not before.
            let end = async {
                for _ in 0..8 {
                    tokio::task::yield_now().await;
                }
                Err(std::io::Error::other("cut"))
            };
            let broken = futures::stream::iter([Ok(part)]).chain(futures::stream::once(end));
            Response::from_parts(head, StreamBody::new(broken).boxed_unsync())
        }
        Some(Fault::Spoil) => {
            let mut whole = body.collect().await?.to_bytes().to_vec();
            if let Some(byte) = whole.last_mut() {
                *byte ^= 1;
            }
            Response::from_parts(head, full(whole))
        }
        _ => Response::from_parts(head, body),
    })
}

fn plain(answer: s3s::HttpResponse) -> Response<Body> {
    answer.map(|body| body.map_err(|error| std::io::Error::other(error.to_string())).boxed_unsync())
}

impl Shared {
    fn fault(&self, what: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let rule =
            rules.iter_mut().find(|rule| rule.times > 0 && rule.of.split(' ').all(|word| what.contains(word)))?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }

    /// The service's time, where that of the request is more than a quarter of an hour away.
    fn skewed(&self, request: &Request<Incoming>) -> Option<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let now = jiff::Timestamp::from_millisecond(now + self.ahead_ms.load(Ordering::Relaxed)).unwrap();
        let stamp = request.headers().get("x-amz-date")?.to_str().ok()?;
        let said = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", stamp).ok()?;
        let said = said.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        let is_off = now.duration_since(said).unsigned_abs() > Duration::from_secs(15 * 60);
        is_off.then(|| jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap())
    }
}

fn refusal(status: u16, code: &str, headers: &[(&'static str, String)]) -> Response<Body> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, value);
    }
    let body = match code {
        "" => String::new(),
        code => format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>It was broken by a test</Message></Error>"
        ),
    };
    answer.body(full(body)).unwrap()
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}
