//! Compiled code on disk, sealed: a forged entry is compiled again, never run.

use std::fs;
use std::hash::{Hash as _, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
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
    /// Makes the folder (0700) and its key where they are missing; refuses a folder that others may write to.
    pub fn open(dir: &Path) -> Result<Self, HostError> {
        let failed = |error: io::Error| HostError::Cache { path: dir.to_path_buf(), why: error.to_string() };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let metadata = fs::metadata(dir).map_err(failed)?;
        if metadata.mode() & 0o022 != 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
            let why = "others may write to it, so compiled code in it cannot be trusted: chmod 700 it".into();
            return Err(HostError::Cache { path: dir.to_path_buf(), why });
        }
        Ok(Self { dir: dir.to_path_buf(), key: key(&dir.join("key")).map_err(failed)? })
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

fn key(path: &Path) -> io::Result<[u8; KEY_LEN]> {
    let mut key = [0; KEY_LEN];
    rand::rng().fill_bytes(&mut key);
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            io::Write::write_all(&mut file, &key)?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read(path)?.try_into().map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged: remove it", path.display()))
        }),
        Err(error) => Err(error),
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
