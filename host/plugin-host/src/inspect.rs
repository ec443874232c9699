//! A component that is looked at before anybody lets it run.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::cache::CompileCache;
use crate::engine::Shared;
use crate::grant::Grant;
use crate::http::{Origin, OriginPattern};
use crate::manifest::{Manifest, read_manifest};
use crate::plugin::{LARGEST, compiled};
use crate::worlds::World;
use crate::{BoundSecret, HostError, HttpOrigin, OperatorGrant, SecretText};

/// A component that could be loaded, given what it asks for.
#[derive(Debug, Clone)]
pub struct Inspected {
    pub manifest: Manifest,
    /// SHA-256 of the file, in hex.
    pub digest: String,
}

pub(crate) async fn inspect(shared: &Shared, cache: Arc<CompileCache>, wasm: Bytes) -> Result<Inspected, HostError> {
    if wasm.len() > LARGEST {
        return Err(HostError::TooLarge { len: wasm.len(), most: LARGEST });
    }
    let manifest = read_manifest(&wasm)?;
    let world = World::of(&manifest)?;
    // A schema that this host cannot check; what its settings have to be is seen when there are some.
    if let Err(error @ HostError::Manifest(_)) = manifest.check_settings(&serde_json::Map::new()) {
        return Err(error);
    }
    let mut open = manifest.clone();
    open.settings.schema.clear();
    let grant = Grant::effective(&open, &everything(&open), world)?;
    let (digest, component) = compiled(shared, cache, wasm).await?;
    world.check(&shared.engine, &component, &open, &grant)?;
    world.link(&shared.engine, &component, &open, &grant).map_err(|error| HostError::Lies {
        id: manifest.id.clone(),
        world: manifest.world.clone(),
        why: format!("{error:#}"),
    })?;
    Ok(Inspected { manifest, digest })
}

/// What it asks for, with names made up where an operator would give them. Nothing is opened with it.
fn everything(manifest: &Manifest) -> OperatorGrant {
    let asked = &manifest.requests;
    let http: Vec<HttpOrigin> = asked.http.iter().filter_map(one_of).map(HttpOrigin::from).collect();
    let secret = |name: &String| {
        let origin = http.first()?.origin.clone();
        Some((name.clone(), BoundSecret { value: SecretText::new("made up here"), origin }))
    };
    OperatorGrant {
        files: asked.files.then(|| PathBuf::from("/nonexistent")),
        pixels: asked.pixels,
        secrets: asked.secrets.iter().filter_map(secret).collect(),
        http,
        ..OperatorGrant::default()
    }
}

/// An origin that a pattern is for.
fn one_of(pattern: &OriginPattern) -> Option<Origin> {
    let text = match pattern.to_string() {
        any if any == "*" => "https://made-up.invalid".to_owned(),
        text => text.replace("*.", "made-up.").replace('*', "made-up.invalid"),
    };
    text.parse().ok()
}
