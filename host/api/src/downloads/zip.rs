//! A ZIP archive while it is read: nothing of it lies on a disk, and of its files no more than two pieces are in memory.
//!
//! PKWARE's APPNOTE 6.3.10. Files are stored as they are, since photos do not get smaller; a file's checksum comes after it (4.3.9);
//! names are UTF-8 (4.4.4, bit 11); what is larger than 4 GiB, or more than 65,534 files, is written as ZIP64 says (4.3.14, 4.5.3).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use blobs::Blob;
use crc32fast::Hasher;
use gallery::Gallery;
use gallery::downloads::Entry;
use hyper::body::{Frame, SizeHint};
use jiff::civil;
use tokio::sync::mpsc;

/// How much of a file is read at once.
const PIECE: u64 = 256 << 10;
/// What 32 bits, and 16, cannot say.
const TOO_LARGE: u64 = u32::MAX as u64;
const TOO_MANY: usize = u16::MAX as usize;
/// The checksum comes after the file; the name is UTF-8.
const FLAGS: u16 = 1 << 3 | 1 << 11;
/// Versions that can read a file: 2.0, and 4.5 where it needs ZIP64.
const PLAIN: u16 = 20;
const LARGE: u16 = 45;
/// Made on Unix, by one who knows 4.5.
const MADE_BY: u16 = 3 << 8 | LARGE;

/// Writes an archive as fast as somebody reads it, and stops when they do.
pub fn stream(gallery: Gallery, entries: Vec<Entry>) -> Zip {
    let (sender, pieces) = mpsc::channel(1);
    let left = length(&entries);
    tokio::spawn(async move {
        let mut writer = Writer { sender, at: 0, directory: Vec::new() };
        if let Err(error) = writer.write(&gallery, &entries).await {
            // Whoever reads sees that it broke off; that they do not listen any more is no failure.
            let _ = writer.sender.send(Err(error)).await;
        }
    });
    Zip { pieces, left }
}

/// The body of an answer.
pub struct Zip {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    /// Bytes that are still to come.
    left: u64,
}

impl HttpBody for Zip {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = std::task::ready!(self.pieces.poll_recv(cx));
        if let Some(Ok(piece)) = &piece {
            self.left = self.left.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    /// Sizes are known beforehand: a client shows how far it is, and notices where it broke off.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

struct Writer {
    sender: mpsc::Sender<io::Result<Bytes>>,
    /// Bytes before what comes next.
    at: u64,
    /// The central directory, as far as it is known.
    directory: Vec<u8>,
}

impl Writer {
    async fn write(&mut self, gallery: &Gallery, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            let start = self.at;
            self.send(local_header(entry).into()).await?;
            let blob = gallery.open_entry(entry).await.map_err(|error| {
                tracing::warn!(asset.id = %entry.asset, %error, "A download breaks off: an original cannot be read");
                io::Error::other(error)
            })?;
            let checksum = self.copy(entry, &blob).await?;
            self.send(descriptor(entry, checksum).into()).await?;
            central_header(&mut self.directory, entry, checksum, start);
        }
        let mut end = std::mem::take(&mut self.directory);
        end_of_directory(&mut end, entries.len(), self.at);
        self.send(end.into()).await
    }

    /// Returns the checksum.
    async fn copy(&mut self, entry: &Entry, blob: &Blob) -> io::Result<u32> {
        let (mut checksum, mut at) = (Hasher::new(), 0);
        loop {
            let piece = blob.next(at, PIECE).await?;
            if piece.is_empty() {
                break;
            }
            at += piece.len() as u64;
            checksum.update(&piece);
            self.send(piece).await?;
        }
        match at == entry.size {
            true => Ok(checksum.finalize()),
            false => Err(io::Error::other(format!("{} has {at} bytes and not {}", entry.asset, entry.size))),
        }
    }

    async fn send(&mut self, piece: Bytes) -> io::Result<()> {
        self.at += piece.len() as u64;
        self.sender.send(Ok(piece)).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Bytes of the archive.
fn length(entries: &[Entry]) -> u64 {
    let (mut at, mut directory) = (0, 0);
    for entry in entries {
        let start = at;
        at += (local_header(entry).len() + descriptor(entry, 0).len()) as u64 + entry.size;
        let mut header = Vec::new();
        central_header(&mut header, entry, 0, start);
        directory += header.len() as u64;
    }
    let mut end = Vec::new();
    write_end(&mut end, entries.len(), directory, at);
    at + directory + end.len() as u64
}

fn is_large(entry: &Entry) -> bool {
    entry.size >= TOO_LARGE
}

/// 4.3.7. Sizes are in what follows the file, as the checksum is.
fn local_header(entry: &Entry) -> Vec<u8> {
    let large = is_large(entry);
    let mut header = Vec::with_capacity(64 + entry.name.len());
    put32(&mut header, 0x0403_4b50);
    what(&mut header, entry, 0);
    let size = if large { u32::MAX } else { 0 };
    put32(&mut header, size);
    put32(&mut header, size);
    put16(&mut header, entry.name.len() as u16);
    put16(&mut header, if large { 20 } else { 0 });
    header.extend_from_slice(entry.name.as_bytes());
    if large {
        extra(&mut header, &[entry.size, entry.size]);
    }
    header
}

/// What both headers say first: version, flags, method 0 (stored), time and checksum.
fn what(header: &mut Vec<u8>, entry: &Entry, checksum: u32) {
    put16(header, if is_large(entry) { LARGE } else { PLAIN });
    put16(header, FLAGS);
    put16(header, 0);
    let (time, date) = dos(entry.taken);
    put16(header, time);
    put16(header, date);
    put32(header, checksum);
}

/// 4.3.9. Of a large file the sizes have 64 bits.
fn descriptor(entry: &Entry, checksum: u32) -> Vec<u8> {
    let mut descriptor = Vec::with_capacity(24);
    put32(&mut descriptor, 0x0807_4b50);
    put32(&mut descriptor, checksum);
    for _ in 0..2 {
        match is_large(entry) {
            true => put64(&mut descriptor, entry.size),
            false => put32(&mut descriptor, entry.size as u32),
        }
    }
    descriptor
}

/// 4.3.12.
fn central_header(header: &mut Vec<u8>, entry: &Entry, checksum: u32, start: u64) {
    put32(header, 0x0201_4b50);
    put16(header, MADE_BY);
    what(header, entry, checksum);
    let size = clipped(entry.size);
    put32(header, size);
    put32(header, size);
    put16(header, entry.name.len() as u16);
    let mut large = if is_large(entry) { vec![entry.size, entry.size] } else { Vec::new() };
    if start >= TOO_LARGE {
        large.push(start);
    }
    put16(header, if large.is_empty() { 0 } else { 4 + 8 * large.len() as u16 });
    // No comment, the first disk, and no internal attributes; a plain file that everybody may read.
    put16(header, 0);
    put16(header, 0);
    put16(header, 0);
    put32(header, 0o100_644 << 16);
    put32(header, clipped(start));
    header.extend_from_slice(entry.name.as_bytes());
    if !large.is_empty() {
        extra(header, &large);
    }
}

/// 4.5.3: what the fields of 32 bits cannot say.
fn extra(header: &mut Vec<u8>, values: &[u64]) {
    put16(header, 1);
    put16(header, 8 * values.len() as u16);
    for value in values {
        put64(header, *value);
    }
}

fn end_of_directory(directory: &mut Vec<u8>, count: usize, start: u64) {
    let size = directory.len() as u64;
    write_end(directory, count, size, start);
}

/// 4.3.14 to 4.3.16.
fn write_end(end: &mut Vec<u8>, count: usize, size: u64, start: u64) {
    if count >= TOO_MANY || size >= TOO_LARGE || start >= TOO_LARGE {
        put32(end, 0x0606_4b50);
        put64(end, 44);
        put16(end, MADE_BY);
        put16(end, LARGE);
        put32(end, 0);
        put32(end, 0);
        put64(end, count as u64);
        put64(end, count as u64);
        put64(end, size);
        put64(end, start);
        put32(end, 0x0706_4b50);
        put32(end, 0);
        put64(end, start + size);
        put32(end, 1);
    }
    put32(end, 0x0605_4b50);
    put16(end, 0);
    put16(end, 0);
    let count = count.min(TOO_MANY) as u16;
    put16(end, count);
    put16(end, count);
    put32(end, clipped(size));
    put32(end, clipped(start));
    put16(end, 0);
}

fn clipped(value: u64) -> u32 {
    value.min(TOO_LARGE) as u32
}

/// Time and date as DOS wrote them: two seconds, from 1980 on.
fn dos(at: civil::DateTime) -> (u16, u16) {
    let year = (i32::from(at.year()) - 1980).clamp(0, 127) as u16;
    let date = year << 9 | (at.month() as u16) << 5 | at.day() as u16;
    let time = (at.hour() as u16) << 11 | (at.minute() as u16) << 5 | (at.second() as u16 / 2);
    (time, date)
}

fn put16(bytes: &mut Vec<u8>, value: u16) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn put32(bytes: &mut Vec<u8>, value: u32) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn put64(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend_from_slice(&value.to_le_bytes());
}
