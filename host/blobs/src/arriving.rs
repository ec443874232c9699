//! Bytes that arrive while they are read: once, forward, as fast as the reader takes them.

use std::fmt;
use std::io;

use bytes::{Buf as _, Bytes};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use tokio::sync::Mutex;

/// A stream and how far it was read. Parts of it share it.
pub struct Arriving {
    state: Mutex<State>,
}

struct State {
    /// `None`: at its end, or broken. Whatever the stream held (a connection) goes with it.
    stream: Option<BoxStream<'static, io::Result<Bytes>>>,
    /// What was got and not yet taken.
    rest: Bytes,
    /// Of the next byte to be taken.
    at: u64,
    broken: Option<io::ErrorKind>,
}

impl Arriving {
    pub fn new(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        let state = State { stream: Some(stream.boxed()), rest: Bytes::new(), at: 0, broken: None };
        Self { state: Mutex::new(state) }
    }

    /// One to `most` bytes from `from` on, as they come; none at the end. What lies before `from` is passed by.
    ///
    /// # Errors
    /// Those of the stream, and `InvalidInput` for bytes that were taken already.
    pub async fn take(&self, from: u64, most: u64) -> io::Result<Bytes> {
        let mut state = self.state.lock().await;
        if from < state.at {
            let why = format!("byte {from} was read already: what arrives is read once, forward");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        loop {
            let skip = (from - state.at).min(state.rest.len() as u64);
            state.rest.advance(skip as usize);
            state.at += skip;
            if !state.rest.is_empty() {
                let count = most.min(state.rest.len() as u64);
                state.at += count;
                return Ok(state.rest.split_to(count as usize));
            }
            match state.next().await? {
                Some(chunk) => state.rest = chunk,
                None => return Ok(Bytes::new()),
            }
        }
    }
}

impl State {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(kind) = self.broken {
            return Err(io::Error::new(kind, "the transfer broke off before"));
        }
        let Some(stream) = &mut self.stream else { return Ok(None) };
        match stream.next().await {
            Some(Ok(chunk)) => Ok(Some(chunk)),
            Some(Err(error)) => {
                (self.stream, self.broken) = (None, Some(error.kind()));
                Err(error)
            }
            None => {
                self.stream = None;
                Ok(None)
            }
        }
    }
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arriving").finish_non_exhaustive()
    }
}
