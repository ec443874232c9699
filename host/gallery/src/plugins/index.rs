//! An index: a TOML or JSON document at an address that lists plugins. docs/plugins-lifecycle.md has the format.

use fetch::{Get, Plain};
use semver::Version;
use serde::Deserialize;

const LONGEST: usize = 4 << 20;

#[derive(Debug, Deserialize)]
struct Document {
    #[serde(default)]
    plugin: Vec<Line>,
}

/// A version of a plugin.
#[derive(Debug, Deserialize)]
struct Line {
    id: String,
    version: String,
    /// Relative to the index, or an address.
    file: String,
    sha256: String,
    /// The same; where it is not said, the file's name with `.minisig`.
    signature: Option<String>,
}

/// What an index says of a version.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    pub file: String,
    pub sha256: String,
    pub signature: String,
}

/// The entry of a version; of the highest, where none is named. A pre-release has to be named.
pub async fn find(url: &str, id: &str, version: Option<&str>, plain: Plain) -> Result<Entry, String> {
    let bytes = Get::new(url, plain).send().await?.success()?.read(LONGEST).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "the index is not UTF-8".to_owned())?;
    let document = parse(text)?;
    entry(url, choose(&document, id, version)?)
}

fn parse(text: &str) -> Result<Document, String> {
    let parsed = match text.trim_start().starts_with('{') {
        true => serde_json::from_str(text).map_err(|error| error.to_string()),
        false => toml::from_str(text).map_err(|error| error.to_string()),
    };
    parsed.map_err(|error| format!("the index is no list of plugins: {error}"))
}

fn choose<'a>(document: &'a Document, id: &str, version: Option<&str>) -> Result<&'a Line, String> {
    let versions: Vec<(Version, &Line)> = document
        .plugin
        .iter()
        .filter(|line| line.id == id)
        .filter_map(|line| Some((Version::parse(&line.version).ok()?, line)))
        .collect();
    if versions.is_empty() {
        return Err(format!("the index has no plugin {id}"));
    }
    let found = match version {
        Some(version) => versions.iter().find(|(_, line)| line.version == version),
        None => versions.iter().filter(|(version, _)| version.pre.is_empty()).max_by(|a, b| a.0.cmp(&b.0)),
    };
    let known = || versions.iter().map(|(version, _)| version.to_string()).collect::<Vec<_>>().join(", ");
    let wanted = version.map_or_else(|| "no released version".to_owned(), |version| format!("no version {version}"));
    found.map(|(_, line)| *line).ok_or_else(|| format!("the index has {wanted} of {id}; it has {}", known()))
}

fn entry(url: &str, line: &Line) -> Result<Entry, String> {
    let signature = line.signature.clone().unwrap_or_else(|| format!("{}.minisig", line.file));
    let sha256 = line.sha256.to_lowercase();
    if sha256.len() != 64 || !sha256.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(format!("the index: {:?} of {} {} is no SHA-256 in hex", line.sha256, line.id, line.version));
    }
    Ok(Entry { file: beside(url, &line.file)?, signature: beside(url, &signature)?, sha256 })
}

/// An address relative to the index's own.
fn beside(url: &str, place: &str) -> Result<String, String> {
    if place.contains("://") {
        return Ok(place.to_owned());
    }
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("{url} is no address"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if place.starts_with('/') {
        return Ok(format!("{scheme}://{host}{place}"));
    }
    let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    Ok(format!("{scheme}://{host}/{folder}{place}"))
}
