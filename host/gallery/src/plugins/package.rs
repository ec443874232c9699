//! A plugin's one file, looked at.

use bytes::Bytes;
use plugin_host::{Manifest, PluginHost};
use semver::Version;

use crate::{GalleryError, Result};

/// A component that is what its manifest says.
#[derive(Debug, Clone)]
pub struct Package {
    pub wasm: Bytes,
    pub manifest: Manifest,
    pub version: Version,
    /// SHA-256 in hex.
    pub digest: String,
}

impl Package {
    /// Looks at everything that can be looked at without running it.
    ///
    /// # Errors
    /// It is not one, or not what it says; the text says what, and what to do.
    pub async fn open(host: &PluginHost, wasm: Bytes) -> Result<Self> {
        let inspected = host.inspect(wasm.clone()).await.map_err(|error| GalleryError::Invalid(error.to_string()))?;
        let version = Version::parse(&inspected.manifest.version).map_err(|error| {
            let text = &inspected.manifest.version;
            GalleryError::Invalid(format!("the manifest's version {text:?} is none, as 1.2.0 is one: {error}"))
        })?;
        Ok(Self { wasm, manifest: inspected.manifest, version, digest: inspected.digest })
    }
}
