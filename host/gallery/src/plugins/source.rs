//! Where a plugin comes from: a file, an address, an index, an OCI registry. Bytes and signature, bounded, from a source that may
//! lie.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use fetch::{Get, Plain};
use sha2::{Digest as _, Sha256};

use super::signature::LONGEST_SIGNATURE;
use super::{index, oci};

/// Bytes of a component, which the host and the database hold to, too.
pub const LONGEST: usize = 32 << 20;
/// How a file is written down: where it lay is nobody's business later.
const FILE: &str = "file ";
/// For all that is fetched together.
const LIMIT: Duration = Duration::from_secs(300);

/// A place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// On this machine; its signature is `<file>.minisig`.
    File(PathBuf),
    /// What a client sent.
    Sent { name: String, wasm: Bytes, signature: Option<String> },
    /// `https://host/ocr.wasm`; its signature is at the same address with `.minisig`.
    Url(String),
    /// One of a list of many: the highest version, unless one is named.
    Index { url: String, id: String, version: Option<String> },
    /// `oci://host/repository:tag` or `…@sha256:…`.
    Oci(String),
}

/// A plugin that an operator wants.
#[derive(Debug, Clone)]
pub struct Offer {
    pub source: Source,
    /// The SHA-256 that it has to have, in hex.
    pub digest: Option<String>,
    /// A developer's: take it without a signature.
    pub allow_unsigned: bool,
    /// Take it over a network without encryption.
    pub allow_http: bool,
}

/// What a source gave.
#[derive(Debug, Clone)]
pub struct Fetched {
    pub wasm: Bytes,
    pub signature: Option<String>,
    /// As it is written down.
    pub source: String,
    /// The id that was asked for.
    pub id: Option<String>,
}

impl Source {
    /// A path, `https://…`, or `oci://…`. Does not look whether there is anything. `index+https://…#id` or `#id@version` is one of
    /// an index.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("index+") {
            let (url, id) =
                rest.split_once('#').ok_or_else(|| format!("{text:?} names no plugin: write #ID after it"))?;
            let (id, version) = id.split_once('@').map_or((id, None), |(id, version)| (id, Some(version.to_owned())));
            return Ok(Self::Index { url: url.to_owned(), id: id.to_owned(), version });
        }
        match text.split_once("://") {
            Some(("oci", rest)) => {
                oci::Reference::parse(rest)?;
                Ok(Self::Oci(rest.to_owned()))
            }
            Some(("https" | "http", _)) => Ok(Self::Url(text.to_owned())),
            Some((scheme, _)) => Err(format!("{scheme}:// is no place for plugins; https:// and oci:// are")),
            None if text.is_empty() => Err("nothing is named".into()),
            None => Ok(Self::File(text.into())),
        }
    }

    /// Where a version that is installed came from, to look for another there.
    ///
    /// # Errors
    /// It was a file.
    pub fn again(text: &str) -> Result<Self, String> {
        match text.strip_prefix(FILE) {
            Some(name) => Err(format!("it came from the file {name}: name the file, or another source")),
            None => Self::parse(text),
        }
    }

    /// As [`Source::parse`] reads it, where it can be read again; a file is told by its name alone.
    fn text(&self) -> String {
        match self {
            Self::File(path) => format!("{FILE}{}", path.file_name().unwrap_or_default().to_string_lossy()),
            Self::Sent { name, .. } => format!("{FILE}{}", name.chars().take(200).collect::<String>()),
            Self::Url(url) => url.clone(),
            Self::Index { url, id, .. } => format!("index+{url}#{id}"),
            Self::Oci(reference) => format!("oci://{reference}"),
        }
    }
}

impl Offer {
    pub fn new(source: Source) -> Self {
        Self { source, digest: None, allow_unsigned: false, allow_http: false }
    }

    /// Gets it.
    ///
    /// # Errors
    /// In words for an operator: it cannot be had, is too large, or has another hash than it should.
    pub async fn fetch(&self) -> Result<Fetched, String> {
        let plain = if self.allow_http { Plain::Anywhere } else { Plain::Loopback };
        let source = self.source.text();
        let fetching = tokio::time::timeout(LIMIT, self.get(plain)).await;
        let took = || format!("{source} took longer than {} minutes", LIMIT.as_secs() / 60);
        let (wasm, signature) = fetching.map_err(|_| took())?.map_err(|why| hint(&source, &why))?;
        if let Some(wanted) = &self.digest {
            let wanted = wanted.strip_prefix("sha256:").unwrap_or(wanted).to_lowercase();
            let found = sha256(&wasm);
            if found != wanted {
                return Err(format!(
                    "{source} has the SHA-256 {found}, not {wanted}: these are not the bytes that were meant"
                ));
            }
        }
        let id = match &self.source {
            Source::Index { id, .. } => Some(id.clone()),
            _ => None,
        };
        Ok(Fetched { wasm, signature, source, id })
    }

    async fn get(&self, plain: Plain) -> Result<(Bytes, Option<String>), String> {
        match &self.source {
            Source::File(path) => file(path).await,
            Source::Sent { wasm, signature, .. } => Ok((wasm.clone(), signature.clone())),
            Source::Url(url) => {
                let wasm = Get::new(url, plain).send().await?.success()?.read(LONGEST).await?;
                Ok((wasm, beside(&signature_of(url), plain).await?))
            }
            Source::Index { url, id, version } => {
                let entry = index::find(url, id, version.as_deref(), plain).await?;
                let wasm = Get::new(&entry.file, plain).send().await?.success()?.read(LONGEST).await?;
                let found = sha256(&wasm);
                if found != entry.sha256 {
                    let (file, wanted) = (&entry.file, &entry.sha256);
                    return Err(format!("{file} has the SHA-256 {found}, and the index says {wanted}"));
                }
                Ok((wasm, beside(&entry.signature, plain).await?))
            }
            Source::Oci(reference) => oci::pull(&oci::Reference::parse(reference)?, plain).await,
        }
    }
}

fn hint(source: &str, why: &str) -> String {
    let hint = if why.contains("is not encrypted") { ". --allow-http takes it all the same" } else { "" };
    format!("cannot get {source}: {why}{hint}")
}

/// The address of a signature: before the query, if there is one.
fn signature_of(url: &str) -> String {
    match url.split_once('?') {
        Some((path, query)) => format!("{path}.minisig?{query}"),
        None => format!("{url}.minisig"),
    }
}

/// A signature, if there is one.
async fn beside(url: &str, plain: Plain) -> Result<Option<String>, String> {
    let answer = Get::new(url, plain).send().await.map_err(|why| format!("its signature {url}: {why}"))?;
    if matches!(answer.status(), 404 | 410) {
        return Ok(None);
    }
    let read = async { answer.success()?.read(LONGEST_SIGNATURE).await };
    let bytes = read.await.map_err(|why| format!("its signature {url}: {why}"))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

async fn file(path: &std::path::Path) -> Result<(Bytes, Option<String>), String> {
    let wasm = bounded(path, LONGEST).await?.ok_or("there is no such file")?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".minisig");
    let signature = bounded(beside.as_ref(), LONGEST_SIGNATURE).await?;
    Ok((wasm, signature.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())))
}

/// `None`: it is not there.
async fn bounded(path: &std::path::Path, most: usize) -> Result<Option<Bytes>, String> {
    use tokio::io::AsyncReadExt as _;
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).await.map_err(failed)?;
    match bytes.len() > most {
        true => Err(format!("{} has more than {most} bytes", path.display())),
        false => Ok(Some(bytes.into())),
    }
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
