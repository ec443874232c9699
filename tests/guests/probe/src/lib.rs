//! Does what a test tells it to do: the text of `head` is a command as JSON, and the location that it answers is what came of it.

mod command;

use latent_plugin::http::{Body, Request};
use latent_plugin::storage::{Blob, Error, Object, Storage, Stored};
use serde::Deserialize;

/// How `init` ends, and where `put` and `get` go.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    base: String,
    init: Option<String>,
    part: Option<u64>,
}

/// The plugin.
pub struct Probe {
    settings: Settings,
}

impl Storage for Probe {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Error> {
        match settings.init.as_deref() {
            Some("spin") => command::spin(),
            Some("trap") => panic!("init traps"),
            Some("fail") => return Err(Error::other("init fails")),
            Some("allocate") => command::allocate(),
            _ => {}
        }
        Ok(Self { settings })
    }

    fn put(&self, object: Object, src: &Blob) -> Result<Stored, Error> {
        let url = format!("{}{}", self.settings.base, object.key);
        let len = src.len().ok_or_else(|| Error::other("the length is not known"))?;
        let etag = match self.settings.part {
            None => {
                let response = Request::new("PUT", &url).send(Body::Blob(src))?;
                response.header("etag").map(str::to_owned)
            }
            Some(part) => Some(in_parts(&url, src, len, part)?),
        };
        Ok(Stored { location: object.key, len, etag, modified_ms: None })
    }

    fn find(&self, _: Object) -> Result<Option<Stored>, Error> {
        Ok(None)
    }

    fn get(&self, location: String, offset: u64, len: Option<u64>) -> Result<Blob, Error> {
        let last = len.map_or_else(String::new, |len| (offset + len - 1).to_string());
        let url = format!("{}{location}", self.settings.base);
        let response = Request::new("GET", url).header("range", format!("bytes={offset}-{last}")).send(Body::Empty)?;
        match response.status {
            200 | 206 => Ok(response.body),
            404 => Err(Error::NotFound(location)),
            other => Err(Error::other(format!("the server answers {other}"))),
        }
    }

    fn head(&self, location: String) -> Result<Option<Stored>, Error> {
        let answer = command::run(&location)?;
        Ok(Some(Stored { location: answer, len: 0, etag: None, modified_ms: None }))
    }

    fn delete(&self, location: String) -> Result<(), Error> {
        command::run(&location).map(drop)
    }

    fn relocate(&self, location: String, _: Object) -> Result<Stored, Error> {
        Err(Error::Unsupported(location))
    }

    fn list(&self, _: Option<String>, _: u32) -> Result<Vec<Stored>, Error> {
        Ok(Vec::new())
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    fn usage(&self) -> Result<Option<(u64, u64)>, Error> {
        Ok(None)
    }
}

/// Each part with the hash that a signature would need, four at once; the tags that the server gave.
fn in_parts(url: &str, src: &Blob, len: u64, part: u64) -> Result<String, Error> {
    let parts: Vec<Blob> = (0..len.div_ceil(part)).map(|at| src.slice(at * part, part)).collect::<Result<_, _>>()?;
    let mut requests = Vec::new();
    for (at, blob) in parts.iter().enumerate() {
        let request = Request::new("PUT", format!("{url}?part={at}")).header("x-sha256", command::hex(&blob.sha256()?));
        requests.push((request, Body::Blob(blob)));
    }
    let mut tags = Vec::new();
    for answer in latent_plugin::http::send_all(&requests, 4) {
        tags.push(answer?.header("etag").unwrap_or("").to_owned());
    }
    Ok(tags.join(","))
}

#[cfg(target_family = "wasm")]
latent_plugin::export_storage!(Probe);
