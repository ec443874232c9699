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
        Ok(if self.opaque(blob) { None } else { blob.known_len() })
    }

    async fn seekable(&mut self, this: Resource<HeldBlob>) -> Result<bool> {
        Ok(self.held(&this)?.blob.is_seekable())
    }

    async fn media_type(&mut self, this: Resource<HeldBlob>) -> Result<Option<String>> {
        Ok(self.held(&this)?.blob.media_type().map(str::to_owned))
    }

    async fn read(&mut self, this: Resource<HeldBlob>, offset: u64, len: u32) -> Answer<Vec<u8>> {
        let held = self.held(&this)?;
        let (blob, is_answer) = (&held.blob, held.is_answer);
        if self.opaque(blob) {
            return Ok(Err(self.denied("reading bytes that were made from an image")));
        }
        if !blob.is_seekable() {
            return self.read_on(blob.clone(), is_answer, offset, len).await;
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
        if !blob.is_seekable() {
            return Ok(Err(Error::Unsupported("the hash of what arrives: it can be read once".into())));
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
    /// Reads on in what arrives, until there is as much as was asked for or no more.
    async fn read_on(&mut self, blob: Blob, is_answer: bool, offset: u64, len: u32) -> Answer<Vec<u8>> {
        let most = len.min(self.common.grant.chunk) as usize;
        let read = async move {
            let mut bytes = Vec::new();
            while bytes.len() < most {
                let chunk = blob.next(offset + bytes.len() as u64, (most - bytes.len()) as u64).await?;
                if chunk.is_empty() {
                    break;
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok::<_, std::io::Error>(bytes)
        };
        match self.in_time(read).await {
            Ok(Ok(bytes)) => {
                let count = if is_answer { &mut self.usage.messages } else { &mut self.usage.payload };
                *count += bytes.len() as u64;
                Ok(Ok(bytes))
            }
            Ok(Err(error)) => Ok(Err(transfer_error(&error))),
            Err(late) => Ok(Err(late)),
        }
    }

    /// May the guest not know what the bytes are?
    pub(super) fn opaque(&self, blob: &Blob) -> bool {
        blob.is_from_image() && !self.common.grant.pixels
    }

    fn denied(&self, what: &str) -> Error {
        Error::Denied(format!("{what} needs the grant `pixels`"))
    }
}

/// Why what arrives did not: the other side broke off, unless the guest asked for what has passed.
pub(super) fn transfer_error(error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::InvalidInput => Error::Invalid(error.to_string()),
        std::io::ErrorKind::TimedOut => Error::Timeout,
        std::io::ErrorKind::FileTooLarge => Error::Limit(error.to_string()),
        _ => Error::Unavailable("the transfer broke off".into()),
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
