//! Keeps objects in a bucket of any service that speaks the S3 protocol. The plugin signs; the host streams: no byte of an object
//! comes here.

pub mod client;
pub mod failure;
pub mod keys;
pub mod parts;
pub mod settings;
pub mod sigv4;
pub mod time;
pub mod uri;
pub mod xml;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use latent_plugin::storage::{Blob, Class, Error, Object, Storage, Stored, Writer, create_blob};

use crate::client::{Answer, Call, Client, Payload};
use crate::keys::MARKER;
use crate::settings::Settings;

/// What we say of an object in a header of its own, as hex.
const SHA256: &str = "x-amz-meta-sha256";
/// A link lives no longer.
const LONGEST_LINK_MS: u64 = 5 * 60_000;
/// Objects of a page.
const PAGE: u32 = 1_000;

/// The plugin.
pub struct S3 {
    client: Client,
}

impl Storage for S3 {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self { client: Client::new(settings)? })
    }

    fn put(&self, object: Object, src: &Blob) -> Result<Stored, Error> {
        let location = keys::location(&object);
        let len = src.len();
        // To ask costs less than to send it twice; what is made from photos is small, and made once.
        if object.class != Class::Derivative
            && let Some(there) = self.find(object.clone())?
            && len.is_none_or(|len| len == there.len)
        {
            return Ok(there);
        }
        let headers = self.headers(&object);
        match len.filter(|len| *len > self.client.settings.multipart_above_mib << 20 && src.seekable()) {
            Some(len) => parts::put(&self.client, &location, src, len, &headers)?,
            None => {
                let mut call = Call::new("PUT", Some(&location));
                call.headers = headers;
                let call = call
                    .header("x-amz-checksum-sha256", BASE64_STANDARD.encode(&object.sha256))
                    .payload(Payload::Blob(src, hex::encode(&object.sha256)));
                let answer = self.client.send(&call)?;
                if let Some(len) = len {
                    return Ok(Stored { location, len, etag: answer.header("etag").map(plain), modified_ms: None });
                }
            }
        }
        let stored = self.head(location.clone())?;
        let stored = stored.ok_or_else(|| Error::Unavailable(format!("{location} is not there after it was put")))?;
        match len {
            Some(len) if len != stored.len => {
                Err(Error::other(format!("{location} has {} bytes after {len} were put", stored.len)))
            }
            _ => Ok(stored),
        }
    }

    fn find(&self, object: Object) -> Result<Option<Stored>, Error> {
        let location = keys::location(&object);
        let Some(answer) = self.look(&location)? else { return Ok(None) };
        // Written by somebody else under our key: not what was put.
        let is_other = answer.header(SHA256).is_some_and(|sha256| sha256 != hex::encode(&object.sha256));
        Ok(if is_other { None } else { Some(stored(location, &answer)?) })
    }

    fn get(&self, location: String, offset: u64, len: Option<u64>) -> Result<Blob, Error> {
        if len == Some(0) {
            return empty();
        }
        let mut call = Call::new("GET", Some(&location));
        if offset > 0 || len.is_some() {
            let end = len.map_or_else(String::new, |len| offset.saturating_add(len - 1).to_string());
            call = call.header("range", format!("bytes={offset}-{end}"));
        }
        match self.client.send(&call) {
            // Nothing lies behind the end.
            Ok(answer) if answer.status == 416 => empty(),
            Ok(answer) if (offset > 0 || len.is_some()) && answer.status != 206 => {
                Err(Error::Unsupported(format!("cannot read a part of {location}: the service ignores `range`")))
            }
            Ok(answer) => Ok(answer.body),
            Err(error) => Err(error),
        }
    }

    fn head(&self, location: String) -> Result<Option<Stored>, Error> {
        let found = self.look(&location)?;
        found.map(|answer| stored(location, &answer)).transpose()
    }

    fn delete(&self, location: String) -> Result<(), Error> {
        match self.client.send(&Call::new("DELETE", Some(&location))) {
            Ok(_) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn relocate(&self, location: String, _: Object) -> Result<Stored, Error> {
        let missing = format!("{location} is not there");
        self.head(location)?.ok_or(Error::NotFound(missing))
    }

    fn list(&self, after: Option<String>, limit: u32) -> Result<Vec<Stored>, Error> {
        let prefix = &self.client.settings.prefix;
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        while found.len() < limit as usize {
            let wanted = (limit - found.len() as u32).saturating_add(1).min(PAGE);
            let mut call = Call::new("GET", None).query("list-type", "2").query("prefix", prefix);
            call = call.query("max-keys", wanted.to_string());
            call = match (&token, &after) {
                (Some(token), _) => call.query("continuation-token", token),
                (None, Some(after)) => call.query("start-after", format!("{prefix}{after}")),
                (None, None) => call,
            };
            let page = xml::objects(&self.client.send(&call)?.text()?).map_err(Error::other)?;
            for entry in page.contents {
                if let Some(location) = entry.key.strip_prefix(&**prefix).filter(|location| *location != MARKER) {
                    found.push(Stored {
                        location: location.to_owned(),
                        len: entry.size,
                        etag: entry.etag.as_deref().map(plain),
                        modified_ms: time::of_list(&entry.last_modified),
                    });
                }
            }
            token = page.next_continuation_token.filter(|_| page.is_truncated);
            if token.is_none() {
                break;
            }
        }
        found.truncate(limit as usize);
        Ok(found)
    }

    fn presign(&self, location: String, expires_ms: u64) -> Result<Option<String>, Error> {
        if !self.client.settings.presign {
            return Ok(None);
        }
        let seconds = expires_ms.clamp(1_000, LONGEST_LINK_MS) / 1_000;
        self.client.presigned(&location, seconds).map(Some)
    }

    fn check(&self) -> Result<(), Error> {
        let call = Call::new("GET", None).query("list-type", "2").query("max-keys", "1");
        let call = call.query("prefix", format!("{}{MARKER}", self.client.settings.prefix));
        xml::objects(&self.client.send(&call)?.text()?).map(|_| ()).map_err(Error::Unavailable)
    }

    fn usage(&self) -> Result<Option<(u64, u64)>, Error> {
        // A service does not say.
        Ok(None)
    }

    fn marker(&self) -> Result<Option<String>, Error> {
        match self.client.send(&Call::new("GET", Some(MARKER))) {
            Ok(answer) => answer.text().map(Some),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn mark(&self, text: String) -> Result<(), Error> {
        let call = Call::new("PUT", Some(MARKER)).header("content-type", "text/plain").payload(Payload::Text(&text));
        self.client.send(&call).map(|_| ())
    }
}

impl S3 {
    /// `None`: nothing is there.
    fn look(&self, location: &str) -> Result<Option<Answer>, Error> {
        match self.client.send(&Call::new("HEAD", Some(location))) {
            Ok(answer) => Ok(Some(answer)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is said of a new object.
    fn headers(&self, object: &Object) -> Vec<(String, String)> {
        let Settings { storage_class, sse, sse_kms_key_id, .. } = &self.client.settings;
        let mut headers = vec![(SHA256.to_owned(), hex::encode(&object.sha256))];
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                headers.push((name.to_owned(), value.to_owned()));
            }
        };
        if matches!(object.class, Class::Original | Class::EncodedVideo | Class::Sidecar | Class::Backup) {
            add("x-amz-storage-class", storage_class);
        }
        add("x-amz-server-side-encryption", sse);
        add("x-amz-server-side-encryption-aws-kms-key-id", sse_kms_key_id);
        headers
    }
}

fn stored(location: String, answer: &Answer) -> Result<Stored, Error> {
    let len = answer.header("content-length").and_then(|len| len.parse().ok());
    let len = len.ok_or_else(|| Error::other(format!("the service does not say how long {location} is")))?;
    let modified_ms = answer.header("last-modified").and_then(time::of_header);
    Ok(Stored { location, len, etag: answer.header("etag").map(plain), modified_ms })
}

/// An ETag without its quotes.
fn plain(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

fn empty() -> Result<Blob, Error> {
    Writer::finish(create_blob(None)?)
}

#[cfg(target_family = "wasm")]
latent_plugin::export_storage!(S3);
