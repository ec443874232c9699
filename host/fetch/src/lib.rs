//! GET over TLS: redirects followed, silence and size bounded. Knows neither models nor plugins, which are fetched with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, pki_types::ServerName};

/// Hubs and registries answer with one or two redirects.
const REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(15);
/// Without a byte for this long, the source counts as dead.
const SILENCE: Duration = Duration::from_secs(60);

/// Where one may go without encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// To this machine only.
    Loopback,
    Anywhere,
}

/// What to ask for.
#[derive(Debug, Clone)]
pub struct Get<'a> {
    pub url: &'a str,
    pub plain: Plain,
    /// What is accepted, as `Accept` says it.
    pub accept: Option<&'a str>,
    /// Goes to the host of `url` alone, not to where it redirects.
    pub authorization: Option<&'a str>,
}

/// An answer of any status, whose body was not read yet.
#[derive(Debug)]
pub struct Answer {
    response: Response<Incoming>,
    /// Where it came from in the end.
    pub url: String,
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

impl<'a> Get<'a> {
    pub fn new(url: &'a str, plain: Plain) -> Self {
        Self { url, plain, accept: None, authorization: None }
    }

    /// Follows redirects.
    ///
    /// # Errors
    /// In words for an operator: the address is bad or not allowed, the host cannot be reached or trusted, or it is silent.
    pub async fn send(&self) -> Result<Answer, String> {
        let mut uri: Uri = self.url.parse().map_err(|error| format!("not an address: {error}"))?;
        let first = uri.authority().cloned();
        for _ in 0..=REDIRECTS {
            allowed(&uri, self.plain)?;
            let authorization = self.authorization.filter(|_| uri.authority() == first.as_ref());
            let asked = one(&uri, self.accept, authorization);
            let response = timeout(SILENCE, asked).await.map_err(|_| "no answer".to_owned())??;
            // 304 has no place to go to.
            if !response.status().is_redirection() || response.status() == 304 {
                return Ok(Answer { response, url: uri.to_string() });
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            uri = redirected(&uri, location.ok_or("it redirects to nowhere")?)?;
        }
        Err(format!("more than {REDIRECTS} redirects"))
    }
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Itself, if it is a success.
    ///
    /// # Errors
    /// It is another status, which is named.
    pub fn success(self) -> Result<Self, String> {
        match self.response.status() {
            status if status.is_success() => Ok(self),
            status => Err(format!("it answers {status}")),
        }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// The transfer broke off or went silent.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let frame = timeout(SILENCE, self.response.body_mut().frame()).await;
            let Some(frame) = frame.map_err(|_| "it went silent".to_owned())? else { return Ok(None) };
            let frame = frame.map_err(|error| format!("the transfer broke off: {error}"))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }

    /// The whole body, which has at most `most` bytes.
    ///
    /// # Errors
    /// Those of [`Answer::chunk`], or it is longer.
    pub async fn read(mut self, most: usize) -> Result<Bytes, String> {
        let mut body = Vec::new();
        while let Some(data) = self.chunk().await? {
            if body.len() + data.len() > most {
                return Err(format!("it sends more than {most} bytes"));
            }
            body.extend_from_slice(&data);
        }
        Ok(body.into())
    }
}

/// https anywhere; http where that may be.
fn allowed(uri: &Uri, plain: Plain) -> Result<(), String> {
    let host = uri.host().ok_or("the address names no host")?;
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if plain == Plain::Anywhere || is_loopback(host) => Ok(()),
        Some("http") => Err(format!("{uri} is not encrypted, so whoever is on the way could change what it sends")),
        _ => Err(format!("{uri} is neither https nor http")),
    }
}

/// This machine, by its name or its address.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The address that a `Location` means. From https only to https.
fn redirected(from: &Uri, location: &str) -> Result<Uri, String> {
    let fail = |error: hyper::http::Error| format!("it redirects to a bad address: {error}");
    let to: Uri = location.parse().map_err(|error| fail(hyper::http::Error::from(error)))?;
    if to.scheme().is_none() {
        let mut parts = from.clone().into_parts();
        parts.path_and_query = to.into_parts().path_and_query;
        return Uri::from_parts(parts).map_err(|error| fail(error.into()));
    }
    match from.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
        true => Err("it redirects away from https".to_owned()),
        false => Ok(to),
    }
}

async fn one(uri: &Uri, accept: Option<&str>, authorization: Option<&str>) -> Result<Response<Incoming>, String> {
    let authority = uri.authority().ok_or("the address names no host")?;
    let host = authority.host().trim_matches(['[', ']']);
    let tls = uri.scheme_str() == Some("https");
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let stream =
        timeout(CONNECT, TcpStream::connect((host, port))).await.map_err(|_| format!("cannot reach {host}"))?;
    let stream = stream.map_err(|error| format!("cannot reach {host}: {error}"))?;
    let wire: Box<dyn Wire> = if tls { Box::new(encrypt(host, stream).await?) } else { Box::new(stream) };
    let talk = |error: hyper::Error| format!("{host} does not speak HTTP: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(wire)).await.map_err(talk)?;
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path)
        .header(HOST, host_header(authority))
        .header(USER_AGENT, concat!("latent/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("the address is bad: {error}"))?;
    for (name, value) in [(hyper::header::ACCEPT, accept), (AUTHORIZATION, authorization)] {
        let Some(value) = value else { continue };
        request.headers_mut().insert::<HeaderName>(name, header(value)?);
    }
    sender.send_request(request).await.map_err(talk)
}

/// Without a user and a password, which are not for the log of whoever is asked.
fn host_header(authority: &hyper::http::uri::Authority) -> &str {
    authority.as_str().rsplit('@').next().unwrap_or_default()
}

fn header(value: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(value).map_err(|_| "a header of it cannot be sent".to_owned())
}

async fn encrypt(host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let connected = timeout(CONNECT, connecting).await.map_err(|_| format!("{host} is silent"))?;
    connected.map_err(|error| format!("cannot trust {host}: {error}"))
}
