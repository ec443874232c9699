//! The storage backends, each behind its marker: a folder that is not mounted, or another library's, is not written.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use blobs::{Blob, Blobs, Inbox, Object, StorageBackend, StorageError, Stored};
use bytes::Bytes;
use plugin_host::{PluginHost, read_manifest};
use serde_json::json;
use store::Store;

use crate::settings::Backend;
use crate::{Settings, grants};

const MARKER: &str = ".latent";
const WORDS: &str = "This folder belongs to a Latent library. Without this file nothing is written here.\n";
const ID: &str = "library = ";

/// All backends of the settings. `uploads`: this process takes some.
pub async fn open(settings: &Settings, store: &Store, host: &PluginHost, uploads: bool) -> Result<Blobs> {
    let library = library_id(store).await?;
    let mut backends: HashMap<String, Arc<dyn StorageBackend>> = HashMap::new();
    for (name, backend) in &settings.storage.backend {
        let section = || format!("[storage.backend.{name}]");
        let wasm = component(settings, backend).with_context(section)?;
        let mut grant = grants::of_backend(name, backend).with_context(section)?;
        // A backend elsewhere has no folder here.
        if !read_manifest(&wasm).with_context(section)?.requests.files {
            let inner = host.load(wasm, &grant).await.with_context(section)?.storage();
            backends.insert(name.clone(), inner);
            continue;
        }
        let marker = Marker { path: backend.files.join(MARKER), library: library.clone() };
        initialise(store, name, backend, &marker).await.with_context(section)?;
        grant.files = Some(backend.files.clone());
        let inner = host.load(wasm, &grant).await.with_context(section)?.storage();
        backends.insert(name.clone(), Arc::new(Marked { inner, marker }));
    }
    let inbox = if uploads { inbox(settings)? } else { Inbox::none() };
    Ok(Blobs::new(inbox, backends, &settings.storage.originals, &settings.storage.derivatives)?)
}

/// Made once for a database: what it and the markers know each other by.
async fn library_id(store: &Store) -> Result<String> {
    let id = store.fact_or("library", &json!(types::JobId::generate().to_string())).await?;
    Ok(id.as_str().context("the fact \"library\" in the database is no text")?.to_owned())
}

/// Uploads are linked into the library, which is possible within one file system only: the inbox lies beside it, hidden from
/// listings and as well mounted as it is.
fn inbox(settings: &Settings) -> Result<Inbox> {
    let originals = settings.storage.backend.get(&settings.storage.originals);
    let folder = originals.map_or_else(|| settings.data_dir.join("inbox"), |backend| backend.files.join(".inbox"));
    Inbox::open(folder.clone()).with_context(|| format!("the inbox {}", folder.display()))
}

/// Makes the folder and its marker once, ever. A folder that should have a marker and has none is not mounted: nothing may be
/// made in its place.
async fn initialise(store: &Store, name: &str, backend: &Backend, marker: &Marker) -> Result<()> {
    let key = format!("storage.{name}.initialised");
    let known = store.fact(&key).await?.is_some();
    match marker.state()? {
        State::Ours => {}
        State::Missing if known => bail!(
            "{} is missing. It was there before: is the disk mounted? Nothing is written before it is",
            marker.path.display()
        ),
        State::Another => bail!("{}", marker.another()),
        State::Missing => {
            fs::create_dir_all(&backend.files).with_context(|| format!("cannot make {}", backend.files.display()))?;
            if let Some(parent) = backend.files.parent() {
                File::open(parent)?.sync_all()?;
            }
            marker.write()?;
        }
        // Of an earlier version.
        State::Nameless => marker.write()?,
    }
    if !known {
        store.set_fact(&key, &json!({ "files": backend.files })).await?;
    }
    Ok(())
}

fn component(settings: &Settings, backend: &Backend) -> Result<Bytes> {
    let path = settings.kit.join("plugins").join(format!("{}.wasm", backend.plugin));
    Ok(fs::read(&path).with_context(|| format!("cannot read the plugin {}", path.display()))?.into())
}

/// The file that says whose a folder is.
struct Marker {
    path: PathBuf,
    library: String,
}

enum State {
    Ours,
    Missing,
    /// Without an id.
    Nameless,
    Another,
}

impl Marker {
    fn state(&self) -> std::io::Result<State> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::Missing),
            Err(error) => return Err(error),
        };
        Ok(match text.lines().find_map(|line| line.strip_prefix(ID)) {
            None => State::Nameless,
            Some(id) if id.trim() == self.library => State::Ours,
            Some(_) => State::Another,
        })
    }

    /// On disk when this returns: the database will say that it is there.
    fn write(&self) -> Result<()> {
        let written = || -> std::io::Result<()> {
            let staging = self.path.with_extension("new");
            let mut file = File::create(&staging)?;
            writeln!(file, "{WORDS}{ID}{}", self.library)?;
            file.sync_all()?;
            fs::rename(&staging, &self.path)?;
            File::open(self.path.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        written().with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn another(&self) -> String {
        format!(
            "{} belongs to another Latent library: is this the right disk? If it is to become this library's, remove that file",
            self.path.display()
        )
    }

    /// Blocking, of a small file: what it guards costs more.
    fn check(&self) -> Result<(), StorageError> {
        match self.state() {
            Ok(State::Ours | State::Nameless) => Ok(()),
            Ok(State::Another) => Err(StorageError::Unavailable(self.another())),
            Ok(State::Missing) => {
                let path = self.path.display();
                Err(StorageError::Unavailable(format!("{path} is missing: is the disk mounted?")))
            }
            Err(error) => Err(StorageError::Unavailable(format!("{}: {error}", self.path.display()))),
        }
    }
}

/// A backend that is asked whose it is before it is written, and when it does not find something.
struct Marked {
    inner: Arc<dyn StorageBackend>,
    marker: Marker,
}

impl Marked {
    /// An object that is not there, on a disk that is not there, may well be there.
    fn explain<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if matches!(result, Err(StorageError::NotFound(_))) {
            self.marker.check()?;
        }
        result
    }
}

#[async_trait]
impl StorageBackend for Marked {
    async fn put(&self, object: &Object, source: &Blob) -> Result<Stored, StorageError> {
        self.marker.check()?;
        self.inner.put(object, source).await
    }

    async fn find(&self, object: &Object) -> Result<Option<Stored>, StorageError> {
        self.marker.check()?;
        self.inner.find(object).await
    }

    async fn get(&self, location: &str, offset: u64, len: Option<u64>) -> Result<Blob, StorageError> {
        self.explain(self.inner.get(location, offset, len).await)
    }

    async fn head(&self, location: &str) -> Result<Option<Stored>, StorageError> {
        let found = self.explain(self.inner.head(location).await)?;
        if found.is_none() {
            self.marker.check()?;
        }
        Ok(found)
    }

    async fn delete(&self, location: &str) -> Result<(), StorageError> {
        self.marker.check()?;
        self.inner.delete(location).await
    }

    async fn relocate(&self, location: &str, object: &Object) -> Result<Stored, StorageError> {
        self.marker.check()?;
        self.inner.relocate(location, object).await
    }

    async fn check(&self) -> Result<(), StorageError> {
        self.marker.check()?;
        self.inner.check().await
    }

    async fn usage(&self) -> Result<Option<(u64, u64)>, StorageError> {
        self.inner.usage().await
    }
}
