//! `blob-write`: bytes that a guest puts together, in the host's memory.

use std::sync::Arc;

use blobs::Blob;
use wasmtime::Result;
use wasmtime::component::Resource;

use super::blob::transfer_error;
use super::io_error;
use crate::bindings::lent::latent::plugin::blob_write::{Host, HostWriter};
use crate::held::{HeldBlob, HeldWriter};
use crate::instance::{Answer, HostState, no_room};
use crate::text::clean;

/// Copied from a blob at once.
const PIECE: u64 = 256 << 10;
/// Room is taken in such steps.
const STEP: usize = 64 << 10;

impl Host for HostState {
    async fn create(&mut self, media_type: Option<String>) -> Answer<Resource<HeldWriter>> {
        self.hold(HeldWriter::new(media_type.map(|kind| clean(&kind, 200))))
    }
}

impl HostWriter for HostState {
    async fn write(&mut self, this: Resource<HeldWriter>, bytes: Vec<u8>) -> Answer<()> {
        self.usage.payload += bytes.len() as u64;
        self.append(&this, &bytes)
    }

    async fn splice(
        &mut self,
        this: Resource<HeldWriter>,
        src: Resource<HeldBlob>,
        offset: u64,
        len: u64,
    ) -> Answer<u64> {
        let blob = self.held(&src)?.blob.clone();
        self.writer(&this)?.from_image |= blob.is_from_image();
        let mut done = 0;
        while done < len {
            let most = (len - done).min(PIECE);
            let piece = match self.in_time(blob.next(offset.saturating_add(done), most)).await {
                Ok(Ok(piece)) => piece,
                Ok(Err(error)) if blob.is_seekable() => return Ok(Err(io_error("a blob", &error))),
                Ok(Err(error)) => return Ok(Err(transfer_error(&error))),
                Err(late) => return Ok(Err(late)),
            };
            if piece.is_empty() {
                break;
            }
            if let Err(error) = self.append(&this, &piece)? {
                return Ok(Err(error));
            }
            done += piece.len() as u64;
        }
        // Of what the guest may not know, not even the length.
        Ok(Ok(if self.opaque(&blob) { len } else { done }))
    }

    async fn finish(&mut self, this: Resource<HeldWriter>) -> Answer<Resource<HeldBlob>> {
        self.held(&this)?;
        let HeldWriter { bytes, media_type, from_image, charge, .. } = self.take(this)?;
        let blob = Blob::from_bytes(bytes.freeze());
        let blob = if from_image { blob.mark_from_image() } else { blob };
        let blob = match media_type {
            Some(kind) => blob.with_media_type(&kind),
            None => blob,
        };
        self.hold(HeldBlob::new(blob, charge))
    }

    async fn drop(&mut self, this: Resource<HeldWriter>) -> Result<()> {
        self.take(this)?;
        Ok(())
    }
}

impl HostState {
    fn writer(&mut self, writer: &Resource<HeldWriter>) -> Result<&mut HeldWriter> {
        self.held(writer)?;
        Ok(self.table.get_mut(writer)?)
    }

    /// There is room before it is taken: what a growing buffer copies, too.
    fn append(&mut self, writer: &Resource<HeldWriter>, bytes: &[u8]) -> Answer<()> {
        let held = self.writer(writer)?;
        let wanted = held.bytes.len() + bytes.len();
        let more = wanted.saturating_sub(held.bytes.capacity());
        if more > 0 {
            let room = more.max(held.bytes.len()).max(STEP);
            // The first room, or more of it: a writer has one charge, which goes over to its blob.
            let grown = held.charge.as_mut().and_then(Arc::get_mut).map(|charge| charge.grow(room as u64));
            match grown {
                Some(true) => {}
                Some(false) => return Ok(Err(no_room())),
                None => match self.charge(room as u64) {
                    Ok(charge) => self.writer(writer)?.charge = Some(charge),
                    Err(error) => return Ok(Err(error)),
                },
            }
            let held = self.writer(writer)?;
            let left = held.bytes.capacity() - held.bytes.len();
            held.bytes.reserve(left + room);
        }
        self.writer(writer)?.bytes.extend_from_slice(bytes);
        Ok(Ok(()))
    }
}
