//! The commands of a test.

use latent_plugin::http::{Body, Request, Response, send_all};
use latent_plugin::storage::{Error, create_blob};
use latent_plugin::{kv, secrets};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
enum Command {
    /// Sends one request and reads the answer's body as text.
    Send(Sent),
    /// GETs all of them.
    All {
        urls: Vec<String>,
        at_once: u32,
    },
    /// GETs it so often and holds the answers; says how many there were, and why not more.
    Hold {
        url: String,
        times: u32,
    },
    /// GETs it for ever, one after the other.
    Flood {
        url: String,
    },
    /// GETs it and appends the body to what is written, then hashes that.
    Splice {
        url: String,
    },
    /// Reads the body backwards, by pieces.
    Backwards {
        url: String,
    },
    Chain {
        secret: String,
        prefix: Option<String>,
        messages: Vec<String>,
    },
    KvGet {
        key: String,
    },
    KvSet {
        key: String,
        value: String,
        ttl: Option<u64>,
    },
    KvDelete {
        key: String,
    },
    KvAdd {
        key: String,
        by: i64,
    },
    /// Writes values of so many bytes under new keys until it may not; says how many and why.
    KvFlood {
        bytes: usize,
        prefix: String,
    },
    Spin,
    Trap,
    Allocate,
}

#[derive(Deserialize)]
#[serde(default)]
struct Sent {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    timeout: Option<u32>,
    redirects: u8,
    body: Option<String>,
}

impl Default for Sent {
    fn default() -> Self {
        let (url, headers) = (String::new(), Vec::new());
        Self { method: "GET".into(), url, headers, timeout: None, redirects: 0, body: None }
    }
}

#[derive(Serialize)]
struct Failed {
    error: &'static str,
    text: String,
}

/// Runs a command. What the host refused is an answer; what is no command is an error.
pub fn run(text: &str) -> Result<String, Error> {
    let command: Command =
        serde_json::from_str(text).map_err(|error| Error::invalid(format!("the command: {error}")))?;
    let answer = match done(command) {
        Ok(value) => value,
        Err(error) => serde_json::to_value(failed(error)).map_err(|error| Error::other(format!("{error}")))?,
    };
    Ok(answer.to_string())
}

fn done(command: Command) -> Result<Value, Error> {
    Ok(match command {
        Command::Send(sent) => answered(&send(&sent)?)?,
        Command::All { urls, at_once } => all(&urls, at_once),
        Command::Hold { url, times } => hold(&url, times),
        Command::Flood { url } => loop {
            Request::new("GET", &url).send(Body::Empty)?;
        },
        Command::Splice { url } => {
            let response = Request::new("GET", url).send(Body::Empty)?;
            let writer = create_blob(None)?;
            let len = writer.splice(&response.body, 0, u64::MAX)?;
            let blob = latent_plugin::storage::Writer::finish(writer)?;
            json!({ "len": len, "sha256": hex(&blob.sha256()?) })
        }
        Command::Backwards { url } => {
            let body = Request::new("GET", url).send(Body::Empty)?.body;
            let later = body.read(4, 2)?;
            let earlier = body.read(0, 2).map_err(failed);
            json!({ "later": String::from_utf8_lossy(&later), "earlier": earlier.err().map(|failed| failed.error),
                    "sha256": body.sha256().map_err(failed).err().map(|failed| failed.error) })
        }
        Command::Chain { secret, prefix, messages } => {
            let messages: Vec<Vec<u8>> = messages.into_iter().map(String::into_bytes).collect();
            json!(hex(&secrets::hmac_sha256_chain(&secret, prefix.as_deref(), &messages)?))
        }
        Command::KvGet { key } => json!(kv::get(&key)?.map(|value| String::from_utf8_lossy(&value).into_owned())),
        Command::KvSet { key, value, ttl } => json!(kv::set(&key, value.as_bytes(), ttl)?),
        Command::KvDelete { key } => json!(kv::delete(&key)?),
        Command::KvAdd { key, by } => json!(kv::increment(&key, by)?),
        Command::KvFlood { bytes, prefix } => kv_flood(bytes, &prefix),
        Command::Spin => spin(),
        Command::Trap => panic!("told to"),
        Command::Allocate => {
            allocate();
            Value::Null
        }
    })
}

fn send(sent: &Sent) -> Result<Response, Error> {
    let request = Request {
        method: sent.method.clone(),
        url: sent.url.clone(),
        headers: sent.headers.clone(),
        timeout_ms: sent.timeout,
        redirects: sent.redirects,
    };
    request.send(sent.body.as_ref().map_or(Body::Empty, |body| Body::Bytes(body.clone().into_bytes())))
}

fn answered(response: &Response) -> Result<Value, Error> {
    let len = response.body.len();
    let text = response.text(1 << 16)?;
    Ok(json!({ "status": response.status, "headers": response.headers, "body": text, "len": len }))
}

fn all(urls: &[String], at_once: u32) -> Value {
    let requests: Vec<_> = urls.iter().map(|url| (Request::new("GET", url), Body::Empty)).collect();
    let answers = send_all(&requests, at_once).into_iter().map(|answer| match answer.and_then(|got| answered(&got)) {
        Ok(value) => value,
        Err(error) => json!(failed(error)),
    });
    answers.collect()
}

fn hold(url: &str, times: u32) -> Value {
    let mut held = Vec::new();
    for _ in 0..times {
        match Request::new("GET", url).send(Body::Empty) {
            Ok(response) => held.push(response),
            Err(error) => return json!({ "held": held.len(), "why": failed(error) }),
        }
    }
    json!({ "held": held.len() })
}

fn kv_flood(bytes: usize, prefix: &str) -> Value {
    let value = vec![7; bytes];
    for at in 0.. {
        if let Err(error) = kv::set(&format!("{prefix}{at}"), &value, None) {
            return json!({ "written": at, "why": failed(error) });
        }
    }
    Value::Null
}

fn failed(error: Error) -> Failed {
    let (error, text) = match error {
        Error::Denied(text) => ("denied", text),
        Error::NotFound(text) => ("not-found", text),
        Error::Exists(text) => ("exists", text),
        Error::Invalid(text) => ("invalid", text),
        Error::Unsupported(text) => ("unsupported", text),
        Error::Limit(text) => ("limit", text),
        Error::Full(text) => ("full", text),
        Error::Timeout => ("timeout", String::new()),
        Error::Cancelled => ("cancelled", String::new()),
        Error::Unavailable(text) => ("unavailable", text),
        Error::Other(text) => ("other", text),
    };
    Failed { error, text }
}

/// For ever.
pub fn spin() -> ! {
    let mut at = 0_u64;
    loop {
        at = std::hint::black_box(at.wrapping_add(1));
    }
}

/// As much as there is.
pub fn allocate() {
    let mut held: Vec<Vec<u8>> = Vec::new();
    while let Some(next) = page() {
        held.push(next);
    }
    std::hint::black_box(held);
}

fn page() -> Option<Vec<u8>> {
    let mut page = Vec::new();
    page.try_reserve_exact(1 << 16).ok()?;
    page.resize(1 << 16, 1);
    Some(page)
}

/// In lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
