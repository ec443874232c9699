//! `http`: requests to granted origins, as a guest makes them.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};

use crate::bindings::lent::latent::plugin::http::{Body, Host, Request, Response};
use crate::bindings::lent::latent::plugin::types::Error;
use crate::budget::Budget;
use crate::held::{AnswerCharge, HeldBlob};
use crate::http::{Answered, Asked, Http, HttpError, READ_AHEAD, Sending, Written};
use crate::instance::{Answer, HostState, OPEN_ANSWERS, no_room};

/// Requests of one `send-all`, and how many of them may be under way.
const MOST: usize = 64;
const MOST_AT_ONCE: usize = 16;
/// Between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

type Ready = Result<(Asked, Sending), Error>;
type Sent = Result<(Answered, AnswerCharge), Error>;

/// Room for answers: of the instance, of its plugin, and for what is read ahead.
#[derive(Clone)]
struct Room {
    instance: Arc<Budget>,
    plugin: Arc<Budget>,
    memory: Arc<Budget>,
}

impl Room {
    fn take(&self) -> Result<AnswerCharge, Error> {
        let full = |what: &str| Error::Limit(format!("{what}: drop some"));
        let instance = self.instance.take(1).ok_or_else(|| full(&format!("{OPEN_ANSWERS} answers are open")))?;
        let plugin = self.plugin.take(1).ok_or_else(|| full("calls of this plugin hold all answers that it may"))?;
        let memory = self.memory.take(READ_AHEAD as u64).ok_or_else(no_room)?;
        Ok([instance, plugin, memory])
    }
}

impl Host for HostState {
    async fn send(&mut self, request: Request, body: Body) -> Answer<Response> {
        let http = match self.http() {
            Ok(http) => http,
            Err(error) => return Ok(Err(error)),
        };
        let (ready, room) = (self.look(&http, request, body)?, self.room(&http));
        match self.elsewhere(async move { sent(&http, &room, ready).await }).await? {
            Ok((answered, open)) => self.hold_answer(answered, open),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn send_all(
        &mut self,
        requests: Vec<(Request, Body)>,
        at_once: u32,
    ) -> wasmtime::Result<Vec<Result<Response, Error>>> {
        let all = requests.len();
        let refuse = |error: Error| Ok((0..all).map(|_| Err(error.clone())).collect());
        let http = match self.http() {
            Ok(http) => http,
            Err(error) => return refuse(error),
        };
        if all > MOST {
            return refuse(Error::Limit(format!("{all} requests at once; {MOST} at most")));
        }
        let ready: Vec<Ready> =
            requests.into_iter().map(|(request, body)| self.look(&http, request, body)).collect::<Result<_, _>>()?;
        let at_once = (at_once as usize).clamp(1, MOST_AT_ONCE);
        let room = self.room(&http);
        let sending = async move {
            let sending = ready.into_iter().map(|ready| sent(&http, &room, ready));
            Ok(stream::iter(sending).buffered(at_once).collect::<Vec<Sent>>().await)
        };
        let sent = match self.elsewhere(sending).await? {
            Ok(sent) => sent,
            Err(late) => return refuse(late),
        };
        let mut answers = Vec::with_capacity(all);
        for sent in sent {
            answers.push(match sent {
                Ok((answered, open)) => self.hold_answer(answered, open)?,
                Err(error) => Err(error),
            });
        }
        Ok(answers)
    }

    async fn wait(&mut self, ms: u32) -> wasmtime::Result<()> {
        let wait = Duration::from_millis(ms.into()).min(LONGEST_WAIT);
        // The call's own deadline ends it, if that is nearer: the guest is told by what it does next.
        let _ = self.in_time(tokio::time::sleep(wait)).await;
        Ok(())
    }
}

impl HostState {
    fn http(&self) -> Result<Arc<Http>, Error> {
        self.common.http.clone().ok_or_else(|| Error::Denied("no origin was granted".into()))
    }

    /// The outer error is a trap.
    fn look(&mut self, http: &Http, request: Request, body: Body) -> wasmtime::Result<Ready> {
        let body = match self.body(body)? {
            Ok(body) => body,
            Err(error) => return Ok(Err(error)),
        };
        let written = Written {
            method: request.method,
            url: request.url,
            headers: request.headers,
            timeout: request.timeout_ms.map(|ms| Duration::from_millis(ms.into())),
            redirects: request.redirects,
        };
        Ok(http.look(written).map(|asked| (asked, body)).map_err(http_error))
    }

    fn room(&self, http: &Http) -> Room {
        Room { instance: self.open_answers.clone(), plugin: http.open.clone(), memory: self.budget.clone() }
    }

    fn body(&mut self, body: Body) -> wasmtime::Result<Result<Sending, Error>> {
        Ok(match body {
            Body::Empty => Ok(Sending::empty()),
            Body::Bytes(bytes) => {
                self.usage.messages += bytes.len() as u64;
                Ok(Sending::bytes(bytes))
            }
            Body::Blob(handle) => {
                let blob = self.held(&handle)?.blob.clone();
                if self.opaque(&blob) && !self.common.grant.carries {
                    return Ok(Err(Error::Denied(
                        "sending bytes that were made from an image needs the grant `pixels`".into(),
                    )));
                }
                match blob.known_len() {
                    Some(len) => Ok(Sending::blob(blob, len)),
                    None => Err(Error::Unsupported("a body of unknown length: splice it into a writer first".into())),
                }
            }
        })
    }

    fn hold_answer(&mut self, answered: Answered, open: AnswerCharge) -> Answer<Response> {
        let Answered { status, headers, body } = answered;
        let held = self.hold(HeldBlob::answer(body, open))?;
        Ok(held.map(|body| Response { status, headers, body }))
    }
}

async fn sent(http: &Http, room: &Room, ready: Ready) -> Sent {
    let (asked, body) = ready?;
    let open = room.take()?;
    let answered = http.send(asked, body).await.map_err(http_error)?;
    Ok((answered, open))
}

fn http_error(error: HttpError) -> Error {
    match error {
        HttpError::Denied(why) => Error::Denied(why),
        HttpError::Invalid(why) => Error::Invalid(why),
        HttpError::Limit(why) => Error::Limit(why),
        HttpError::Timeout => Error::Timeout,
        HttpError::Unavailable(why) => Error::Unavailable(why),
    }
}
