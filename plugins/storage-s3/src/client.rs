//! Requests that are signed, made again where that helps, and explained where it does not.

use std::cell::Cell;

use latent_plugin::blob::Blob;
use latent_plugin::http::{self, Body, Request, Response};
use latent_plugin::{Error, Result, config, kv, log, secrets};
use sha2::{Digest as _, Sha256};

use crate::failure::{Failure, Next};
use crate::settings::{Place, Settings};
use crate::sigv4::{self, Scope};
use crate::{time, uri};

/// The first wait before a request is made again, in milliseconds, and the longest.
const WAIT: (u64, u64) = (100, 10_000);
/// A service that asks for more patience than this is told no.
const PATIENCE_MS: u64 = 30_000;
/// Bytes of an answer that is read: a page of a list has about half a megabyte.
const LONGEST_ANSWER: usize = 8 << 20;
const CHUNK: u32 = 1 << 20;
/// How far the service's clock is from ours, noted for other instances for an hour.
const SKEW: &str = "skew-ms";
const HOUR_MS: u64 = 3_600_000;

/// The name of the secret access key.
const SECRET: &str = "key";

/// The bucket.
pub struct Client {
    pub settings: Settings,
    place: Place,
    /// Milliseconds that the service's clock is ahead of ours.
    skew: Cell<i64>,
}

/// A request before it is signed.
pub struct Call<'a> {
    pub method: &'static str,
    /// The key below the prefix; `None`: the bucket itself.
    pub location: Option<&'a str>,
    pub query: Vec<(&'static str, String)>,
    pub headers: Vec<(String, String)>,
    pub payload: Payload<'a>,
    /// Without a byte.
    pub timeout_ms: Option<u32>,
}

/// What is sent.
pub enum Payload<'a> {
    Empty,
    Text(&'a str),
    /// With the hex of its SHA-256.
    Blob(&'a Blob, String),
}

impl<'a> Call<'a> {
    pub fn new(method: &'static str, location: Option<&'a str>) -> Self {
        Self { method, location, query: Vec::new(), headers: Vec::new(), payload: Payload::Empty, timeout_ms: None }
    }

    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn payload(mut self, payload: Payload<'a>) -> Self {
        self.payload = payload;
        self
    }

    /// May it be made a second time?
    fn is_repeatable(&self) -> bool {
        !matches!(self.payload, Payload::Blob(blob, _) if !blob.seekable())
    }

    fn doing(&self) -> String {
        let what = match self.method {
            "GET" if self.location.is_none() => "list",
            "GET" => "read",
            "HEAD" => "look at",
            "PUT" | "POST" => "write",
            "DELETE" => "delete",
            other => other,
        };
        format!("cannot {what} {}", self.location.unwrap_or("the bucket"))
    }

    fn body(&self) -> Body<'_> {
        match &self.payload {
            Payload::Empty => Body::Empty,
            Payload::Text(text) => Body::Bytes(text.as_bytes().to_vec()),
            Payload::Blob(blob, _) => Body::Blob(blob),
        }
    }
}

/// A success, or that a range lies behind the end.
pub struct Answer {
    pub headers: Vec<(String, String)>,
    pub body: Blob,
    pub status: u16,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// All of the body.
    ///
    /// # Errors
    /// It was cut off, is too long, or is no text.
    pub fn text(&self) -> Result<String> {
        text(&self.body)
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn text(body: &Blob) -> Result<String> {
    let mut bytes = Vec::new();
    loop {
        let chunk = body.read(bytes.len() as u64, CHUNK)?;
        let is_last = chunk.len() < CHUNK as usize;
        bytes.extend(chunk);
        if is_last {
            return String::from_utf8(bytes).map_err(|_| Error::other("the service answers what is no text"));
        }
        if bytes.len() > LONGEST_ANSWER {
            return Err(Error::other("the service answers more than a list can have"));
        }
    }
}

/// How one of several requests ended.
pub enum Ended {
    Done(Answer),
    /// Worth another try, after so many milliseconds if the service said so.
    Again(Error, Option<u64>),
    Failed(Error),
}

impl Client {
    pub fn new(settings: Settings) -> Result<Self> {
        let place = Place::of(&settings).map_err(Error::Invalid)?;
        let noted = kv::get(SKEW).ok().flatten().and_then(|value| String::from_utf8(value).ok()?.parse().ok());
        Ok(Self { settings, place, skew: Cell::new(noted.unwrap_or(0)) })
    }

    /// Milliseconds since 1970 as the service counts them.
    pub fn now_ms(&self) -> u64 {
        config::now_ms().saturating_add_signed(self.skew.get())
    }

    /// Makes a request, again and again where that may help.
    ///
    /// # Errors
    /// What the service says, and what to do about it.
    pub fn send(&self, call: &Call) -> Result<Answer> {
        let mut tries = 0;
        loop {
            let request = self.request(call)?;
            let (error, wait) = match self.judge(call, http::send(&request, &call.body())) {
                Ended::Done(answer) => return Ok(answer),
                Ended::Failed(error) => return Err(error),
                Ended::Again(error, wait) => (error, wait),
            };
            tries += 1;
            if !call.is_repeatable() || !self.pause(tries, wait) {
                return Err(error);
            }
        }
    }

    /// Makes requests side by side, each once.
    pub fn send_all(&self, calls: &[Call]) -> Result<Vec<Ended>> {
        let requests = calls.iter().map(|call| Ok((self.request(call)?, call.body()))).collect::<Result<Vec<_>>>()?;
        let answers = http::send_all(&requests, self.settings.parts_at_once);
        Ok(calls.iter().zip(answers).map(|(call, answer)| self.judge(call, answer)).collect())
    }

    /// Waits before the next try: longer each time, by chance, and at least as long as the service asked for. `false`: there have
    /// been enough of them.
    pub fn pause(&self, tries: u32, asked_ms: Option<u64>) -> bool {
        if tries >= self.settings.attempts || asked_ms.is_some_and(|asked| asked > PATIENCE_MS) {
            return false;
        }
        let most = (WAIT.0 << tries.min(16)).min(WAIT.1);
        let chance = config::random(2).iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let wait = most / 2 + most / 2 * chance / 0xffff;
        http::wait(u32::try_from(wait.max(asked_ms.unwrap_or(0))).unwrap_or(u32::MAX));
        true
    }

    /// A link that reads an object for some seconds.
    pub fn presigned(&self, location: &str, seconds: u64) -> Result<String> {
        let path = self.path(Some(location));
        let chain = |messages: &[Vec<u8>]| self.chain(messages);
        let place = (&*self.place.host, &*path);
        let query = sigv4::presigned(&self.scope(), place, seconds, &time::stamp(self.now_ms()), &chain)?;
        Ok(format!("{}{path}?{query}", self.place.origin))
    }

    fn judge(&self, call: &Call, answer: Result<Response>) -> Ended {
        let response = match answer {
            Ok(response) => response,
            Err(error @ (Error::Unavailable(_) | Error::Timeout)) => {
                return Ended::Again(named(error, &call.doing()), None);
            }
            Err(error) => return Ended::Failed(error.context(&call.doing())),
        };
        if matches!(response.status, 200..300 | 416) {
            return Ended::Done(Answer { headers: response.headers, body: response.body, status: response.status });
        }
        // What explains it may be cut off, too: then the status has to do.
        let text = if call.method == "HEAD" { String::new() } else { text(&response.body).unwrap_or_default() };
        let header = |name: &str| header(&response.headers, name).map(str::to_owned);
        let failure = Failure::of(response.status, header, &text, self.now_ms());
        let error = failure.error(&self.settings, &call.doing());
        match failure.next() {
            Next::Again => Ended::Again(error, failure.retry_after),
            Next::WithClock(there) if self.set_clock(there) => Ended::Again(error, Some(0)),
            Next::WithClock(_) | Next::GiveUp => Ended::Failed(error),
        }
    }

    /// `false`: it is the clock that was used already.
    fn set_clock(&self, there: u64) -> bool {
        let skew = there.cast_signed() - config::now_ms().cast_signed();
        if skew.abs_diff(self.skew.get()) < 2_000 {
            return false;
        }
        let message =
            "The clocks of this machine and of the storage service differ; requests are signed with the service's";
        log::warn(message, &[("ahead_ms", skew.to_string())]);
        self.skew.set(skew);
        // Where it cannot be noted, the next instance finds out by itself.
        let _ = kv::set(SKEW, skew.to_string().as_bytes(), Some(HOUR_MS));
        true
    }

    fn request(&self, call: &Call) -> Result<Request> {
        let stamp = time::stamp(self.now_ms());
        let (path, query) = (self.path(call.location), uri::query(&call.query));
        let payload = match &call.payload {
            Payload::Empty => hex::encode(Sha256::digest(b"")),
            Payload::Text(text) => hex::encode(Sha256::digest(text)),
            Payload::Blob(_, sha256) => sha256.clone(),
        };
        let mut headers = call.headers.clone();
        headers.push(("x-amz-content-sha256".into(), payload.clone()));
        headers.push(("x-amz-date".into(), stamp.clone()));
        headers.push(("host".into(), self.place.host.clone()));
        let signed =
            sigv4::Request { method: call.method, path: &path, query: &query, headers: &headers, payload: &payload };
        let chain = |messages: &[Vec<u8>]| self.chain(messages);
        let authorization = sigv4::authorization(&self.scope(), &signed, &stamp, &chain)?;
        // The host writes this one.
        headers.retain(|(name, _)| name != "host");
        headers.push(("authorization".into(), authorization));
        let query = if query.is_empty() { query } else { format!("?{query}") };
        let url = format!("{}{path}{query}", self.place.origin);
        Ok(Request { method: call.method.into(), url, headers, timeout_ms: call.timeout_ms, redirects: 0 })
    }

    fn path(&self, location: Option<&str>) -> String {
        match location {
            Some(location) => {
                let key = format!("{}{location}", self.settings.prefix);
                format!("{}/{}", self.place.root, uri::encode_path(&key))
            }
            None if self.place.root.is_empty() => "/".into(),
            None => self.place.root.clone(),
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope { access_key_id: &self.settings.access_key_id, region: &self.settings.region, service: "s3" }
    }

    fn chain(&self, messages: &[Vec<u8>]) -> Result<Vec<u8>> {
        secrets::hmac_sha256_chain(SECRET, Some("AWS4"), messages).map_err(|error| error.context("cannot sign"))
    }
}

fn named(error: Error, doing: &str) -> Error {
    match error {
        Error::Timeout => Error::Unavailable(format!("{doing}: the service does not answer in time")),
        other => other.context(doing),
    }
}
