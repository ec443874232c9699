//! A component that is looked at before anybody lets it run.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::cache::CompileCache;
use crate::engine::Shared;
use crate::grant::Grant;
use crate::manifest::{Manifest, read_manifest};
use crate::plugin::{LARGEST, compiled};
use crate::worlds::World;
use crate::{HostError, OperatorGrant};

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
    world.link(&shared.engine, &component).map_err(|error| HostError::Lies {
        id: manifest.id.clone(),
        world: manifest.world.clone(),
        why: format!("{error:#}"),
    })?;
    Ok(Inspected { manifest, digest })
}

/// What it asks for. Nothing is opened with it.
fn everything(manifest: &Manifest) -> OperatorGrant {
    OperatorGrant {
        files: manifest.requests.files.then(|| PathBuf::from("/nonexistent")),
        pixels: manifest.requests.pixels,
        ..OperatorGrant::default()
    }
}
