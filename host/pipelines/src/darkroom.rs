//! Threads for pixels, as many as images may be in memory at once.
//!
//! An allocator keeps what a thread has freed for that thread. On the blocking pool a picture lands on any of dozens of threads,
//! and what each of them keeps adds up to more than the pictures themselves.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use gallery::GalleryError;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// After so long without a picture, what was kept for the next is given back.
const IDLE: Duration = Duration::from_secs(5);

type Work = Box<dyn FnOnce() + Send>;

/// Runs one piece of work a thread; the others wait for their turn. The threads end when it is dropped.
pub struct Darkroom {
    queue: mpsc::Sender<Work>,
}

impl Darkroom {
    /// # Errors
    /// The system gives no more threads.
    pub fn open(threads: usize) -> io::Result<Self> {
        let (queue, waiting) = mpsc::channel::<Work>();
        let waiting = Arc::new(Mutex::new(waiting));
        for at in 0..threads.max(1) {
            let waiting = waiting.clone();
            std::thread::Builder::new().name(format!("darkroom-{at}")).spawn(move || {
                loop {
                    let next = waiting.lock().recv_timeout(IDLE);
                    match next {
                        Ok(work) => work(),
                        Err(RecvTimeoutError::Timeout) => media::cool(),
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
            })?;
        }
        Ok(Self { queue })
    }

    /// # Errors
    /// `Invalid` where `work` panicked: a decoder did not expect what it read, and will not next time.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, GalleryError> {
        let (done, result) = oneshot::channel();
        let work = move || {
            let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
        };
        let gone = || io::Error::other("the threads for pixels are gone");
        self.queue.send(Box::new(work)).map_err(|_| gone())?;
        match result.await.map_err(|_| gone())? {
            Ok(value) => Ok(value),
            Err(_) => Err(GalleryError::Invalid("what reads such files broke on it: the log says where".into())),
        }
    }
}
