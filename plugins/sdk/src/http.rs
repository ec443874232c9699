//! Requests to the origins that the operator granted. Bodies stay outside: the host streams them from a blob and into one.

use crate::Result;
pub use crate::bindings::latent::plugin::blob::Blob;
pub use crate::bindings::latent::plugin::http::{Body, Request, Response, send, send_all, wait};

impl Request {
    /// Without headers, for an answer that comes from that very address.
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), headers: Vec::new(), timeout_ms: None, redirects: 0 }
    }

    /// With one header more. `${secret:NAME}` in a value is filled in by the host.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The host follows so many redirects of a GET or HEAD, at most 5.
    #[must_use]
    pub fn following(mut self, redirects: u8) -> Self {
        self.redirects = redirects;
        self
    }

    /// Silence for so long ends it; the host's own limit is 30 seconds.
    #[must_use]
    pub fn within_ms(mut self, ms: u32) -> Self {
        self.timeout_ms = Some(ms);
        self
    }

    /// Sends it.
    ///
    /// # Errors
    /// `denied`: the origin or a secret was not granted; `timeout`, `unavailable`: try again later.
    pub fn send(&self, body: Body<'_>) -> Result<Response> {
        send(self, &body)
    }
}

impl Response {
    /// The value of a header, by its name in lower case; the first where there are many.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Is the status one of success?
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A message, not a file: reads at most `most` bytes of the body.
    ///
    /// # Errors
    /// The transfer broke off.
    pub fn text(&self, most: u32) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.body.read(0, most)?).into_owned())
    }
}
