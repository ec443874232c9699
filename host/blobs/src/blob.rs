//! Bytes that the host holds.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::Stream;
use tokio::runtime::Handle;

use crate::arriving::Arriving;

/// How much of a file is read at once when it is streamed.
const CHUNK: u64 = 256 * 1024;

/// A range of bytes in memory, in an open file, or of a body that arrives. Cloning it copies no bytes; the file stays open as long as
/// one clone lives, so a blob outlives a rename or a removal of its path. What arrives is read once, forward: its clones and parts
/// share one position.
#[derive(Debug, Clone)]
pub struct Blob {
    source: Source,
    media_type: Option<Arc<str>>,
    from_image: bool,
}

#[derive(Debug, Clone)]
enum Source {
    Memory(Bytes),
    File {
        file: Arc<File>,
        path: Option<Arc<Path>>,
        offset: u64,
        len: u64,
    },
    /// At most `most` bytes of it; `len`, if it is known how many those are.
    Arriving {
        body: Arc<Arriving>,
        offset: u64,
        most: u64,
        len: Option<u64>,
    },
}

impl Blob {
    /// Bytes in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self { source: Source::Memory(bytes.into()), media_type: None, from_image: false }
    }

    /// All of the file at `path`, which is opened now. Blocking.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let file = File::open(&path)?;
        let len = file.metadata()?.len();
        Ok(Self {
            source: Source::File { file: Arc::new(file), path: Some(path.into()), offset: 0, len },
            media_type: None,
            from_image: false,
        })
    }

    /// `len` bytes from `offset` of an open file.
    pub fn from_file(file: File, offset: u64, len: u64) -> Self {
        Self {
            source: Source::File { file: Arc::new(file), path: None, offset, len },
            media_type: None,
            from_image: false,
        }
    }

    /// A body that is read while it arrives; the stream is asked for more when a reader wants more. `len`, if it is known.
    pub fn arriving(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static, len: Option<u64>) -> Self {
        let body = Arc::new(Arriving::new(stream));
        let source = Source::Arriving { body, offset: 0, most: len.unwrap_or(u64::MAX), len };
        Self { source, media_type: None, from_image: false }
    }

    /// Says what the bytes are.
    pub fn with_media_type(mut self, media_type: &str) -> Self {
        self.media_type = Some(media_type.into());
        self
    }

    /// Marks bytes that were made from pixels: a plugin needs the grant `pixels` to read them.
    pub fn mark_from_image(mut self) -> Self {
        self.from_image = true;
        self
    }

    /// `u64::MAX` for a body of unknown length: ask [`Blob::known_len`] where one may come.
    pub fn len(&self) -> u64 {
        self.known_len().unwrap_or(u64::MAX)
    }

    /// `None`: a body that arrives and has not said how long it is.
    pub fn known_len(&self) -> Option<u64> {
        match &self.source {
            Source::Memory(bytes) => Some(bytes.len() as u64),
            Source::File { len, .. } => Some(*len),
            Source::Arriving { len, .. } => *len,
        }
    }

    /// May it be read in any order, and more than once?
    pub fn is_seekable(&self) -> bool {
        !matches!(self.source, Source::Arriving { .. })
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    pub fn is_from_image(&self) -> bool {
        self.from_image
    }

    /// The path of a blob that is one whole file, so that a storage directory can link it instead of copying.
    pub fn whole_file(&self) -> Option<&Path> {
        match &self.source {
            Source::File { path, offset: 0, .. } => path.as_deref(),
            _ => None,
        }
    }

    /// The open file of a blob that is all of it, for those who hand it to another process.
    pub fn as_file(&self) -> Option<Arc<File>> {
        match &self.source {
            Source::File { file, offset: 0, len, .. } => {
                let is_all = file.metadata().is_ok_and(|metadata| metadata.len() == *len);
                is_all.then(|| file.clone())
            }
            _ => None,
        }
    }

    /// Bytes held in memory: what a budget has to count.
    pub fn resident_len(&self) -> usize {
        match &self.source {
            Source::Memory(bytes) => bytes.len(),
            Source::File { .. } | Source::Arriving { .. } => 0,
        }
    }

    /// The part of `len` bytes from `offset`, cut at the end of the blob.
    pub fn slice(&self, offset: u64, len: u64) -> Self {
        let start = offset.min(self.len());
        let len = len.min(self.len() - start);
        let source = match &self.source {
            Source::Arriving { body, offset, most, len: known } => Source::Arriving {
                body: body.clone(),
                offset: offset.saturating_add(start),
                most: most.saturating_sub(start).min(len),
                len: known.map(|_| len),
            },
            Source::Memory(bytes) => Source::Memory(bytes.slice(start as usize..(start + len) as usize)),
            Source::File { file, offset, .. } => {
                Source::File { file: file.clone(), path: None, offset: offset + start, len }
            }
        };
        Self { source, media_type: self.media_type.clone(), from_image: self.from_image }
    }

    /// The next bytes of a body that arrives, at most `most`, as they come; of other blobs `most` bytes. None: the end.
    pub async fn next(&self, offset: u64, most: u64) -> io::Result<Bytes> {
        let Source::Arriving { body, offset: base, most: all, len } = &self.source else {
            return self.slice(offset, most).read_still().await;
        };
        let most = most.min(all.saturating_sub(offset));
        if most == 0 {
            return Ok(Bytes::new());
        }
        let chunk = body.take(base.saturating_add(offset), most).await?;
        match len {
            Some(len) if chunk.is_empty() => Err(cut_off(offset, *len)),
            _ => Ok(chunk),
        }
    }

    /// Fills as much of `buf` as there is from `offset`; returns how much. Blocking for a file, and for what arrives.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let want = (self.len().saturating_sub(offset)).min(buf.len() as u64) as usize;
        match &self.source {
            Source::Memory(bytes) => {
                buf[..want].copy_from_slice(&bytes[offset.min(bytes.len() as u64) as usize..][..want]);
                Ok(want)
            }
            Source::File { file, offset: base, .. } => {
                let mut done = 0;
                while done < want {
                    match file.read_at(&mut buf[done..want], base + offset + done as u64) {
                        Ok(0) => break,
                        Ok(n) => done += n,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(done)
            }
            Source::Arriving { .. } => Handle::current().block_on(async {
                let mut done = 0;
                while done < want {
                    let chunk = self.next(offset + done as u64, (want - done) as u64).await?;
                    if chunk.is_empty() {
                        break;
                    }
                    buf[done..done + chunk.len()].copy_from_slice(&chunk);
                    done += chunk.len();
                }
                Ok(done)
            }),
        }
    }

    /// All bytes, for callers on a thread that may block. Copies nothing when they are in memory.
    pub fn read_blocking(&self) -> io::Result<Bytes> {
        match &self.source {
            Source::Memory(bytes) => Ok(bytes.clone()),
            Source::File { len, .. } => {
                let mut buf = vec![0; *len as usize];
                let n = self.read_at(0, &mut buf)?;
                if (n as u64) < *len {
                    return Err(cut_off(n as u64, *len));
                }
                Ok(buf.into())
            }
            Source::Arriving { .. } => Handle::current().block_on(self.gather()),
        }
    }

    /// All bytes. Reads a file on the blocking pool.
    pub async fn read(&self) -> io::Result<Bytes> {
        if self.is_seekable() { self.read_still().await } else { self.gather().await }
    }

    /// Of memory or a file.
    async fn read_still(&self) -> io::Result<Bytes> {
        if let Source::Memory(bytes) = &self.source {
            return Ok(bytes.clone());
        }
        let blob = self.clone();
        tokio::task::spawn_blocking(move || blob.read_blocking()).await.map_err(io::Error::other)?
    }

    async fn gather(&self) -> io::Result<Bytes> {
        let mut all = BytesMut::new();
        loop {
            let chunk = self.next(all.len() as u64, CHUNK).await?;
            if chunk.is_empty() {
                return Ok(all.freeze());
            }
            all.extend_from_slice(&chunk);
        }
    }

    /// The bytes in chunks, each read when it is asked for.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        futures::stream::try_unfold((self, 0_u64), |(blob, at)| async move {
            if at >= blob.len() {
                return Ok(None);
            }
            let chunk = blob.next(at, CHUNK).await?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let next = at + chunk.len() as u64;
            Ok(Some((chunk, (blob, next))))
        })
    }
}

fn cut_off(there: u64, len: u64) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("{there} of {len} bytes were there"))
}
