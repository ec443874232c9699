//! Requests of plugins: only to granted origins, at addresses that were looked at, with secrets that only their origin gets.

mod address;
mod body;
mod connect;
mod origin;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use blobs::Blob;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName,
    HeaderValue, LOCATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::budget::Budget;
use crate::grant::HttpOrigin;
use crate::secrets::Secrets;
use crate::text::clean;

pub use address::{Reach, reach};
pub use body::Sending;
pub use connect::{ConnectError, Resolver, SystemResolver};
pub use origin::{Origin, OriginPattern};

use connect::{Connector, Rule, trust};

/// Requests of one plugin that wait for the head of an answer.
const AT_ONCE: usize = 32;
/// Answers that guests of one plugin hold.
const OPEN: u64 = 64;
/// Idle connections are kept for a while: an upload in parts makes many requests.
const IDLE: Duration = Duration::from_secs(20);
const IDLE_CONNECTIONS: usize = 16;
/// Bytes of an answer's head, and read ahead of whoever takes its body.
const READ_AHEAD: usize = 256 << 10;
/// Of a request.
const MOST_HEADERS: usize = 64;
const MOST_HEADER_BYTES: usize = 32 << 10;
const LONGEST_URL: usize = 8 << 10;
pub const MOST_REDIRECTS: u8 = 5;
/// Before the head of an answer.
const SILENCE: Duration = Duration::from_secs(30);
const LONGEST_SILENCE: Duration = Duration::from_secs(300);
/// Headers that belong to the connection, which is the host's.
const OURS: [HeaderName; 7] = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, TE, TRAILER, UPGRADE];
const OURS_BY_NAME: [&str; 4] = ["keep-alive", "proxy-connection", "proxy-authorization", "expect"];

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpError {
    Denied(String),
    Invalid(String),
    Limit(String),
    Timeout,
    Unavailable(String),
}

/// A request that was looked at.
pub struct Asked {
    method: Method,
    uri: Uri,
    origin: Origin,
    headers: HeaderMap,
    /// Those of the headers that hold a secret, and the names of these.
    secret_headers: Vec<HeaderName>,
    secrets: Vec<String>,
    silence: Duration,
    redirects: u8,
}

/// What a guest writes.
pub struct Written {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub timeout: Option<Duration>,
    pub redirects: u8,
}

/// An answer, without the secrets of its request.
pub struct Answered {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Blob,
}

/// What one plugin makes requests with.
pub struct Http {
    plugin: Arc<str>,
    connector: Connector,
    client: Client<Connector, Sending>,
    secrets: Arc<Secrets>,
    turns: Semaphore,
    /// Answers that its guests hold.
    pub open: Arc<Budget>,
}

impl Http {
    /// # Errors
    /// The certificates of an origin cannot be read.
    pub fn new(
        plugin: &str,
        origins: &[HttpOrigin],
        secrets: Arc<Secrets>,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, String> {
        let mut rules = BTreeMap::new();
        for HttpOrigin { origin, private, ca } in origins {
            let tls = trust(ca.as_deref())?;
            rules.insert(origin.clone(), Rule { private: *private, tls, told: AtomicBool::new(false) });
        }
        let plugin: Arc<str> = plugin.into();
        let connector = Connector { plugin: plugin.clone(), rules: Arc::new(rules), resolver };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http1_max_buf_size(READ_AHEAD)
            .build(connector.clone());
        let turns = Semaphore::new(AT_ONCE);
        Ok(Self { plugin, connector, client, secrets, turns, open: Budget::new(OPEN) })
    }

    /// Looks at a request: where it goes, what its headers are, which secrets it gets.
    pub fn look(&self, written: Written) -> Result<Asked, HttpError> {
        let invalid = |why: String| HttpError::Invalid(why);
        let method: Method =
            written.method.parse().map_err(|_| invalid(format!("the method {:?}", clean(&written.method, 40))))?;
        if method == Method::CONNECT {
            return Err(invalid("the method CONNECT: connections are the host's".into()));
        }
        let shown = clean(&written.url, 200);
        if written.url.len() > LONGEST_URL {
            return Err(HttpError::Limit(format!("the address {shown:?} is longer than {LONGEST_URL} bytes")));
        }
        let (origin, uri) = Origin::of(&written.url).map_err(|why| invalid(format!("the address {shown:?}: {why}")))?;
        self.granted(&origin)?;
        let size: usize = written.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if written.headers.len() > MOST_HEADERS || size > MOST_HEADER_BYTES {
            return Err(HttpError::Limit(format!(
                "{} headers of {size} bytes; at most {MOST_HEADERS} of {MOST_HEADER_BYTES} are sent",
                written.headers.len()
            )));
        }
        let mut asked = Asked {
            method,
            uri,
            origin,
            headers: HeaderMap::new(),
            secret_headers: Vec::new(),
            secrets: Vec::new(),
            silence: written.timeout.unwrap_or(SILENCE).clamp(Duration::from_millis(1), LONGEST_SILENCE),
            redirects: written.redirects.min(MOST_REDIRECTS),
        };
        for (name, value) in &written.headers {
            self.header(&mut asked, name, value)?;
        }
        asked
            .headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!("latent/", env!("CARGO_PKG_VERSION"))));
        Ok(asked)
    }

    fn granted(&self, origin: &Origin) -> Result<(), HttpError> {
        match self.connector.rules.contains_key(origin) {
            true => Ok(()),
            false => Err(HttpError::Denied(format!("{origin} was not granted: the operator writes it into `http`"))),
        }
    }

    fn header(&self, asked: &mut Asked, name: &str, value: &str) -> Result<(), HttpError> {
        let shown = clean(name, 80);
        let name: HeaderName =
            name.parse().map_err(|_| HttpError::Invalid(format!("{shown:?} is no name of a header")))?;
        if OURS.contains(&name) || OURS_BY_NAME.contains(&name.as_str()) {
            return Err(HttpError::Invalid(format!("the header {name} is the host's")));
        }
        let filled = self.secrets.fill(value, &asked.origin).map_err(HttpError::Denied)?;
        let wrong = |_| HttpError::Invalid(format!("the value of the header {name} cannot be sent"));
        let mut sent = HeaderValue::from_bytes(filled.text.as_bytes()).map_err(wrong)?;
        if !filled.names.is_empty() {
            sent.set_sensitive(true);
            asked.secret_headers.push(name.clone());
            asked.secrets.extend(filled.names);
            // An answer that is packed could not be searched for what must not be in it.
            asked.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if name == ACCEPT_ENCODING && !asked.secrets.is_empty() {
            return Ok(());
        }
        asked.headers.append(name, sent);
        Ok(())
    }

    /// Sends it, and follows where it may.
    pub async fn send(&self, mut asked: Asked, mut body: Sending) -> Result<Answered, HttpError> {
        let may_follow = body.is_empty() && (asked.method == Method::GET || asked.method == Method::HEAD);
        loop {
            let response = self.once(&asked, std::mem::replace(&mut body, Sending::empty())).await?;
            if !may_follow || asked.redirects == 0 || !is_redirect(response.status()) {
                return Ok(self.answer(&asked, response));
            }
            let Some(to) = target(&asked.uri, response.headers()) else { return Ok(self.answer(&asked, response)) };
            asked.redirects -= 1;
            self.follow(&mut asked, &to)?;
        }
    }

    /// The next hop: granted as the first one was, and to another origin without what was meant for this one.
    fn follow(&self, asked: &mut Asked, to: &str) -> Result<(), HttpError> {
        let shown = clean(to, 200);
        let (origin, uri) = Origin::of(to)
            .map_err(|why| HttpError::Unavailable(format!("{} redirects to {shown:?}: {why}", asked.origin)))?;
        self.granted(&origin)?;
        if origin != asked.origin {
            for name in asked.secret_headers.drain(..).chain([AUTHORIZATION, COOKIE]) {
                asked.headers.remove(name);
            }
            asked.secrets.clear();
            asked.origin = origin;
        }
        asked.uri = uri;
        Ok(())
    }

    async fn once(&self, asked: &Asked, body: Sending) -> Result<Response<Incoming>, HttpError> {
        let taken = body.taken();
        let mut request = Request::new(body);
        *request.method_mut() = asked.method.clone();
        *request.uri_mut() = asked.uri.clone();
        *request.headers_mut() = asked.headers.clone();
        let _turn = match timeout(asked.silence, self.turns.acquire()).await {
            Ok(turn) => turn.map_err(|_| HttpError::Unavailable("the host stops".into()))?,
            Err(_) => return Err(HttpError::Limit(format!("{AT_ONCE} requests of this plugin are under way"))),
        };
        let pending = self.client.request(request);
        tokio::pin!(pending);
        let mut seen = 0;
        loop {
            match timeout(asked.silence, &mut pending).await {
                Ok(answer) => return answer.map_err(|error| failure(&asked.origin, &error)),
                Err(_) if taken.load(Ordering::Relaxed) != seen => seen = taken.load(Ordering::Relaxed),
                Err(_) => return Err(HttpError::Timeout),
            }
        }
    }

    fn answer(&self, asked: &Asked, response: Response<Incoming>) -> Answered {
        let (head, body) = response.into_parts();
        let secrets = self.secrets.values(&asked.secrets);
        let mut headers = Vec::with_capacity(head.headers.len());
        for (name, value) in &head.headers {
            if OURS.contains(name) && *name != CONTENT_LENGTH || OURS_BY_NAME.contains(&name.as_str()) {
                continue;
            }
            let mut value = value.as_bytes().to_vec();
            secrets.iter().for_each(|secret| body::blot(&mut value, secret));
            headers.push((name.as_str().to_owned(), String::from_utf8_lossy(&value).into_owned()));
        }
        let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let body = body::arriving(body, secrets);
        let body = match kind {
            Some(kind) => body.with_media_type(&clean(kind, 200)),
            None => body,
        };
        tracing::trace!(plugin = &*self.plugin, origin = %asked.origin, status = %head.status, "A plugin's request was answered");
        Answered { status: head.status.as_u16(), headers, body }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a `Location` leads, as an absolute address.
fn target(from: &Uri, headers: &HeaderMap) -> Option<String> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let from = url::Url::parse(&from.to_string()).ok()?;
    let mut to = from.join(location).ok()?;
    to.set_fragment(None);
    Some(to.into())
}

/// What of a failed request a plugin may know.
fn failure(origin: &Origin, error: &hyper_util::client::legacy::Error) -> HttpError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        match inner.downcast_ref::<ConnectError>() {
            Some(ConnectError::Denied(why)) => return HttpError::Denied(why.clone()),
            Some(ConnectError::Unavailable(why)) => return HttpError::Unavailable(clean(why, 300)),
            None => {}
        }
        if inner.source().is_none() {
            return HttpError::Unavailable(format!("{origin}: {}", clean(&inner.to_string(), 300)));
        }
        cause = inner.source();
    }
    HttpError::Unavailable(format!("{origin}: {error}"))
}
