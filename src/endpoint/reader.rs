//! One request from a socket, read by hyper, which gives the socket back afterwards.
//!
//! hyper's service never answers here: it stores the request and waits for ever, and the socket is
//! taken out of the connection. So a request that waits for events costs no parser and no buffers,
//! and every response is written by us, in one write. What hyper itself would write is `100
//! Continue`, which passes, and its error responses, of which only the status is kept.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::request::Parts;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::Shared;
use crate::metrics::Limit;
use crate::web::Socket;

/// What came from a socket.
pub(super) enum Reading {
    /// A request; its body has arrived.
    Request(Box<Request<Bytes>>, Socket),
    /// A request that is answered with this status and reason, and is the connection's last; its
    /// head, if that was understood.
    Refused(Refusal, Option<Box<Parts>>, Socket),
    /// The client closed the connection.
    Closed,
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

type Outcome = Result<Request<Bytes>, (Refusal, Option<Box<Parts>>)>;

/// Where the service leaves the request.
#[derive(Debug, Default)]
struct Slot(Mutex<SlotState>);

#[derive(Debug, Default)]
struct SlotState {
    has_head: bool,
    outcome: Option<Outcome>,
}

impl Slot {
    fn note_head(&self) {
        self.lock().has_head = true;
    }

    fn fill(&self, outcome: Outcome) {
        self.lock().outcome = Some(outcome);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SlotState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the next request of a socket on which something has arrived.
pub(super) async fn read(socket: Socket, shared: &Shared) -> Reading {
    let slot = Arc::new(Slot::default());
    let max_body = shared.max_message_size;
    let service = service_fn(|request: Request<Incoming>| {
        let slot = Arc::clone(&slot);
        Box::pin(async move {
            slot.note_head();
            slot.fill(collect(request, max_body).await);
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
        .serve_connection(Wire::new(socket), service);
    let mut timeouts = Timeouts::new(shared);
    let outcome = poll_fn(|context| {
        let ended = connection.poll_without_shutdown(context);
        let (has_head, outcome) = {
            let mut slot = slot.lock();
            (slot.has_head, slot.outcome.take())
        };
        if let Some(outcome) = outcome {
            return Poll::Ready(Some(outcome));
        }
        if ended.is_ready() {
            return Poll::Ready(None);
        }
        timeouts
            .poll(has_head, context)
            .map(|refusal| Some(Err((refusal, None))))
    })
    .await;
    let parts = connection.into_parts();
    let refused_by_parser = parts.io.refused;
    let socket = parts.io.into_socket(parts.read_buf);
    match (outcome, refused_by_parser) {
        (Some(Ok(request)), _) => Reading::Request(Box::new(request), socket),
        (Some(Err((refusal, head))), _) => Reading::Refused(refusal, head, socket),
        (None, Some(status)) => Reading::Refused(Refusal::of_status(status), None, socket),
        (None, None) => Reading::Closed,
    }
}

async fn collect(request: Request<Incoming>, max_body: u64) -> Outcome {
    let (head, body) = request.into_parts();
    let announced = head
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max_body) {
        return Err((Refusal::TOO_LARGE, Some(Box::new(head))));
    }
    if body.is_end_stream() {
        return Ok(Request::from_parts(head, Bytes::new()));
    }
    match read_body(body, max_body).await {
        Ok(body) => Ok(Request::from_parts(head, body)),
        Err(refusal) => Err((refusal, Some(Box::new(head)))),
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

/// A socket under hyper: first what was read before, and none of hyper's own responses.
struct Wire {
    ahead: Bytes,
    stream: TokioIo<TcpStream>,
    refused: Option<StatusCode>,
}

impl Wire {
    fn new(socket: Socket) -> Self {
        let (stream, ahead) = socket.into_parts();
        Self {
            ahead,
            stream: TokioIo::new(stream),
            refused: None,
        }
    }

    /// Gives the socket back; hyper had read `unused` last, before what it has not read yet.
    fn into_socket(self, unused: Bytes) -> Socket {
        let ahead = match (unused.is_empty(), self.ahead.is_empty()) {
            (_, true) => unused,
            (true, false) => self.ahead,
            (false, false) => [unused, self.ahead].concat().into(),
        };
        Socket::new(self.stream.into_inner(), ahead)
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let size = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead[..size]);
        self.ahead.advance(size);
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let status = bytes
            .strip_prefix(b"HTTP/1.")
            .and_then(|rest| StatusCode::from_bytes(rest.get(2..5)?).ok());
        if status.is_some_and(|status| !status.is_informational()) {
            self.refused = status;
        }
        if self.refused.is_some() {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
