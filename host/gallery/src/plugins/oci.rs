//! OCI registries: one layer of `application/wasm` under a manifest, in the Wasm layout. Pulls by three GETs; every byte is
//! compared with the digest that names it, because a registry may be anybody's (docs/decisions/0044).

use bytes::Bytes;
use fetch::{Answer, Get, Plain, is_loopback};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::collections::BTreeMap;

use super::source::{LONGEST, sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";
/// Of the manifest or of its layer: the text of the minisign signature.
pub const SIGNATURE: &str = "latent.plugin.minisig";

const LONGEST_MANIFEST: usize = 1 << 20;
const LONGEST_TOKEN: usize = 64 << 10;

/// `host[:port]/repository[:tag][@sha256:…]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    host: String,
    repository: String,
    tag: String,
    /// In hex; it counts where there is one.
    digest: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    media_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Reference {
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("oci://{text}: {what}; write oci://host/repository:tag or …@sha256:…");
        let (host, rest) = text.split_once('/').ok_or_else(|| wrong("it names no repository"))?;
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => {
                let hex = digest.strip_prefix("sha256:").filter(|hex| is_sha256(hex));
                (rest, Some(hex.ok_or_else(|| wrong("its digest is no sha256:…"))?.to_owned()))
            }
            None => (rest, None),
        };
        let (repository, tag) = rest.split_once(':').unwrap_or((rest, "latest"));
        let of = |allowed: &'static str| move |c: char| c.is_ascii_alphanumeric() || allowed.contains(c);
        if host.is_empty() || !host.chars().all(of(".-:[]")) {
            return Err(wrong("its host is none"));
        }
        let parts = |part: &str| !part.is_empty() && part != ".." && part != ".";
        if !repository.split('/').all(parts) || !repository.chars().all(of("._-/")) {
            return Err(wrong("its repository is none"));
        }
        if tag.is_empty() || tag.len() > 128 || !tag.chars().all(of("._-")) {
            return Err(wrong("its tag is none"));
        }
        Ok(Self { host: host.into(), repository: repository.into(), tag: tag.into(), digest })
    }

    /// Registries on this machine speak without encryption.
    fn base(&self, plain: Plain) -> String {
        let name = self.host.rsplit_once(':').map_or(&*self.host, |(name, _)| name);
        let scheme = if is_loopback(name) || plain == Plain::Anywhere { "http" } else { "https" };
        format!("{scheme}://{}/v2/{}", self.host, self.repository)
    }
}

/// The component and its signature, if there is one.
pub async fn pull(reference: &Reference, plain: Plain) -> Result<(Bytes, Option<String>), String> {
    let base = reference.base(plain);
    let wanted = reference.digest.as_ref().map_or_else(|| reference.tag.clone(), |hex| format!("sha256:{hex}"));
    let url = format!("{base}/manifests/{wanted}");
    let (answer, token) = authorized(reference, &url, plain).await?;
    let said = answer.header("docker-content-digest").map(str::to_owned);
    let answer = answer.success().map_err(|why| format!("the manifest: {why}"))?;
    let bytes = answer.read(LONGEST_MANIFEST).await.map_err(|why| format!("the manifest: {why}"))?;
    let pinned = reference.digest.as_ref().map(|hex| format!("sha256:{hex}"));
    for digest in [pinned, said].into_iter().flatten() {
        same("the manifest", &bytes, &digest)?;
    }
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|error| format!("the manifest is none: {error}"))?;
    let layer = layer(&manifest)?;
    let wasm = blob(&base, layer, token.as_deref(), plain).await.map_err(|why| format!("the layer: {why}"))?;
    let signature = layer.annotations.get(SIGNATURE).or_else(|| manifest.annotations.get(SIGNATURE));
    Ok((wasm, signature.cloned()))
}

/// The one layer, if this is a component and not an image.
fn layer(manifest: &Manifest) -> Result<&Descriptor, String> {
    if let Some(kind) = manifest.media_type.as_deref().filter(|kind| *kind != MANIFEST) {
        return Err(format!("it is a {kind}, and a plugin is a {MANIFEST}"));
    }
    let kind = manifest.config.as_ref().map_or("nothing", |config| &*config.media_type);
    if kind != CONFIG {
        return Err(format!("its config is {kind}, so it is no component: that has {CONFIG}"));
    }
    match &manifest.layers[..] {
        [layer] if layer.media_type == LAYER => Ok(layer),
        [layer] => Err(format!("its layer is {}, and that of a component is {LAYER}", layer.media_type)),
        layers => Err(format!("it has {} layers, and a component is one", layers.len())),
    }
}

async fn blob(base: &str, layer: &Descriptor, token: Option<&str>, plain: Plain) -> Result<Bytes, String> {
    if layer.size > LONGEST as u64 {
        return Err(format!("it is {} bytes long; a component has {LONGEST} at most", layer.size));
    }
    if !layer.digest.strip_prefix("sha256:").is_some_and(is_sha256) {
        return Err(format!("its digest {:?} is no sha256:…", layer.digest));
    }
    let url = format!("{base}/blobs/{}", layer.digest);
    let get = Get { authorization: token, ..Get::new(&url, plain) };
    let bytes = get.send().await?.success()?.read(layer.size as usize).await?;
    same("it", &bytes, &layer.digest)?;
    Ok(bytes)
}

fn same(what: &str, bytes: &[u8], digest: &str) -> Result<(), String> {
    let found = format!("sha256:{}", sha256(bytes));
    match found == digest {
        true => Ok(()),
        false => Err(format!("{what} has the digest {found}, not {digest}: the registry serves other bytes")),
    }
}

fn is_sha256(hex: &str) -> bool {
    hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

/// Asks; where the registry wants a token of somebody, gets one for nobody and asks again.
async fn authorized(reference: &Reference, url: &str, plain: Plain) -> Result<(Answer, Option<String>), String> {
    let get = Get { accept: Some(MANIFEST), ..Get::new(url, plain) };
    let answer = get.send().await?;
    if answer.status() != 401 {
        return Ok((answer, None));
    }
    let challenge = answer.header("www-authenticate").unwrap_or_default().to_owned();
    let part = |name: &str| challenge.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split('"').next());
    let (true, Some(realm)) = (challenge.to_lowercase().starts_with("bearer "), part("realm")) else {
        return Err("it wants to know who asks; only what everybody may pull can be installed from there".into());
    };
    let mut address = format!("{realm}?scope={}", encoded(&format!("repository:{}:pull", reference.repository)));
    if let Some(service) = part("service") {
        address += &format!("&service={}", encoded(service));
    }
    let told = Get::new(&address, plain).send().await.and_then(Answer::success);
    let body = told.map_err(|why| format!("a token from {realm}: {why}"))?.read(LONGEST_TOKEN).await?;
    let token: Token = serde_json::from_slice(&body).map_err(|error| format!("a token from {realm}: {error}"))?;
    let token = token.token.or(token.access_token).ok_or_else(|| format!("{realm} gave no token"))?;
    let token = format!("Bearer {token}");
    let answer = Get { authorization: Some(&token), ..get }.send().await?;
    Ok((answer, Some(token)))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
