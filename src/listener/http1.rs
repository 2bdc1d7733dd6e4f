//! One request from a socket: hyper reads its head, and gives the socket back with it.
//!
//! hyper's service never answers here: it waits for ever, and the socket is taken out of the
//! connection. So a request that waits for events costs no parser and no buffers, and every response is
//! written by us, in one write. Of the responses that hyper would write only the status is kept. The
//! head is then judged as every other is, and its body read by what that says.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use httparse::Status;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::time::Instant;

use super::Shared;
use super::hyper_io::HyperIo;
use super::proxy_protocol::is_begun;
use crate::memory::{Charge, Kind};
use crate::metrics::Limit;
use crate::transports::gate::holds_requests;
use crate::transports::message_http::Bounds;
use crate::web::transfer::{Fault, Malformed};
use crate::web::{self, Head, Socket, Transfer, strict};

/// What a client hears that waits to send a body.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What came from a socket.
pub(super) enum Reading {
    /// A request; its body has arrived.
    Request(Box<web::Request>, Socket),
    /// A request that is answered with this status and reason, and is the connection's last; its
    /// head, if that was understood.
    Refused(Unreadable, Option<Box<Head>>, Socket),
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

/// What it takes to read a head of which a part has come: hyper's parser and buffers, and what is around them.
const READING: usize = 20 * 1024;
/// What it takes to read a body, beside the body.
const COLLECTING: usize = 4 * 1024;

/// How long a request that has arrived in part may take for the rest when the server stops.
const REST_AT_STOP: Duration = Duration::from_secs(1);

/// Why a request is not served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unreadable {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    pub(super) limit: Option<Limit>,
}

impl Unreadable {
    pub(super) const BODY: Self = Self {
        status: StatusCode::BAD_REQUEST,
        reason: "the request's body is malformed",
        limit: None,
    };
    pub(super) const TOO_LARGE: Self = Self {
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

    pub(super) const NO_MEMORY: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        reason: "the server has no memory left for the request (memory.budget)",
        limit: Some(Limit::Memory),
    };

    const STOPPING: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        reason: "the server stops, and the request has not arrived whole",
        limit: None,
    };

    const PROXY_HEADER: Self = Self {
        status: StatusCode::BAD_REQUEST,
        reason: "the connection begins with a PROXY protocol header, which is read from http.trusted_proxies if \
            http.proxy_protocol is on",
        limit: None,
    };

    pub(super) fn malformed(malformed: Malformed) -> Self {
        Self {
            reason: malformed.reason(),
            ..Self::BODY
        }
    }

    pub(super) fn of_status(status: StatusCode) -> Self {
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

impl From<Missed> for Unreadable {
    /// A body did not arrive in time.
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Timeout => Self::BODY_TIMEOUT,
            Missed::Stop => Self::STOPPING,
        }
    }
}

impl From<Fault> for Unreadable {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed(malformed) => Self::malformed(malformed),
            Fault::TooLarge => Self::TOO_LARGE,
        }
    }
}

/// Reads the next request of a socket on which something has arrived, whatever it is.
pub(super) async fn read(socket: Socket, shared: &Shared) -> Reading {
    let bounds = shared.bounds();
    let mut charge = Charge::new(&shared.metrics.memory, Kind::Requests, READING);
    let (verdict, mut socket) = read_head(socket, bounds, &charge, shared).await;
    let mut arrived = socket.take_ahead();
    let parsed = parse(&mut arrived, bounds);
    socket.put_back(arrived);
    match (parsed, verdict) {
        (_, Verdict::Late) => Reading::Refused(Unreadable::HEADER_TIMEOUT, None, socket),
        (_, Verdict::Cut) => Reading::Refused(Unreadable::NO_MEMORY, None, socket),
        (_, Verdict::Stopping) => Reading::Refused(Unreadable::STOPPING, None, socket),
        (Parsed::Partial, Verdict::Ended) => Reading::Closed,
        (Parsed::Partial, verdict) => {
            let refusal = Unreadable::of_status(verdict.status());
            Reading::Refused(refusal, None, socket)
        }
        (Parsed::Refused(_), _) if is_begun(socket.arrived_bytes()) => {
            Reading::Refused(Unreadable::PROXY_HEADER, None, socket)
        }
        (Parsed::Refused(status), verdict) => {
            let refusal = Unreadable::of_status(verdict.status_or(status));
            Reading::Refused(refusal, None, socket)
        }
        (Parsed::Head(head, Err(malformed)), _) => {
            Reading::Refused(Unreadable::malformed(malformed), Some(head), socket)
        }
        (Parsed::Head(head, Ok(body)), Verdict::Head) if holds_requests(&head) => {
            Reading::Open(Box::new(Open { head: *head, body }), socket)
        }
        (Parsed::Head(head, Ok(body)), _)
            if body.length().is_some_and(|length| length > bounds.max_body) =>
        {
            Reading::Refused(Unreadable::TOO_LARGE, Some(head), socket)
        }
        (Parsed::Head(head, Ok(body)), Verdict::Head) => {
            charge.set(0);
            collect(*head, body, socket, &mut charge, shared).await
        }
        (Parsed::Head(head, Ok(_)), verdict) => {
            let refusal = Unreadable::of_status(verdict.status());
            Reading::Refused(refusal, Some(head), socket)
        }
    }
}

/// What hyper thinks of what it read.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    /// A head.
    Head,
    /// It would refuse it with this status.
    Refused(StatusCode),
    /// It did not arrive in time.
    Late,
    /// The server stops, and it did not arrive in the time that is left.
    Stopping,
    /// Memory is short, and it takes too much.
    Cut,
    /// Nothing: the client closed the connection, or speaks something else.
    Ended,
}

impl Verdict {
    fn status(self) -> StatusCode {
        match self {
            Self::Refused(status) => status,
            Self::Head | Self::Late | Self::Stopping | Self::Cut | Self::Ended => {
                StatusCode::BAD_REQUEST
            }
        }
    }

    /// Returns the status of the refusal of a head that is refused here with this one. hyper's depends on
    /// how much of the head came at once, but for a target that is too long: that it sees whole.
    fn status_or(self, status: StatusCode) -> StatusCode {
        match self {
            Self::Refused(StatusCode::URI_TOO_LONG) => StatusCode::URI_TOO_LONG,
            _ => status,
        }
    }
}

/// Has hyper read a head, and returns the socket with all that was read.
async fn read_head(
    socket: Socket,
    bounds: Bounds,
    charge: &Charge,
    shared: &Shared,
) -> (Verdict, Socket) {
    let has_head = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        // Before hyper reads on.
        has_head.store(true, Relaxed);
        Box::pin(async move {
            // To drop a body would have hyper read it to its end.
            let _request = request;
            pending::<Result<Response<Empty<Bytes>>, Infallible>>().await
        })
    });
    let mut connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .max_header_size(bounds.max_head)
        .max_headers(bounds.max_headers)
        .max_buf_size(bounds.max_head)
        .serve_connection(HyperIo::new(socket, &has_head), service);
    let read = poll_fn(|context| {
        let ended = connection.poll_without_shutdown(context);
        if has_head.load(Relaxed) {
            return Poll::Ready(Verdict::Head);
        }
        if charge.poll_cut(context).is_ready() {
            return Poll::Ready(Verdict::Cut);
        }
        ended.map(|_| Verdict::Ended)
    });
    let read = in_time(read, shared.settings.header_timeout, shared).await;
    let io = connection.into_parts().io;
    let verdict = match (read, io.refused) {
        (Ok(verdict @ (Verdict::Head | Verdict::Cut)), _) => verdict,
        (_, Some(status)) => Verdict::Refused(status),
        (Ok(verdict), None) => verdict,
        (Err(Missed::Timeout), None) => Verdict::Late,
        (Err(Missed::Stop), None) => Verdict::Stopping,
    };
    (verdict, io.into_socket())
}

/// Why a part of a request is not waited for any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missed {
    Timeout,
    Stop,
}

/// Waits for a part of a request: for so long, or when the server stops for [`REST_AT_STOP`].
pub(super) async fn in_time<F: Future>(
    part: F,
    timeout: Duration,
    shared: &Shared,
) -> Result<F::Output, Missed> {
    let mut part = pin!(part);
    let mut sleep = pin!(tokio::time::sleep(timeout));
    let mut missed = Missed::Timeout;
    poll_fn(|context| {
        if let Poll::Ready(output) = part.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        // The connection's task is woken when the server stops.
        if missed == Missed::Timeout && shared.is_stopping() {
            missed = Missed::Stop;
            sleep.as_mut().reset(Instant::now() + REST_AT_STOP);
        }
        sleep.as_mut().poll(context).map(|()| Err(missed))
    })
    .await
}

/// What stands at the beginning of what has arrived.
pub(super) enum Parsed {
    /// A head, and how its body comes.
    Head(Box<Head>, Result<Transfer, Malformed>),
    /// A part of one.
    Partial,
    /// None, or one that is too large: the status by which it is refused.
    Refused(StatusCode),
}

/// Takes a head off what has arrived: by the parser that hyper has, which keeps less of it. What is behind
/// the bound is not looked at, however much of it has come.
pub(super) fn parse(arrived: &mut Bytes, bounds: Bounds) -> Parsed {
    const TOO_LARGE: Parsed = Parsed::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    const MALFORMED: Parsed = Parsed::Refused(StatusCode::BAD_REQUEST);
    let text = arrived.slice(..arrived.len().min(bounds.max_head));
    let mut headers = vec![httparse::EMPTY_HEADER; bounds.max_headers];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(&text) {
        Ok(Status::Complete(length)) => {
            let Some(head) = Head::parsed(&request, &text) else {
                return MALFORMED;
            };
            arrived.advance(length);
            Parsed::Head(Box::new(head), strict::check(&request))
        }
        Ok(Status::Partial) if arrived.len() < bounds.max_head => Parsed::Partial,
        Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => TOO_LARGE,
        Err(_) => MALFORMED,
    }
}

/// Reads the body of a request.
async fn collect(
    head: Head,
    body: Transfer,
    mut socket: Socket,
    charge: &mut Charge,
    shared: &Shared,
) -> Reading {
    let settings = &shared.settings;
    let is_waited_for = head.expects_continue() && !body.has_ended() && !socket.has_ahead();
    if is_waited_for {
        let written = socket.write(CONTINUE, settings.patience()).await;
        if written.is_err() {
            return Reading::Closed;
        }
    }
    let read = read_body(body, &mut socket, shared.max_message_size, charge);
    let read = in_time(read, settings.body_timeout, shared).await;
    // An empty buffer may still hold on to memory.
    let ahead = socket.take_ahead();
    socket.put_back(ahead);
    let read = read.unwrap_or_else(|missed| Err(missed.into()));
    match read {
        Ok(body) => Reading::Request(Box::new(web::Request { head, body }), socket),
        Err(refusal) => Reading::Refused(refusal, Some(Box::new(head)), socket),
    }
}

/// Reads a body into one piece of memory, however small the pieces it comes in.
async fn read_body(
    mut body: Transfer,
    socket: &mut Socket,
    max: u64,
    charge: &mut Charge,
) -> Result<Bytes, Unreadable> {
    if let Some(length) = body.length() {
        let length = usize::try_from(length).map_err(|_| Unreadable::TOO_LARGE)?;
        while let missing @ 1.. = length.saturating_sub(socket.arrived_bytes().len()) {
            fill(socket, missing, 0, charge).await?;
        }
        return Ok(socket.arrived_bytes().split_to(length).freeze());
    }
    let mut whole = BytesMut::new();
    loop {
        body.decode(socket.arrived_bytes(), &mut whole, max)?;
        if body.has_ended() {
            return Ok(whole.freeze());
        }
        let missing = usize::try_from(body.announced()).unwrap_or(usize::MAX);
        fill(socket, missing, whole.capacity(), charge).await?;
    }
}

/// Waits for more of a body, of which so many bytes are kept elsewhere; not if there is no memory for more.
fn fill(
    socket: &mut Socket,
    missing: usize,
    kept: usize,
    charge: &mut Charge,
) -> impl Future<Output = Result<(), Unreadable>> {
    poll_fn(move |context| {
        charge.set(COLLECTING + socket.memory() + kept);
        if !charge.may_grow() || charge.poll_cut(context).is_ready() {
            return Poll::Ready(Err(Unreadable::NO_MEMORY));
        }
        let is_there = std::task::ready!(socket.poll_fill_much(missing, context));
        Poll::Ready(is_there.then_some(()).ok_or(Unreadable::BODY))
    })
}
