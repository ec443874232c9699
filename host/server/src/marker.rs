//! Whose a storage is: a text that the first start leaves in it, with the id of this library. Nothing is written to one that is
//! another library's, or that has lost its marker: then it is not mounted, or not the bucket that it was.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use blobs::{Blob, Object, StorageBackend, StorageError, Stored};
use serde_json::{Value, json};
use store::Store;

/// The marker of a folder.
pub const MARKER: &str = ".latent";
const WORDS: &str = "This place belongs to a Latent library. Without this file nothing is written here.\n";
const ID: &str = "library = ";
/// A storage elsewhere that was ours is believed to be ours for so long: to ask costs a request.
const BELIEVED: Duration = Duration::from_secs(30);

/// The marker of a backend, and how to look at it.
pub struct Marker {
    /// Of the backend.
    name: String,
    library: String,
    store: Store,
    place: Place,
}

enum Place {
    Folder(PathBuf),
    /// The plugin keeps it. With when it was last seen.
    Elsewhere(Arc<dyn StorageBackend>, Mutex<Option<Instant>>),
}

enum State {
    Ours,
    Missing,
    /// Without an id: of an earlier version.
    Nameless,
    Another,
}

impl Marker {
    /// Of a backend that keeps files in a folder of this machine.
    pub fn of_folder(name: &str, library: &str, store: &Store, folder: &Path) -> Self {
        let place = Place::Folder(folder.join(MARKER));
        Self { name: name.into(), library: library.into(), store: store.clone(), place }
    }

    /// Of one that keeps objects elsewhere.
    pub fn of_plugin(name: &str, library: &str, store: &Store, inner: &Arc<dyn StorageBackend>) -> Self {
        let place = Place::Elsewhere(inner.clone(), Mutex::default());
        Self { name: name.into(), library: library.into(), store: store.clone(), place }
    }

    /// Leaves the marker once, ever. A place that should have one and has none is not the place: nothing may be made there.
    pub async fn initialise(&self) -> Result<(), StorageError> {
        let key = format!("storage.{}.initialised", self.name);
        let fact = self.store.fact(&key).await.map_err(|error| StorageError::Unavailable(error.to_string()))?;
        match self.state().await? {
            State::Ours => {}
            State::Missing if fact.is_some() => return Err(StorageError::Unavailable(self.missing())),
            State::Another => return Err(StorageError::Unavailable(self.another())),
            State::Missing | State::Nameless => {
                // Some services make a bucket that is written to and is not there.
                if let Place::Elsewhere(inner, _) = &self.place {
                    inner.check().await?;
                }
                self.write().await?;
                // Where two libraries came at once, one of them sees the other's.
                if !matches!(self.state().await?, State::Ours) {
                    return Err(StorageError::Unavailable(self.another()));
                }
            }
        }
        if fact.is_none() {
            let noted = self.store.set_fact(&key, &self.described()).await;
            noted.map_err(|error| StorageError::Unavailable(error.to_string()))?;
        }
        Ok(())
    }

    /// Is the place there, and is it ours? Of one elsewhere that was asked a moment ago, what it said.
    async fn check(&self) -> Result<(), StorageError> {
        if let Place::Elsewhere(_, seen) = &self.place
            && lock(seen).is_some_and(|seen| seen.elapsed() < BELIEVED)
        {
            return Ok(());
        }
        self.look().await
    }

    /// The same, asked now.
    async fn look(&self) -> Result<(), StorageError> {
        let state = self.state().await;
        if let Place::Elsewhere(_, seen) = &self.place {
            *lock(seen) = matches!(state, Ok(State::Ours)).then(Instant::now);
        }
        match (state?, &self.place) {
            (State::Ours, _) | (State::Nameless, Place::Folder(_)) => Ok(()),
            (State::Another, _) => Err(StorageError::Unavailable(self.another())),
            (State::Missing, Place::Folder(_)) => Err(StorageError::Unavailable(self.missing())),
            // It could not be reached when this process started, and this may be the first time that it can.
            (State::Missing | State::Nameless, Place::Elsewhere(..)) => Box::pin(self.initialise()).await,
        }
    }

    async fn state(&self) -> Result<State, StorageError> {
        let text = match &self.place {
            // Blocking, of a small file: what it guards costs more.
            Place::Folder(path) => match fs::read_to_string(path) {
                Ok(text) => Some(text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(StorageError::Unavailable(format!("{}: {error}", path.display()))),
            },
            Place::Elsewhere(inner, _) => inner.marker().await?,
        };
        let Some(text) = text else { return Ok(State::Missing) };
        Ok(match text.lines().find_map(|line| line.strip_prefix(ID)) {
            None => State::Nameless,
            Some(id) if id.trim() == self.library => State::Ours,
            Some(_) => State::Another,
        })
    }

    /// Durable when this returns: the database will say that it is there.
    async fn write(&self) -> Result<(), StorageError> {
        let text = format!("{WORDS}{ID}{}\n", self.library);
        match &self.place {
            Place::Folder(path) => write(path, &text)
                .map_err(|error| StorageError::Unavailable(format!("cannot write {}: {error}", path.display()))),
            Place::Elsewhere(inner, _) => inner.mark(&text).await,
        }
    }

    fn described(&self) -> Value {
        match &self.place {
            Place::Folder(path) => json!({ "files": path.parent() }),
            Place::Elsewhere(..) => json!({}),
        }
    }

    fn missing(&self) -> String {
        match &self.place {
            Place::Folder(path) => format!(
                "{} is missing. It was there before: is the disk mounted? Nothing is written before it is",
                path.display()
            ),
            Place::Elsewhere(..) => format!(
                "the marker {MARKER} of {} is missing. It was there before: is this the right bucket and prefix? Nothing is \
                 written before it is",
                self.name
            ),
        }
    }

    fn another(&self) -> String {
        match &self.place {
            Place::Folder(path) => format!(
                "{} belongs to another Latent library: is this the right disk? If it is to become this library's, remove that file",
                path.display()
            ),
            Place::Elsewhere(..) => format!(
                "{} belongs to another Latent library: is this the right bucket and prefix? If it is to become this library's, \
                 remove its object {MARKER}",
                self.name
            ),
        }
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    if let Some(parent) = folder.parent() {
        File::open(parent)?.sync_all()?;
    }
    let staging = path.with_extension("new");
    let mut file = File::create(&staging)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&staging, path)?;
    File::open(folder)?.sync_all()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A backend that is asked whose it is before it is written, and when it does not find something.
pub struct Marked {
    pub inner: Arc<dyn StorageBackend>,
    pub marker: Marker,
}

impl Marked {
    /// An object that is not there, on a disk that is not there, may well be there.
    async fn explain<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if matches!(result, Err(StorageError::NotFound(_))) {
            self.marker.check().await?;
        }
        result
    }
}

#[async_trait]
impl StorageBackend for Marked {
    async fn put(&self, object: &Object, source: &Blob) -> Result<Stored, StorageError> {
        self.marker.check().await?;
        self.inner.put(object, source).await
    }

    async fn find(&self, object: &Object) -> Result<Option<Stored>, StorageError> {
        self.marker.check().await?;
        self.inner.find(object).await
    }

    async fn get(&self, location: &str, offset: u64, len: Option<u64>) -> Result<Blob, StorageError> {
        self.explain(self.inner.get(location, offset, len).await).await
    }

    async fn head(&self, location: &str) -> Result<Option<Stored>, StorageError> {
        let found = self.explain(self.inner.head(location).await).await?;
        if found.is_none() {
            self.marker.check().await?;
        }
        Ok(found)
    }

    async fn delete(&self, location: &str) -> Result<(), StorageError> {
        self.marker.check().await?;
        self.inner.delete(location).await
    }

    async fn relocate(&self, location: &str, object: &Object) -> Result<Stored, StorageError> {
        self.marker.check().await?;
        self.inner.relocate(location, object).await
    }

    async fn list(&self, after: Option<&str>, limit: u32) -> Result<Vec<Stored>, StorageError> {
        self.marker.check().await?;
        self.inner.list(after, limit).await
    }

    async fn check(&self) -> Result<(), StorageError> {
        // Of a folder the marker explains more, of a service the service.
        if matches!(self.marker.place, Place::Folder(_)) {
            self.marker.look().await?;
            return self.inner.check().await;
        }
        self.inner.check().await?;
        self.marker.look().await
    }

    async fn marker(&self) -> Result<Option<String>, StorageError> {
        self.inner.marker().await
    }

    async fn mark(&self, text: &str) -> Result<(), StorageError> {
        self.inner.mark(text).await
    }

    async fn presign(&self, location: &str, expires: Duration) -> Result<Option<String>, StorageError> {
        self.inner.presign(location, expires).await
    }

    async fn usage(&self) -> Result<Option<(u64, u64)>, StorageError> {
        self.inner.usage().await
    }
}
