//! Origins: scheme, host and port, as a grant names them and as an address means them.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::PathAndQuery;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// `https://s3.example.net:443`. The host is in lower case and in ASCII, whatever it was written as.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin {
    https: bool,
    host: Host<String>,
    port: u16,
}

/// What a manifest asks for: an origin, `https://*.example.org` (one below a name), `https://*`, or `*`, which is any origin that
/// the operator names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum OriginPattern {
    Any,
    AnyHttps,
    Below(Origin),
    One(Origin),
}

impl Origin {
    /// The origin that an absolute address of a guest means, and the address as it is sent: what was checked is what is asked.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn of(address: &str) -> Result<(Self, Uri), String> {
        let uri: Uri = address.parse().map_err(|error| format!("it cannot be read: {error}"))?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(other) => return Err(format!("{other} is not spoken, only http and https")),
            None => return Err("it is not absolute".into()),
        };
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("it holds a user; a secret goes into a header as ${secret:NAME}".into());
        }
        let host = Host::parse(authority.host()).map_err(|error| format!("its host: {error}"))?;
        let port = match authority.as_str().strip_prefix(authority.host()).unwrap_or("") {
            "" | ":" => default_port(https),
            port => port.trim_start_matches(':').parse().map_err(|_| "its port is no port".to_owned())?,
        };
        let origin = Self { https, host, port };
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let uri = Uri::builder().scheme(origin.scheme()).authority(origin.authority()).path_and_query(path).build();
        Ok((origin, uri.map_err(|error| format!("it cannot be sent: {error}"))?))
    }

    pub fn is_https(&self) -> bool {
        self.https
    }

    pub fn host(&self) -> &Host<String> {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// Host, and port where it is not the scheme's own.
    fn authority(&self) -> String {
        match self.port == default_port(self.https) {
            true => self.host.to_string(),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?} is no origin: {why}. Write https://api.example.org:443");
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("it is neither http nor https")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it holds a user; a secret is bound on its own"));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it holds more than scheme, host and port"));
        }
        let host = url.host().ok_or_else(|| wrong("it names no host"))?.to_owned();
        if matches!(&host, Host::Domain(name) if name.contains('*')) {
            return Err(wrong("it stands for many"));
        }
        Ok(Self { https, host, port: url.port_or_known_default().unwrap_or(default_port(https)) })
    }
}

impl OriginPattern {
    pub fn fits(&self, origin: &Origin) -> bool {
        match self {
            Self::Any => true,
            Self::AnyHttps => origin.https,
            Self::One(one) => one == origin,
            Self::Below(top) => match (&top.host, &origin.host) {
                (Host::Domain(top_name), Host::Domain(name)) => {
                    let below = name.strip_suffix(top_name.as_str()).is_some_and(|front| front.ends_with('.'));
                    below && (top.https, top.port) == (origin.https, origin.port)
                }
                _ => false,
            },
        }
    }
}

impl FromStr for OriginPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "*" => Self::Any,
            "https://*" => Self::AnyHttps,
            _ => match text.split_once("://*.") {
                Some((scheme, rest)) => Self::Below(format!("{scheme}://{rest}").parse()?),
                None => Self::One(text.parse()?),
            },
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority())
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::AnyHttps => f.write_str("https://*"),
            Self::Below(top) => write!(f, "{}://*.{}", top.scheme(), top.authority()),
            Self::One(one) => one.fmt(f),
        }
    }
}

impl TryFrom<String> for Origin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.to_string()
    }
}

impl TryFrom<String> for OriginPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<OriginPattern> for String {
    fn from(pattern: OriginPattern) -> Self {
        pattern.to_string()
    }
}
