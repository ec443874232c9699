//! The storage backends, each behind its marker.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use blobs::{Blobs, Inbox, StorageBackend};
use bytes::Bytes;
use plugin_host::{PluginHost, read_manifest};
use serde_json::json;
use store::Store;

use crate::marker::{Marked, Marker};
use crate::settings::Backend;
use crate::{Settings, grants};

/// All backends of the settings. `uploads`: this process takes some.
///
/// A folder that is not there ends the start: it is on this machine, and somebody is there to mount it. A service that is not
/// there does not: it comes back by itself, and is looked at again when it is needed.
pub async fn open(settings: &Settings, store: &Store, host: &PluginHost, uploads: bool) -> Result<Blobs> {
    let library = library_id(store).await?;
    let mut backends: HashMap<String, Arc<dyn StorageBackend>> = HashMap::new();
    let mut originals_in = None;
    for (name, backend) in &settings.storage.backend {
        let section = || format!("[storage.backend.{name}]");
        let wasm = component(settings, backend).with_context(section)?;
        let mut grant = grants::of_backend(name, backend).with_context(section)?;
        let has_folder = read_manifest(&wasm).with_context(section)?.requests.files;
        let (inner, marker) = if has_folder {
            let marker = Marker::of_folder(name, &library, store, &backend.files);
            marker.initialise().await.with_context(section)?;
            grant.files = Some(backend.files.clone());
            if *name == settings.storage.originals {
                originals_in = Some(backend.files.clone());
            }
            (host.load(wasm, &grant).await.with_context(section)?.storage(), marker)
        } else {
            let inner = host.load(wasm, &grant).await.with_context(section)?.storage();
            let marker = Marker::of_plugin(name, &library, store, &inner);
            if let Err(error) = marker.initialise().await {
                tracing::error!(backend = name, %error, "A storage cannot be used; it is looked at again when it is needed");
            }
            (inner, marker)
        };
        backends.insert(name.clone(), Arc::new(Marked { inner, marker }));
    }
    let inbox = if uploads { inbox(settings, originals_in)? } else { Inbox::none() };
    Ok(Blobs::new(inbox, backends, &settings.storage.originals, &settings.storage.derivatives)?)
}

/// Made once for a database: what it and the markers know each other by.
async fn library_id(store: &Store) -> Result<String> {
    let id = store.fact_or("library", &json!(types::JobId::generate().to_string())).await?;
    Ok(id.as_str().context("the fact \"library\" in the database is no text")?.to_owned())
}

/// Uploads are linked into the library, which is possible within one file system only: the inbox lies beside it, hidden from
/// listings and as well mounted as it is. Of originals that go elsewhere, it lies in the data folder.
fn inbox(settings: &Settings, originals_in: Option<PathBuf>) -> Result<Inbox> {
    let folder = originals_in.map_or_else(|| settings.data_dir.join("inbox"), |folder| folder.join(".inbox"));
    Inbox::open(folder.clone()).with_context(|| format!("the inbox {}", folder.display()))
}

fn component(settings: &Settings, backend: &Backend) -> Result<Bytes> {
    let path = settings.kit.join("plugins").join(format!("{}.wasm", backend.plugin));
    Ok(fs::read(&path).with_context(|| format!("cannot read the plugin {}", path.display()))?.into())
}
