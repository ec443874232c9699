//! Downloads: one file from the first address that gives exactly it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, pki_types::ServerName};

/// Model hubs answer with one or two redirects.
const REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(15);
/// Without a byte for this long, the source counts as dead.
const SILENCE: Duration = Duration::from_secs(60);
/// Where the manifest does not say how long the file is.
const MAX_BYTES: u64 = 4 << 30;

/// A file to fetch.
pub(crate) struct Order<'a> {
    pub urls: Vec<&'a str>,
    /// Hex; a file with another hash is thrown away.
    pub sha256: &'a str,
    pub bytes: Option<u64>,
    pub to: &'a Path,
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Fetches into place, atomically. `progress` gets the bytes so far. Returns the length; the error names every source tried.
pub(crate) async fn fetch(order: &Order<'_>, progress: &(dyn Fn(u64) + Sync)) -> Result<u64, String> {
    let mut reasons = Vec::new();
    for url in &order.urls {
        match fetch_from(url, order, progress).await {
            Ok(bytes) => return Ok(bytes),
            Err(reason) => reasons.push(format!("{url}: {reason}")),
        }
    }
    Err(reasons.join("; "))
}

async fn fetch_from(url: &str, order: &Order<'_>, progress: &(dyn Fn(u64) + Sync)) -> Result<u64, String> {
    let response = follow(url).await?;
    let folder = order.to.parent().ok_or("there is no folder to write to")?;
    let write = |error: std::io::Error| format!("cannot write to {}: {error}", folder.display());
    tokio::fs::create_dir_all(folder).await.map_err(write)?;
    let part = tempfile::NamedTempFile::new_in(folder).map_err(write)?;
    let mut file = tokio::fs::File::from_std(part.reopen().map_err(write)?);
    let limit = order.bytes.unwrap_or(MAX_BYTES);
    let (mut body, mut hasher, mut done) = (response.into_body(), Sha256::new(), 0);
    while let Some(frame) = timeout(SILENCE, body.frame()).await.map_err(|_| "it went silent".to_owned())? {
        let frame = frame.map_err(|error| format!("the transfer broke off: {error}"))?;
        let Some(data) = frame.data_ref() else { continue };
        done += data.len() as u64;
        if done > limit {
            return Err(format!("it sends more than {limit} bytes"));
        }
        hasher.update(data);
        file.write_all(data).await.map_err(write)?;
        progress(done);
    }
    file.sync_all().await.map_err(write)?;
    let found = hex::encode(hasher.finalize());
    if found != order.sha256 {
        return Err(format!("its SHA-256 is {found}, not {}", order.sha256));
    }
    part.persist(order.to).map_err(|error| write(error.error))?;
    Ok(done)
}

async fn follow(url: &str) -> Result<Response<Incoming>, String> {
    let mut uri: Uri = url.parse().map_err(|error| format!("not an address: {error}"))?;
    for _ in 0..=REDIRECTS {
        let response = timeout(SILENCE, get(&uri)).await.map_err(|_| "no answer".to_owned())??;
        if response.status().is_success() {
            return Ok(response);
        }
        if !response.status().is_redirection() {
            return Err(format!("it answers {}", response.status()));
        }
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        uri = redirected(&uri, location.ok_or("it redirects to nowhere")?)?;
    }
    Err(format!("more than {REDIRECTS} redirects"))
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

async fn get(uri: &Uri) -> Result<Response<Incoming>, String> {
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
    let request = Request::get(path)
        .header(HOST, authority.as_str())
        .header(USER_AGENT, concat!("latent/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("the address is bad: {error}"))?;
    sender.send_request(request).await.map_err(talk)
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
