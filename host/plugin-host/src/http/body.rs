//! Bodies: those that are sent, counted so that silence can be told from slowness, and those that arrive.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use blobs::Blob;
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Without a byte for this long, an answer counts as dead. The time that the reader takes is not counted.
const SILENCE: Duration = Duration::from_secs(30);
/// Waited for the bytes of one answer in all: one that drips ends here.
const WAITED: Duration = Duration::from_secs(900);
/// Bytes of one answer.
const MOST: u64 = 64 << 30;

/// A body that is sent. How often a piece of it was taken is counted.
pub struct Sending {
    pieces: BoxStream<'static, io::Result<Bytes>>,
    left: u64,
    taken: Arc<AtomicU64>,
}

impl Sending {
    pub fn empty() -> Self {
        Self::of(futures::stream::empty().boxed(), 0)
    }

    pub fn bytes(bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self::of(futures::stream::iter([Ok(Bytes::from(bytes))]).boxed(), len)
    }

    /// `len`: of the blob, which is known.
    pub fn blob(blob: Blob, len: u64) -> Self {
        Self::of(blob.into_stream().boxed(), len)
    }

    fn of(pieces: BoxStream<'static, io::Result<Bytes>>, left: u64) -> Self {
        Self { pieces, left, taken: Arc::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Counts up with every piece that was taken.
    pub fn taken(&self) -> Arc<AtomicU64> {
        self.taken.clone()
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let piece = match std::task::ready!(this.pieces.poll_next_unpin(cx)) {
            None => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            Some(piece) => piece?,
        };
        this.taken.fetch_add(1, Ordering::Relaxed);
        this.left = this.left.saturating_sub(piece.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// An answer's body as a blob that is read while it arrives. `secrets`: what must not be seen in it.
pub fn arriving(body: Incoming, secrets: Vec<Zeroizing<Vec<u8>>>) -> Blob {
    let len = body.size_hint().exact();
    let pieces = pieces(body);
    match secrets.is_empty() {
        true => Blob::arriving(pieces, len),
        false => Blob::arriving(blotted(pieces, secrets), len),
    }
}

fn pieces(body: Incoming) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures::stream::try_unfold((body, Duration::ZERO, 0_u64), |(mut body, mut waited, mut got)| async move {
        loop {
            let begun = Instant::now();
            let frame = timeout(SILENCE.min(WAITED.saturating_sub(waited)), body.frame()).await;
            waited += begun.elapsed();
            let Some(frame) = frame.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it went silent"))? else {
                return Ok(None);
            };
            // Trailers are nobody's.
            let Ok(piece) = frame.map_err(io::Error::other)?.into_data() else { continue };
            got += piece.len() as u64;
            if got > MOST {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {MOST} bytes")));
            }
            return Ok(Some((piece, (body, waited, got))));
        }
    })
}

/// The same with stars in place of secrets, as long as they: lengths stay true. Some bytes are held back at the end of each piece,
/// because a secret may lie across two.
fn blotted(
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    secrets: Vec<Zeroizing<Vec<u8>>>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let hold = secrets.iter().map(|secret| secret.len()).max().unwrap_or(1) - 1;
    let state = (Box::pin(pieces), secrets, BytesMut::new());
    futures::stream::try_unfold(state, move |(mut pieces, secrets, mut held)| async move {
        loop {
            let Some(piece) = pieces.next().await else {
                let rest = held.split().freeze();
                return Ok((!rest.is_empty()).then_some((rest, (pieces, secrets, held))));
            };
            held.extend_from_slice(&piece?);
            for secret in &secrets {
                blot(&mut held, secret);
            }
            if held.len() > hold {
                let ready = held.split_to(held.len() - hold).freeze();
                return Ok(Some((ready, (pieces, secrets, held))));
            }
        }
    })
}

/// Stars in place of every occurrence.
pub fn blot(text: &mut [u8], secret: &[u8]) {
    let found: VecDeque<usize> = memchr::memmem::find_iter(text, secret).collect();
    for at in found {
        text[at..at + secret.len()].fill(b'*');
    }
}
