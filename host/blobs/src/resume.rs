//! A body that arrives from a backend and breaks off is read on from there: a network is not as sure as a disk.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;

use crate::{Blob, StorageBackend, StorageError};

/// How often one object is asked for again.
const TRIES: u32 = 5;
/// Bytes that are taken at once.
const CHUNK: u64 = 256 << 10;

struct Reading {
    backend: Arc<dyn StorageBackend>,
    path: String,
    /// Where the blob began, and how long it was.
    from: u64,
    len: u64,
    /// What was got of it.
    got: u64,
    blob: Blob,
    /// Where the present blob begins in the whole.
    base: u64,
    tries: u32,
}

/// What the backend gave for `len` bytes from `from`, which goes on where it breaks off.
pub fn resuming(backend: Arc<dyn StorageBackend>, path: &str, from: u64, blob: Blob) -> Blob {
    let Some(len) = blob.known_len().filter(|_| !blob.is_seekable()) else { return blob };
    let media_type = blob.media_type().map(str::to_owned);
    let reading = Reading { backend, path: path.into(), from, len, got: 0, blob, base: 0, tries: 0 };
    let resumed = Blob::arriving(stream(reading), Some(len));
    match media_type {
        Some(media_type) => resumed.with_media_type(&media_type),
        None => resumed,
    }
}

fn stream(reading: Reading) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures::stream::try_unfold(reading, |mut reading| async move {
        if reading.got == reading.len {
            return Ok(None);
        }
        loop {
            match reading.blob.next(reading.got - reading.base, CHUNK).await {
                Ok(chunk) if !chunk.is_empty() => {
                    reading.got += chunk.len() as u64;
                    return Ok(Some((chunk, reading)));
                }
                Ok(_) => reading.again(&io::ErrorKind::UnexpectedEof.into()).await?,
                Err(error) => reading.again(&error).await?,
            }
        }
    })
}

impl Reading {
    async fn again(&mut self, why: &io::Error) -> io::Result<()> {
        self.tries += 1;
        if self.tries >= TRIES {
            return Err(io::Error::new(why.kind(), format!("{} broke off {TRIES} times: {why}", self.path)));
        }
        tracing::debug!(path = self.path, got = self.got, %why, "A body broke off; reading on");
        let left = self.len - self.got;
        let blob = self.backend.get(&self.path, self.from + self.got, Some(left)).await.map_err(io_error)?;
        if blob.known_len() != Some(left) {
            return Err(io::Error::other(format!("{} has another length than before", self.path)));
        }
        (self.blob, self.base) = (blob, self.got);
        Ok(())
    }
}

fn io_error(error: StorageError) -> io::Error {
    match error {
        StorageError::NotFound(_) => io::Error::new(io::ErrorKind::NotFound, error.to_string()),
        other => io::Error::other(other.to_string()),
    }
}
