//! A response that goes on: what somebody watches, as `text/event-stream` (HTML Living Standard section 9.2).

use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response as HttpResponse};
use http::StatusCode;
use tokio::time::Sleep;

use super::Shared;
use super::caller::Caller;
use super::logins::Login;
use super::problem::{Kind, Problem};
use crate::feeds::{Bounds, Item, TooMany};
use crate::metrics::{Gauge, Metrics};
use crate::server::Watching;
use crate::session::Stream;
use crate::transports::answer::{Answer, Around, MAX_WRITE, Outgoing, Streaming};
use crate::transports::streaming::{Heartbeat, write_lines};
use crate::web::{Response, Socket};

const HEAD: &[u8] = b"Content-Type: text/event-stream; charset=utf-8\r\n\
    Cache-Control: no-cache, no-store\r\nX-Accel-Buffering: no\r\n";
/// How long a stream may be silent.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// After which time there may be room for another.
const RETRY: Duration = Duration::from_secs(5);

/// What a response goes on with.
#[derive(Debug)]
pub(super) struct Live {
    beginning: Vec<u8>,
    watching: Watching,
    under: Option<Under>,
}

/// The login under which somebody watches.
#[derive(Debug)]
struct Under {
    login: Arc<Login>,
    shared: Arc<Shared>,
}

impl Under {
    fn is_over(&self) -> bool {
        let operators = &self.shared.terms.get().operators;
        self.login.operator(operators, Instant::now()).is_none()
    }
}

/// What goes on behind a response; it is taken once.
#[derive(Debug, Clone)]
pub(super) struct Opening(Arc<Mutex<Option<Live>>>);

impl Live {
    /// Makes one for a caller; it ends with the login, if the caller has logged in.
    pub(super) fn new(watching: Watching, caller: Caller, shared: &Arc<Shared>) -> Self {
        Self {
            beginning: b"retry: 2000\n\n".to_vec(),
            watching,
            under: caller.login.map(|login| Under {
                login,
                shared: Arc::clone(shared),
            }),
        }
    }

    /// Adds an event that it begins with.
    pub(super) fn begins_with(mut self, name: &str, json: &[u8]) -> Self {
        write_event(&mut self.beginning, name, json);
        self
    }

    fn answer(self) -> Answer {
        let connection = Connection {
            watching: self.watching,
            under: self.under,
            stream: Stream::default(),
            heartbeat: Heartbeat::new(HEARTBEAT),
        };
        Answer::Stream(Response::open(HEAD, self.beginning), Box::new(connection))
    }
}

impl Opening {
    /// Returns the answer, if it was not taken.
    pub(super) fn answer(&self) -> Option<Answer> {
        let live = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        live.map(Live::answer)
    }
}

impl IntoResponse for Live {
    fn into_response(self) -> HttpResponse {
        let mut response = StatusCode::OK.into_response();
        let opening = Opening(Arc::new(Mutex::new(Some(self))));
        response.extensions_mut().insert(opening);
        response
    }
}

/// Returns how much may be watched.
pub(super) fn bounds(shared: &Shared) -> Bounds {
    let terms = shared.terms.get();
    let bytes = terms.settings.max_watched_bytes.as_u64();
    Bounds {
        feeds: terms.settings.max_watchers,
        bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
    }
}

impl From<TooMany> for Problem {
    fn from(_: TooMany) -> Self {
        let detail = "as many watch as may (api.max_watchers); close another page, or a stream";
        Self::new(Kind::Unavailable, detail).retry_after(Some(RETRY))
    }
}

/// A stream of what is watched.
#[derive(Debug)]
struct Connection {
    watching: Watching,
    under: Option<Under>,
    /// It has no session.
    stream: Stream,
    heartbeat: Heartbeat,
}

impl Streaming for Connection {
    fn poll_outgoing(
        &mut self,
        socket: &mut Socket,
        around: &Around<'_>,
        sleep: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) -> Poll<Outgoing> {
        let mut outgoing = Outgoing::default();
        // There is nothing a client could say on this connection.
        if socket.poll_discard(context).is_ready() {
            outgoing.lose();
            return Poll::Ready(outgoing);
        }
        // It is looked at with each heartbeat at the latest.
        if self.under.as_ref().is_some_and(Under::is_over) {
            outgoing.close();
            return Poll::Ready(outgoing);
        }
        match self.watching.feed.poll(MAX_WRITE, context) {
            Poll::Ready(taken) => {
                let out = outgoing.bytes();
                if taken.missed > 0 {
                    let missed = format!(r#"{{"missed":{}}}"#, taken.missed);
                    write_event(out, "missed", missed.as_bytes());
                }
                for Item { kind, json } in &taken.items {
                    write_event(out, kind.name(), json);
                }
                if taken.is_over {
                    write_event(out, "ended", b"{}");
                    outgoing.close();
                }
            }
            Poll::Pending if around.is_stopping => outgoing.close(),
            Poll::Pending => {
                if self.heartbeat.is_due(sleep, context) {
                    outgoing.bytes().extend_from_slice(b":\n\n");
                }
            }
        }
        if outgoing.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(outgoing)
        }
    }

    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn written(&mut self, _: bool) {
        self.heartbeat.wrote();
    }

    fn let_go(&mut self) {}

    fn gauge<'m>(&self, metrics: &'m Metrics) -> &'m Gauge {
        &metrics.watchers
    }
}

fn write_event(out: &mut Vec<u8>, name: &str, json: &[u8]) {
    write!(out, "event: {name}\ndata: ").expect("a Vec takes every write");
    write_lines(out, json);
    out.extend_from_slice(b"\n\n");
}
