//! What is still under way of a request that is answered before all of it was read.
//!
//! Over HTTP/1 a server that answers "too large" and closes at once resets the connection under a client that is still
//! sending, and the client may never see the answer. So the rest is read and thrown away, within bounds (nginx calls
//! this a lingering close).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};

/// More than any form that is refused for its length by a little; a film that may not come in is worth a reset.
const MOST: usize = 64 << 20;
/// A client that sends slower than this would hold its connection for nothing.
const LONGEST: Duration = Duration::from_secs(10);

/// The request with a body that is read to its end, in the background, when its handler drops it before.
///
/// Needs a Tokio runtime where the body is dropped; without one the rest is not read.
pub fn to_the_end(request: Request<Incoming>) -> Request<Body> {
    // A client that waits for "100 Continue" has sent nothing yet, and HTTP/2 ends a stream without its connection.
    let lingers = request.version() <= Version::HTTP_11 && !request.headers().contains_key(header::EXPECT);
    request.map(|body| if lingers { Body::new(Lingering { body: Some(body) }) } else { Body::new(body) })
}

struct Lingering {
    /// `None` once it broke, or is read by the task that throws it away.
    body: Option<Incoming>,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        // Of a known length that is too much there is no need to begin.
        let expected = body.size_hint().exact().unwrap_or(0);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if expected <= MOST as u64 {
            runtime.spawn(tokio::time::timeout(LONGEST, thrown_away(body)));
        }
    }
}

async fn thrown_away(mut body: Incoming) {
    let mut left = MOST;
    while let Some(Ok(frame)) = body.frame().await {
        let len = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(len) else { return };
        left = rest;
    }
}
