//! Connections of plugins: to a granted origin, at an address that was looked at, with TLS where the origin says so. No proxy.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;
use url::Host;

use super::address::{Reach, reach};
use super::origin::Origin;

/// Time for a name, for one address, for the handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

/// Finds the addresses of a name. The host's own; a test has another.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// What this machine asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// How an origin may be reached.
pub struct Rule {
    pub private: bool,
    pub tls: Arc<ClientConfig>,
    /// The operator was told of an address that is not granted.
    pub told: AtomicBool,
}

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Unavailable(String),
}

/// Makes the connections of one plugin.
#[derive(Clone)]
pub struct Connector {
    pub plugin: Arc<str>,
    pub rules: Arc<BTreeMap<Origin, Rule>>,
    pub resolver: Arc<dyn Resolver>,
}

impl Connector {
    async fn connect(self, uri: Uri) -> Result<TokioIo<Wire>, ConnectError> {
        let (origin, _) = Origin::of(&uri.to_string()).map_err(ConnectError::Denied)?;
        let rule = self.rules.get(&origin);
        let rule = rule.ok_or_else(|| ConnectError::Denied(format!("{origin} was not granted")))?;
        let unavailable = |why: String| ConnectError::Unavailable(format!("{origin}: {why}"));
        let mut last = "its name has no address".to_owned();
        for address in self.addresses(&origin, rule).await?.into_iter().take(ADDRESSES) {
            let stream = match timeout(CONNECT, TcpStream::connect(SocketAddr::new(address, origin.port()))).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    last = error.to_string();
                    continue;
                }
                Err(_) => {
                    last = "it does not answer".to_owned();
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            if !origin.is_https() {
                return Ok(TokioIo::new(Wire::Plain(stream)));
            }
            let tls = TlsConnector::from(rule.tls.clone()).connect(server_name(&origin), stream);
            let tls = timeout(CONNECT, tls).await.map_err(|_| unavailable("no TLS handshake".into()))?;
            let tls = tls.map_err(|error| unavailable(format!("it cannot be trusted: {error}")))?;
            return Ok(TokioIo::new(Wire::Tls(Box::new(tls))));
        }
        Err(unavailable(last))
    }

    /// Those that may be connected to.
    async fn addresses(&self, origin: &Origin, rule: &Rule) -> Result<Vec<IpAddr>, ConnectError> {
        let found = match origin.host() {
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
            Host::Domain(name) => {
                let found = timeout(CONNECT, self.resolver.resolve(name)).await;
                let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                found.map_err(|error| ConnectError::Unavailable(format!("the name {name} is not found: {error}")))?
            }
        };
        let is_allowed = |address: &IpAddr| match reach(*address) {
            Reach::Public => true,
            Reach::Private => rule.private,
            Reach::Never => false,
        };
        let (allowed, refused): (Vec<IpAddr>, Vec<IpAddr>) = found.into_iter().partition(is_allowed);
        match refused.first() {
            Some(refused) if allowed.is_empty() => Err(self.refuse(origin, rule, *refused)),
            _ => Ok(allowed),
        }
    }

    /// The plugin is not told the address, which may be the secret of a network; the operator is, once.
    fn refuse(&self, origin: &Origin, rule: &Rule, address: IpAddr) -> ConnectError {
        if !rule.told.swap(true, Ordering::Relaxed) {
            let plugin = &*self.plugin;
            tracing::warn!(
                plugin, %origin, %address,
                "A plugin's request was refused: the origin has an address of this network. If that is meant, write \
                 {{ origin = \"{origin}\", private = true }} into its `http`; link-local and reserved addresses are never reached"
            );
        }
        ConnectError::Denied(format!("{origin} leads to an address that is not granted: one of a private network"))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

fn server_name(origin: &Origin) -> ServerName<'static> {
    match origin.host() {
        Host::Ipv4(address) => ServerName::IpAddress(IpAddr::V4(*address).into()),
        Host::Ipv6(address) => ServerName::IpAddress(IpAddr::V6(*address).into()),
        // A name that is none in a certificate is one that no certificate has.
        Host::Domain(name) => ServerName::try_from(name.trim_end_matches('.').to_owned())
            .unwrap_or_else(|_| ServerName::IpAddress(IpAddr::from([0, 0, 0, 0]).into())),
    }
}

/// Trusts what this machine trusts, or what a PEM file holds and nothing else.
///
/// # Errors
/// The file holds no certificate.
pub fn trust(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        return Ok(SYSTEM
            .get_or_init(|| {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                }
                config(roots)
            })
            .clone());
    };
    let wrong = |error: &dyn std::fmt::Display| format!("the certificates in {}: {error}", path.display());
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
        roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        return Err(wrong(&"there are none"));
    }
    Ok(config(roots))
}

fn config(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("ring speaks the versions of TLS that rustls takes for safe");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// A connection.
pub enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
