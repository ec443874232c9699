//! `blob`: bytes behind handles.

use blobs::Blob;
use sha2::{Digest as _, Sha256};
use wasmtime::Result;
use wasmtime::component::Resource;

use super::io_error;
use crate::bindings::lent::latent::plugin::blob::{Host, HostBlob};
use crate::bindings::lent::latent::plugin::types::Error;
use crate::held::HeldBlob;
use crate::instance::{Answer, HostState};

impl Host for HostState {}

impl HostBlob for HostState {
    /// How long an encoded image is tells how much there is to see in it.
    async fn len(&mut self, this: Resource<HeldBlob>) -> Result<Option<u64>> {
        let blob = &self.held(&this)?.blob;
        Ok(if self.opaque(blob) { None } else { Some(blob.len()) })
    }

    async fn seekable(&mut self, this: Resource<HeldBlob>) -> Result<bool> {
        self.held(&this)?;
        Ok(true)
    }

    async fn media_type(&mut self, this: Resource<HeldBlob>) -> Result<Option<String>> {
        Ok(self.held(&this)?.blob.media_type().map(str::to_owned))
    }

    async fn read(&mut self, this: Resource<HeldBlob>, offset: u64, len: u32) -> Answer<Vec<u8>> {
        let blob = &self.held(&this)?.blob;
        if self.opaque(blob) {
            return Ok(Err(self.denied("reading bytes that were made from an image")));
        }
        let part = blob.slice(offset, u64::from(len.min(self.common.grant.chunk)));
        let read = match part.resident_len() as u64 == part.len() {
            true => part.read_blocking(),
            false => self.io(move || part.read_blocking()).await?,
        };
        match read {
            Ok(bytes) => {
                self.usage.payload += bytes.len() as u64;
                Ok(Ok(bytes.to_vec()))
            }
            Err(error) => Ok(Err(io_error("a blob", &error))),
        }
    }

    async fn slice(&mut self, this: Resource<HeldBlob>, offset: u64, len: u64) -> Answer<Resource<HeldBlob>> {
        let held = self.held(&this)?;
        if self.opaque(&held.blob) {
            return Ok(Err(self.denied("a part of bytes that were made from an image")));
        }
        let part = held.slice(offset, len);
        self.hold(part)
    }

    async fn sha256(&mut self, this: Resource<HeldBlob>) -> Answer<Vec<u8>> {
        let blob = self.held(&this)?.blob.clone();
        // The hash of a picture of one pixel tells the pixel to whoever tries all colours.
        if self.opaque(&blob) {
            return Ok(Err(self.denied("the hash of bytes that were made from an image")));
        }
        let digest = self.work(blob.len().max(1 << 20), move || digest(&blob)).await?;
        Ok(digest.map_err(|error| io_error("a blob", &error)))
    }

    async fn drop(&mut self, this: Resource<HeldBlob>) -> Result<()> {
        self.take(this)?;
        Ok(())
    }
}

impl HostState {
    /// May the guest not know what the bytes are?
    fn opaque(&self, blob: &Blob) -> bool {
        blob.is_from_image() && !self.common.grant.pixels
    }

    fn denied(&self, what: &str) -> Error {
        Error::Denied(format!("{what} needs the grant `pixels`"))
    }
}

/// SHA-256 without holding more than a piece in memory.
fn digest(blob: &Blob) -> std::io::Result<Vec<u8>> {
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
