//! Compiled code on disk, sealed: a forged entry is compiled again, never run.

use std::fs;
use std::hash::{Hash as _, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rand::RngCore as _;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::HostError;

const KEY_LEN: usize = 32;
const MAC_LEN: usize = 32;

/// A folder of compiled components.
pub struct CompileCache {
    dir: PathBuf,
    /// Of this installation: nobody else can seal an entry.
    key: [u8; KEY_LEN],
}

impl CompileCache {
    /// Makes the folder (0700) and its key (0600) where they are missing, and closes to others what they could read or write.
    /// Refuses a folder of somebody else.
    pub fn open(dir: &Path) -> Result<Self, HostError> {
        let failed = |error: io::Error| HostError::Cache { path: dir.to_path_buf(), why: error.to_string() };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let metadata = fs::metadata(dir).map_err(failed)?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            let why = "it belongs to another user, so compiled code in it cannot be trusted".into();
            return Err(HostError::Cache { path: dir.to_path_buf(), why });
        }
        let was_open = metadata.mode() & 0o022 != 0;
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        let path = dir.join("key");
        if was_open {
            tracing::warn!(dir = %dir.display(), "Others could write to compiled plugins; they are compiled again, under a new key");
            remove(&path).map_err(failed)?;
        }
        Ok(Self { dir: dir.to_path_buf(), key: key(&path).map_err(failed)? })
    }

    /// The compiled component, from the cache where a sealed entry of this engine is there.
    pub fn component(&self, engine: &Engine, digest: &str, wasm: &[u8]) -> Result<Component, HostError> {
        let name = format!("{digest}-{:016x}", compatibility(engine));
        let path = self.dir.join(&name);
        if let Some(component) = self.read(engine, &path, &name) {
            return Ok(component);
        }
        let component = Component::new(engine, wasm).map_err(|error| HostError::NotAComponent(format!("{error:#}")))?;
        if let Err(error) = self.write(&component, &path, &name) {
            tracing::warn!(path = %path.display(), %error, "Cannot keep a compiled plugin; it will be compiled at each start");
        }
        Ok(component)
    }

    fn read(&self, engine: &Engine, path: &Path, name: &str) -> Option<Component> {
        let bytes = fs::read(path).ok()?;
        let (mac, code) = bytes.split_at_checked(MAC_LEN)?;
        // A comparison of blake3::Hash takes the same time whatever differs.
        if self.mac(name, code) != blake3::Hash::from_bytes(mac.try_into().ok()?) {
            tracing::warn!(path = %path.display(), "A compiled plugin is not sealed by this installation; compiling it again");
            return None;
        }
        // SAFETY: the very bytes in memory were sealed with the key of this installation, so `Component::serialize` of this
        // engine version made them; the name, which is sealed too, holds the engine's compatibility hash.
        unsafe { Component::deserialize(engine, code) }.ok()
    }

    fn write(&self, component: &Component, path: &Path, name: &str) -> io::Result<()> {
        let code = component.serialize().map_err(|error| io::Error::other(format!("{error:#}")))?;
        let mut bytes = self.mac(name, &code).as_bytes().to_vec();
        bytes.extend(code);
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        io::Write::write_all(&mut file, &bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    fn mac(&self, name: &str, code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(name.as_bytes());
        hasher.update(&[0]);
        hasher.update(code);
        hasher.finalize()
    }
}

/// The key of this installation. One that is no key, or that others could read, makes way for a new one: what was sealed with
/// it is compiled again.
fn key(path: &Path) -> io::Result<[u8; KEY_LEN]> {
    match sound_key(path) {
        Ok(Some(key)) => return Ok(key),
        Ok(None) => {
            tracing::warn!(path = %path.display(), "The key of compiled plugins cannot be used; a new one is made");
            remove(path)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut key = [0; KEY_LEN];
    rand::rng().fill_bytes(&mut key);
    let folder = path.parent().unwrap_or(Path::new("."));
    // 0600 from the start, whole from the start: another process may look for it at any moment.
    let mut file = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o600)).tempfile_in(folder)?;
    io::Write::write_all(&mut file, &key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => fs::File::open(folder)?.sync_all().map(|()| key),
        // Another process was quicker.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            sound_key(path)?.ok_or_else(|| io::Error::other("two processes make its key at once: start again"))
        }
        Err(error) => Err(error.error),
    }
}

/// `None`: it is not a key of ours, or others may know it.
fn sound_key(path: &Path) -> io::Result<Option<[u8; KEY_LEN]>> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() || metadata.mode() & 0o077 != 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Ok(None);
    }
    Ok(fs::read(path)?.try_into().ok())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Changes with wasmtime's version and with every setting that changes code.
fn compatibility(engine: &Engine) -> u64 {
    struct Blake(blake3::Hasher);
    impl Hasher for Blake {
        fn finish(&self) -> u64 {
            let bytes = *self.0.finalize().as_bytes();
            u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut hasher = Blake(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}
