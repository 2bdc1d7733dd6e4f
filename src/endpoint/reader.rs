//! One request from a socket, read by hyper, which gives the socket back afterwards.
//!
//! hyper's service never answers here: it stores the request and waits for ever, and the socket is
//! taken out of the connection. So a request that waits for events costs no parser and no buffers,
//! and every response is written by us, in one write. What hyper itself would write is `100
//! Continue`, which passes, and its error responses, of which only the status is kept.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::time::Sleep;

use super::Shared;
use super::wire::{Progress, Wire};
use crate::metrics::Limit;
use crate::transports::is_message_http;
use crate::web::{self, Head, Socket, Transfer};

/// What came from a socket.
pub(super) enum Reading {
    /// A request; its body has arrived.
    Request(Box<web::Request>, Socket),
    /// A request that is answered with this status and reason, and is the connection's last; its
    /// head, if that was understood.
    Refused(Refusal, Option<Box<Head>>, Socket),
    /// A request whose body may go on for ever, and is read by whoever answers it.
    Open(Box<Open>, Socket),
    /// The client closed the connection.
    Closed,
}

/// A request whose body is to come.
pub(super) struct Open {
    pub(super) head: Head,
    pub(super) body: Transfer,
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    pub(super) limit: Option<Limit>,
}

impl Refusal {
    const BODY: Self = Self {
        status: StatusCode::BAD_REQUEST,
        reason: "the request's body is malformed",
        limit: None,
    };
    const TOO_LARGE: Self = Self {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        reason: "the request's body is larger than bayeux.max_message_size",
        limit: Some(Limit::MaxMessageSize),
    };
    const HEADER_TIMEOUT: Self = Self {
        status: StatusCode::REQUEST_TIMEOUT,
        reason: "the request's headers did not arrive within http.header_timeout",
        limit: Some(Limit::HeaderTimeout),
    };
    const BODY_TIMEOUT: Self = Self {
        status: StatusCode::REQUEST_TIMEOUT,
        reason: "the request's body did not arrive within http.body_timeout",
        limit: Some(Limit::BodyTimeout),
    };

    fn of_status(status: StatusCode) -> Self {
        let (reason, limit) = match status {
            StatusCode::URI_TOO_LONG => (
                "the request's line is longer than http.max_header_size",
                true,
            ),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
                "the request's headers are larger than http.max_header_size or more than http.max_headers",
                true,
            ),
            _ => ("the request is not HTTP/1.1", false),
        };
        let limit = limit.then_some(Limit::MaxHeaderSize);
        Self {
            status,
            reason,
            limit,
        }
    }
}

enum Outcome {
    Request(Box<web::Request>),
    Open(Box<Head>),
    Refused(Refusal, Option<Box<Head>>),
}

/// Where the service leaves the request.
#[derive(Default)]
struct Slot(Mutex<Option<Outcome>>);

impl Slot {
    fn fill(&self, outcome: Outcome) {
        *self.lock() = Some(outcome);
    }

    fn take(&self) -> Option<Outcome> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Outcome>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the next request of a socket on which something has arrived, whatever it is.
pub(super) async fn read(socket: Socket, shared: &Shared) -> Reading {
    let slot = Arc::new(Slot::default());
    let max_body = shared.max_message_size;
    let progress = Progress::default();
    let service = service_fn(|request: Request<Incoming>| {
        let slot = Arc::clone(&slot);
        // To drop a body would have hyper read it to its end.
        let (head, body) = request.into_parts();
        let head = Head::from(head);
        let is_open = is_open(&head);
        // Before hyper reads on.
        if is_open {
            progress.leaves_body();
        } else {
            progress.reads_body();
        }
        Box::pin(async move {
            if is_open {
                slot.fill(Outcome::Open(Box::new(head)));
                let _body = body;
                pending::<()>().await;
            } else {
                slot.fill(collect(head, body, max_body).await);
            }
            pending::<Result<Response<Empty<Bytes>>, Infallible>>().await
        })
    });
    let max_header =
        usize::try_from(shared.settings.max_header_size.as_u64()).unwrap_or(usize::MAX);
    let mut connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .max_header_size(max_header)
        .max_headers(shared.settings.max_headers)
        .max_buf_size(max_header)
        .serve_connection(Wire::new(socket, &progress), service);
    let mut timeouts = Timeouts::new(shared);
    let outcome = poll_fn(|context| {
        let ended = connection.poll_without_shutdown(context);
        if let Some(outcome) = slot.take() {
            return Poll::Ready(Some(outcome));
        }
        if ended.is_ready() {
            return Poll::Ready(None);
        }
        timeouts
            .poll(progress.has_head(), context)
            .map(|refusal| Some(Outcome::Refused(refusal, None)))
    })
    .await;
    let parts = connection.into_parts();
    let outcome = match outcome {
        Some(Outcome::Open(head)) => return open(head, parts.io, shared.settings.max_headers),
        outcome => outcome,
    };
    let refused_by_parser = parts.io.refused;
    let socket = parts.io.into_socket(parts.read_buf);
    match (outcome, refused_by_parser) {
        (Some(Outcome::Request(request)), _) => Reading::Request(request, socket),
        (Some(Outcome::Refused(refusal, head)), _) => Reading::Refused(refusal, head, socket),
        (_, Some(status)) => Reading::Refused(Refusal::of_status(status), None, socket),
        (_, None) => Reading::Closed,
    }
}

/// Tells whether the body of a request holds requests, which are answered before it ends.
fn is_open(head: &Head) -> bool {
    head.method == Method::POST && is_message_http(&head.headers)
}

fn open(head: Box<Head>, wire: Wire<'_>, max_headers: usize) -> Reading {
    match wire.into_open(max_headers) {
        (socket, Ok(body)) => Reading::Open(Box::new(Open { head: *head, body }), socket),
        (socket, Err(malformed)) => {
            let refusal = Refusal {
                reason: malformed.reason(),
                ..Refusal::BODY
            };
            Reading::Refused(refusal, Some(head), socket)
        }
    }
}

async fn collect(head: Head, body: Incoming, max_body: u64) -> Outcome {
    let announced = head
        .headers
        .text(&header::CONTENT_LENGTH)
        .and_then(|value| value.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max_body) {
        return Outcome::Refused(Refusal::TOO_LARGE, Some(Box::new(head)));
    }
    if body.is_end_stream() {
        let body = Bytes::new();
        return Outcome::Request(Box::new(web::Request { head, body }));
    }
    match read_body(body, max_body).await {
        Ok(body) => Outcome::Request(Box::new(web::Request { head, body })),
        Err(refusal) => Outcome::Refused(refusal, Some(Box::new(head))),
    }
}

/// Reads a body into one piece of memory, however small the chunks it comes in.
async fn read_body(mut body: Incoming, max: u64) -> Result<Bytes, Refusal> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::BODY)?;
        // What is not data is trailers, which nobody asked for.
        if let Ok(data) = frame.into_data() {
            if (whole.len() + data.len()) as u64 > max {
                return Err(Refusal::TOO_LARGE);
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

/// The time for the headers, then the time for the body; no timer is set while nothing waits.
struct Timeouts<'s> {
    shared: &'s Shared,
    has_head: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<'s> Timeouts<'s> {
    fn new(shared: &'s Shared) -> Self {
        Self {
            shared,
            has_head: false,
            sleep: None,
        }
    }

    fn poll(&mut self, has_head: bool, context: &mut Context<'_>) -> Poll<Refusal> {
        if has_head && !self.has_head {
            self.has_head = true;
            self.sleep = None;
        }
        let settings = &self.shared.settings;
        let (timeout, refusal) = if has_head {
            (settings.body_timeout, Refusal::BODY_TIMEOUT)
        } else {
            (settings.header_timeout, Refusal::HEADER_TIMEOUT)
        };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(sleep.as_mut().poll(context));
        Poll::Ready(refusal)
    }
}
