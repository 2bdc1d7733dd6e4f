//! The requests of a connection of another node: who may send them, and how they are answered.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::sync::{Semaphore, watch};

use super::answering::{Answering, Place};
use super::body::Body;
use super::connection::seconds;
use super::inbox::{Inbox, read, word};
use super::passing::{PassedAnswer, Passing};
use super::proof::{Digest, HEADER, Secret, digest_of};
use super::series::{AllSeries, Series, Stale};
use super::stranger::Proven;
use super::{PASS, path_of};
use crate::cluster::node::NodeId;
use crate::cluster::peers::{CallKind, Calls};
use crate::memory::Kind;
use crate::metrics::{Limit, Metrics, Notice};
use crate::traces::{self, Side, Span};

/// What all connections of other nodes have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) me: NodeId,
    pub(super) secret: Secret,
    pub(super) series: AllSeries,
    pub(super) calls: Arc<dyn Calls>,
    pub(super) passing: Arc<dyn Passing>,
    /// The places of requests that are passed on.
    pub(super) places: Arc<Semaphore>,
    pub(super) metrics: Arc<Metrics>,
}

/// What is known of who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has asked for nothing yet.
    Unknown,
    /// It is a node of this cluster.
    Node,
    /// It has asked for something that it may not have.
    Refused,
}

/// A connection, as what serves it has it.
#[derive(Debug, Clone)]
pub(super) struct Connection(pub(super) Arc<Requests>);

/// A connection's requests.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) shared: Arc<Shared>,
    pub(super) series: Mutex<Option<Series>>,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) proven: Arc<Proven>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Its sender does not show that it knows the secret.
    Unproven,
    /// It shows it too late, or again.
    Stale(Stale),
    /// It is for another node, which had this one's address.
    Misdirected,
    /// There is nothing there.
    Nothing,
    /// It does not say what its sender has signed.
    Changed,
    /// It is too large, there is no memory for it, or it breaks off.
    Unread,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::Unproven | Self::Stale(_) | Self::Changed => StatusCode::UNAUTHORIZED,
            Self::Unread => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Nothing => StatusCode::NOT_FOUND,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unproven => f.write_str("the secret (cluster.secret) is not the same"),
            Self::Stale(Stale::Clock(seconds)) => {
                write!(f, "the clocks of the two machines are {seconds} s apart")
            }
            Self::Stale(Stale::Repeated) => f.write_str("the request was sent before"),
            Self::Misdirected => f.write_str("this is another node"),
            Self::Nothing => f.write_str("there is nothing at this path"),
            Self::Changed => f.write_str("it was changed on its way"),
            Self::Unread => f.write_str("it is too large for the memory there is, or broke off"),
        }
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Call(CallKind),
    Pass,
}

/// A request whose head is verified.
struct Admitted {
    from: NodeId,
    purpose: Purpose,
    /// What it says, as its sender has signed it.
    said: Digest,
    /// What it has shown.
    shown: HeaderValue,
}

type Answered = Response<Body>;

impl Service<Request<Incoming>> for Connection {
    type Response = Answered;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answered, Infallible>> + Send>>;

    /// Nothing of a request is read before its head is verified. Heads come in the order in which they were sent.
    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let requests = Arc::clone(&self.0);
        match requests.admit(&request) {
            Ok(admitted) => Box::pin(async move {
                let span = span(&request);
                let body = request.into_body();
                let answered = async {
                    match admitted.purpose {
                        Purpose::Call(kind) => call(&requests.shared, &admitted, kind, body).await,
                        Purpose::Pass => pass(&requests.shared, &admitted, body).await,
                    }
                };
                let answered = span.around(answered).await;
                let answered = answered.unwrap_or_else(|refusal| requests.refused(refusal));
                span.answered(Side::Server, answered.status().as_u16());
                Ok(answered)
            }),
            Err(refusal) => Box::pin(ready(Ok(requests.refused(refusal)))),
        }
    }
}

impl Requests {
    fn admit(&self, request: &Request<Incoming>) -> Result<Admitted, Refusal> {
        let shared = &self.shared;
        let path = request.uri().path();
        let shown = request.headers().get(HEADER).ok_or(Refusal::Unproven)?;
        let header = shown.to_str().map_err(|_| Refusal::Unproven)?;
        let claim = shared.secret.verify(path, header);
        let claim = claim.ok_or(Refusal::Unproven)?;
        // What was said to another node shows nothing here.
        if claim.to != shared.me {
            return Err(Refusal::Misdirected);
        }
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = shared.series.take(&mut series, &claim, seconds());
        taken.map_err(Refusal::Stale)?;
        drop(series);
        self.standing.send_if_modified(|standing| {
            let is_new = *standing == Standing::Unknown;
            *standing = if is_new { Standing::Node } else { *standing };
            is_new
        });
        self.proven.note();
        if request.method() != Method::POST {
            return Err(Refusal::Nothing);
        }
        let mut kinds = CallKind::ALL.into_iter();
        let purpose = match path {
            PASS => Some(Purpose::Pass),
            path => kinds.find(|kind| path_of(*kind) == path).map(Purpose::Call),
        };
        Ok(Admitted {
            from: claim.from,
            purpose: purpose.ok_or(Refusal::Nothing)?,
            said: claim.said,
            shown: shown.clone(),
        })
    }

    fn refused(&self, refusal: Refusal) -> Answered {
        self.note(refusal);
        response(refusal.status(), refusal.to_string())
    }

    fn note(&self, refusal: Refusal) {
        match refusal {
            Refusal::Unproven | Refusal::Stale(_) | Refusal::Changed => {}
            Refusal::Misdirected => {
                self.standing.send_replace(Standing::Refused);
                return;
            }
            Refusal::Nothing | Refusal::Unread => return,
        }
        self.standing.send_replace(Standing::Refused);
        let metrics = &self.shared.metrics;
        metrics.cluster.strangers.increment();
        if let Some(permit) = metrics.may_log(Notice::Peer) {
            let suppressed = permit.suppressed;
            tracing::warn!(
                suppressed,
                "a request of another node was refused: {refusal}"
            );
        }
    }
}

/// Begins the span of a request, below that of the other node.
fn span(request: &Request<Incoming>) -> Span {
    let parent = request.headers().get(traces::HEADER);
    Span::begin(
        Side::Server,
        || format!("POST {}", request.uri().path()),
        parent,
    )
}

fn response(status: StatusCode, text: impl Into<Bytes>) -> Answered {
    let mut response = Response::new(Body::whole(text.into()));
    *response.status_mut() = status;
    response
}

/// Makes an answer that shows whose it is.
fn signed(shared: &Shared, admitted: &Admitted, said: &[u8], body: Body) -> Answered {
    let mut response = Response::new(body);
    let signature = shared.secret.sign(&admitted.shown, said);
    response.headers_mut().insert(HEADER, signature);
    response
}

async fn call(
    shared: &Shared,
    admitted: &Admitted,
    kind: CallKind,
    body: Incoming,
) -> Result<Answered, Refusal> {
    let read = read(body, &shared.metrics.memory, Kind::Requests).await;
    let (body, charge) = read.ok_or(Refusal::Unread)?;
    if digest_of(&body) != admitted.said {
        return Err(Refusal::Changed);
    }
    let answered = shared.calls.answer(admitted.from, kind, body).await;
    drop(charge);
    Ok(match answered {
        Ok(answer) => signed(shared, admitted, &answer.clone(), Body::whole(answer)),
        Err(reason) => response(StatusCode::CONFLICT, reason),
    })
}

/// Has a request answered that is passed on.
async fn pass(shared: &Shared, admitted: &Admitted, body: Incoming) -> Result<Answered, Refusal> {
    let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
        shared.metrics.limited(Limit::MaxPassed);
        let text = "as many requests as may be are passed on already (cluster.max_passed)";
        return Ok(response(StatusCode::SERVICE_UNAVAILABLE, text));
    };
    let place = Place::new(place, &shared.metrics);
    let mut inbox = Inbox::new(body);
    let whole = inbox.whole(&shared.metrics.memory, Kind::Requests).await;
    let (request, charge) = whole.ok_or(Refusal::Unread)?;
    if digest_of(&request) != admitted.said {
        return Err(Refusal::Changed);
    }
    let mut passed = shared.passing.begin(admitted.from, request);
    drop(charge);
    let answer = poll_fn(|context| {
        while let Poll::Ready(word) = inbox.poll_word(context) {
            match word {
                Some(word::SOON) => passed.hasten(),
                Some(word::CLOSED) => passed.note_closed(),
                // Its client is gone, or whoever has passed it on.
                Some(word::NOT_WRITTEN) | None => return Poll::Ready(None),
                Some(_) => {}
            }
        }
        passed.poll_answer(context).map(Some)
    })
    .await;
    drop(passed);
    let Some(PassedAnswer { bytes, delivery }) = answer else {
        return Ok(response(
            StatusCode::BAD_REQUEST,
            "the request was given up",
        ));
    };
    let answering = Answering::new(&bytes, delivery, inbox, place);
    let body = Body::Answering(Box::new(answering));
    Ok(signed(shared, admitted, &bytes, body))
}
