//! Keeps objects as files below the granted directory, in the layout that people know from Immich.

pub mod path;

use latent_plugin::storage::{Blob, Class, Entry, Error, Object, Storage, Stored, files};
use serde::Deserialize;

use crate::path::Template;

/// Says that a folder is ours. Written at the first start; when it is gone, the disk is not mounted.
const MARKER: &str = ".latent";
/// Names tried before a file of another content is an error: `IMG_1234+1.jpg`, `IMG_1234+2.jpg`, ...
const COLLISIONS: u32 = 1_000;
/// Names without a file that are passed by in looking for one: a file with an earlier name may have been deleted since.
const GAPS: u32 = 8;

/// The operator's settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    template: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { template: "library/{owner}/{yyyy}/{yyyy}-{mm}-{dd}/{name}".into() }
    }
}

/// The plugin.
pub struct Local {
    template: Template,
}

impl Storage for Local {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self { template: Template::parse(&settings.template).map_err(Error::Invalid)? })
    }

    fn put(&self, object: Object, src: &Blob) -> Result<Stored, Error> {
        self.check()?;
        if may_collide(object.class)
            && let Some(entry) = self.search(&object, src.len())?
        {
            return Ok(stored(entry));
        }
        let durable = object.class != Class::Derivative;
        for path in self.candidates(&object) {
            match files::place(&path, src, &object.sha256, durable) {
                Ok(entry) => return Ok(stored(entry)),
                Err(Error::Exists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Exists(format!("{COLLISIONS} other files have the name of {}", object.file_name)))
    }

    fn find(&self, object: Object) -> Result<Option<Stored>, Error> {
        self.check()?;
        Ok(self.search(&object, None)?.map(stored))
    }

    fn get(&self, location: String, offset: u64, len: Option<u64>) -> Result<Blob, Error> {
        match files::open(&location, offset, len) {
            // On a disk that is not mounted nothing is found, which does not mean that it is gone.
            Err(Error::NotFound(text)) => self.check().and(Err(Error::NotFound(text))),
            other => other,
        }
    }

    fn head(&self, location: String) -> Result<Option<Stored>, Error> {
        match files::stat(&location)? {
            None => self.check().map(|()| None),
            found => Ok(found.map(stored)),
        }
    }

    fn delete(&self, location: String) -> Result<(), Error> {
        self.check()?;
        files::remove(&location)
    }

    fn relocate(&self, location: String, object: Object) -> Result<Stored, Error> {
        self.check()?;
        for path in self.candidates(&object) {
            if path == location {
                break;
            }
            match files::rename(&location, &path) {
                Ok(()) => return files::stat(&path)?.map(stored).ok_or(Error::NotFound(path)),
                Err(Error::Exists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        files::stat(&location)?.map(stored).ok_or(Error::NotFound(location))
    }

    fn list(&self, after: Option<String>, limit: u32) -> Result<Vec<Stored>, Error> {
        Ok(files::list("", after.as_deref(), limit)?.into_iter().map(stored).collect())
    }

    fn check(&self) -> Result<(), Error> {
        match files::stat(MARKER)? {
            Some(_) => Ok(()),
            None => Err(Error::Unavailable(format!(
                "the folder holds no {MARKER}: either its disk is not mounted, or it is not a library of Latent. Nothing is written"
            ))),
        }
    }

    fn usage(&self) -> Result<Option<(u64, u64)>, Error> {
        files::usage().map(Some)
    }
}

impl Local {
    /// The file that holds the object, under whichever of its names. `len` of the object, where it is known, saves reading others.
    fn search(&self, object: &Object, len: Option<u64>) -> Result<Option<Entry>, Error> {
        let mut gaps = 0;
        for path in self.candidates(object) {
            match files::stat(&path)? {
                Some(entry) if len.is_some_and(|len| len != entry.len) => gaps = 0,
                Some(entry) if files::open(&path, 0, None)?.sha256()? == object.sha256 => return Ok(Some(entry)),
                Some(_) => gaps = 0,
                None if gaps == GAPS || !may_collide(object.class) => return Ok(None),
                None => gaps += 1,
            }
        }
        Ok(None)
    }

    /// Where the object may lie, best first.
    fn candidates(&self, object: &Object) -> impl Iterator<Item = String> {
        let owner = object.owner_label.as_deref().unwrap_or(&object.owner);
        let path = match object.class {
            Class::Original => self.template.path(owner, object.taken_ms, &object.file_name),
            Class::Derivative => path::spread("thumbs", &object.owner, &object.key, &object.file_name),
            Class::EncodedVideo => path::spread("encoded-video", &object.owner, &object.key, &object.file_name),
            Class::Profile => path::flat("profile", &object.owner, &object.file_name),
            Class::Sidecar => self.template.path(owner, object.taken_ms, &object.file_name),
            Class::Backup => path::flat("backups", "", &object.file_name),
        };
        (0..COLLISIONS).map(move |number| path::numbered(&path, number))
    }
}

/// What is made of an asset has the asset's key in its name; other files have the names that people gave them.
fn may_collide(class: Class) -> bool {
    !matches!(class, Class::Derivative | Class::EncodedVideo)
}

fn stored(entry: Entry) -> Stored {
    Stored { location: entry.path, len: entry.len, etag: None, modified_ms: Some(entry.modified_ms) }
}

#[cfg(target_family = "wasm")]
latent_plugin::export_storage!(Local);
