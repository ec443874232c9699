//! `files`: the directory that was granted, as a guest uses it.

use std::io;

use wasmtime::component::Resource;

use super::io_error;
use crate::bindings::lent::latent::plugin::files::{Entry, Host};
use crate::bindings::lent::latent::plugin::types::Error;
use crate::directory::{self, Directory};
use crate::held::HeldBlob;
use crate::instance::{Answer, HostState};
use crate::text::clean;

const LONGEST_LIST: u32 = 1_000;
/// Characters of a path in an error.
const SHOWN: usize = 200;

impl Host for HostState {
    async fn place(
        &mut self,
        path: String,
        src: Resource<HeldBlob>,
        // The bytes themselves are compared: whoever gives them may be wrong about their hash.
        _sha256: Vec<u8>,
        durable: bool,
    ) -> Answer<Entry> {
        let source = self.held(&src)?.blob.clone();
        let placed = self.on_directory(path, move |directory, path| directory.place(path, &source, durable)).await?;
        Ok(placed.map(entry))
    }

    async fn open(&mut self, path: String, offset: u64, len: Option<u64>) -> Answer<Resource<HeldBlob>> {
        let file = match self.charge_file() {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        match self.on_directory(path, move |directory, path| directory.open(path, offset, len)).await? {
            Ok(blob) => self.hold(HeldBlob::file(blob, file)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn stat(&mut self, path: String) -> Answer<Option<Entry>> {
        let found = self.on_directory(path, Directory::stat).await?;
        Ok(found.map(|found| found.map(entry)))
    }

    async fn rename(&mut self, path: String, to: String) -> Answer<()> {
        self.on_directory(path, move |directory, path| directory.rename(path, &to)).await
    }

    async fn remove(&mut self, path: String) -> Answer<()> {
        self.on_directory(path, Directory::remove).await
    }

    async fn list(&mut self, prefix: String, after: Option<String>, limit: u32) -> Answer<Vec<Entry>> {
        let limit = limit.min(LONGEST_LIST) as usize;
        let listed =
            self.on_directory(prefix, move |directory, prefix| directory.list(prefix, after.as_deref(), limit)).await?;
        Ok(listed.map(|entries| entries.into_iter().map(entry).collect()))
    }

    async fn usage(&mut self) -> Answer<(u64, u64)> {
        self.on_directory(String::new(), |directory, _| directory.usage()).await
    }
}

impl HostState {
    async fn on_directory<T: Send + 'static>(
        &mut self,
        path: String,
        work: impl FnOnce(&Directory, &str) -> io::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let Some(directory) = self.common.directory.clone() else {
            return Ok(Err(Error::Denied("no directory was granted".into())));
        };
        let shown = clean(&path, SHOWN);
        let done = self.io(move || work(&directory, &path)).await?;
        Ok(done.map_err(|error| match error.kind() {
            // The folder itself is gone: an unmounted disk, not a missing object.
            io::ErrorKind::NotConnected => Error::Unavailable(error.to_string()),
            io::ErrorKind::InvalidInput => Error::Invalid(format!("the path {shown:?}: {error}")),
            _ => io_error(&shown, &error),
        }))
    }
}

fn entry(entry: directory::Entry) -> Entry {
    Entry { path: entry.path, len: entry.len, modified_ms: entry.modified_ms }
}
