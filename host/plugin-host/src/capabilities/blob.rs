//! `blob`: bytes behind handles.

use blobs::Blob;
use sha2::{Digest as _, Sha256};
use wasmtime::Result;
use wasmtime::component::Resource;

use super::io_error;
use crate::bindings::latent::plugin::blob::{Host, HostBlob};
use crate::bindings::latent::plugin::types::Error;
use crate::instance::HostState;

impl Host for HostState {}

impl HostBlob for HostState {
    async fn len(&mut self, this: Resource<Blob>) -> Result<Option<u64>> {
        Ok(Some(self.table.get(&this)?.len()))
    }

    async fn seekable(&mut self, this: Resource<Blob>) -> Result<bool> {
        self.table.get(&this)?;
        Ok(true)
    }

    async fn media_type(&mut self, this: Resource<Blob>) -> Result<Option<String>> {
        Ok(self.table.get(&this)?.media_type().map(str::to_owned))
    }

    async fn read(&mut self, this: Resource<Blob>, offset: u64, len: u32) -> Result<Result<Vec<u8>, Error>> {
        let blob = self.table.get(&this)?;
        if blob.is_from_image() && !self.manifest.requests.pixels {
            return Ok(Err(Error::Denied("bytes made from an image need the grant `pixels`".into())));
        }
        let part = blob.slice(offset, u64::from(len.min(self.grant.chunk)));
        match part.read().await {
            Ok(bytes) => {
                self.copied += bytes.len() as u64;
                Ok(Ok(bytes.to_vec()))
            }
            Err(error) => Ok(Err(io_error("a blob", &error))),
        }
    }

    async fn slice(&mut self, this: Resource<Blob>, offset: u64, len: u64) -> Result<Result<Resource<Blob>, Error>> {
        let part = self.table.get(&this)?.slice(offset, len);
        Ok(Ok(self.table.push(part)?))
    }

    async fn sha256(&mut self, this: Resource<Blob>) -> Result<Result<Vec<u8>, Error>> {
        let blob = self.table.get(&this)?.clone();
        let digest = tokio::task::spawn_blocking(move || digest(&blob)).await?;
        Ok(digest.map_err(|error| io_error("a blob", &error)))
    }

    async fn drop(&mut self, this: Resource<Blob>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

/// SHA-256 without holding more than a piece in memory.
pub(super) fn digest(blob: &Blob) -> std::io::Result<Vec<u8>> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut at = 0;
    while at < blob.len() {
        let n = blob.read_at(at, &mut buffer)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&buffer[..n]);
        at += n as u64;
    }
    Ok(hasher.finalize().to_vec())
}
