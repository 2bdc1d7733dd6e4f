//! The requests of a connection of another node: who may send them, and how they are answered.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::sync::{Semaphore, watch};

use super::answering::{Answering, Place};
use super::body::Body;
use super::connection::seconds;
use super::inbox::{Inbox, word};
use super::passing::{PassedAnswer, Passing};
use super::proof::{HEADER, Secret};
use super::series::{AllSeries, Series, Stale};
use super::{PASS, path_of, read};
use crate::cluster::node::NodeId;
use crate::cluster::peers::{CallKind, Calls};
use crate::metrics::{Limit, Metrics, Notice};

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

/// A connection's requests.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) shared: Arc<Shared>,
    pub(super) series: Mutex<Option<Series>>,
    pub(super) standing: watch::Sender<Standing>,
}

/// Why a request is refused before it is read.
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
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::Unproven | Self::Stale(_) => StatusCode::UNAUTHORIZED,
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
        }
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Call(CallKind),
    Pass,
}

type Answered = Response<Body>;

impl Service<Request<Incoming>> for Requests {
    type Response = Answered;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answered, Infallible>> + Send>>;

    /// Nothing of a request is read before its head is verified. Heads come in the order in which they were sent.
    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        match self.admit(&request) {
            Ok((from, Purpose::Call(kind))) => {
                Box::pin(async move { Ok(call(&shared, from, kind, request.into_body()).await) })
            }
            Ok((from, Purpose::Pass)) => {
                Box::pin(async move { Ok(pass(&shared, from, request.into_body()).await) })
            }
            Err(refusal) => {
                self.note(refusal);
                let text = refusal.to_string();
                Box::pin(ready(Ok(response(refusal.status(), text))))
            }
        }
    }
}

impl Requests {
    fn admit(&self, request: &Request<Incoming>) -> Result<(NodeId, Purpose), Refusal> {
        let shared = &self.shared;
        let path = request.uri().path();
        let header = request.headers().get(HEADER);
        let header = header.and_then(|header| header.to_str().ok());
        let claim = header.and_then(|header| shared.secret.verify(path, header));
        let claim = claim.ok_or(Refusal::Unproven)?;
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = shared.series.take(&mut series, &claim, seconds());
        taken.map_err(Refusal::Stale)?;
        drop(series);
        self.standing.send_if_modified(|standing| {
            let is_new = *standing == Standing::Unknown;
            *standing = if is_new { Standing::Node } else { *standing };
            is_new
        });
        if claim.to != shared.me {
            return Err(Refusal::Misdirected);
        }
        if request.method() != Method::POST {
            return Err(Refusal::Nothing);
        }
        let mut kinds = CallKind::ALL.into_iter();
        let purpose = match path {
            PASS => Some(Purpose::Pass),
            path => kinds.find(|kind| path_of(*kind) == path).map(Purpose::Call),
        };
        Ok((claim.from, purpose.ok_or(Refusal::Nothing)?))
    }

    fn note(&self, refusal: Refusal) {
        if !matches!(refusal, Refusal::Unproven | Refusal::Stale(_)) {
            return;
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

fn response(status: StatusCode, text: impl Into<Bytes>) -> Answered {
    let mut response = Response::new(Body::whole(text.into()));
    *response.status_mut() = status;
    response
}

async fn call(shared: &Shared, from: NodeId, kind: CallKind, body: Incoming) -> Answered {
    let Some(body) = read(body).await else {
        return response(
            StatusCode::BAD_REQUEST,
            "the call is too large, or broke off",
        );
    };
    match shared.calls.answer(from, kind, body).await {
        Ok(answer) => response(StatusCode::OK, answer),
        Err(reason) => response(StatusCode::CONFLICT, reason),
    }
}

/// Has a request answered that is passed on.
async fn pass(shared: &Shared, from: NodeId, body: Incoming) -> Answered {
    let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
        shared.metrics.limited(Limit::MaxPassed);
        let text = "as many requests as may be are passed on already (cluster.max_passed)";
        return response(StatusCode::SERVICE_UNAVAILABLE, text);
    };
    let place = Place::new(place, &shared.metrics);
    let mut inbox = Inbox::new(body);
    let Some(request) = inbox.whole().await else {
        return response(
            StatusCode::BAD_REQUEST,
            "the request is too large, or broke off",
        );
    };
    let mut passed = shared.passing.begin(from, request);
    let answer = poll_fn(|context| {
        while let Poll::Ready(word) = inbox.poll_word(context) {
            match word {
                Some(word::SOON) => passed.hasten(),
                Some(_) => {}
                // Whoever has passed it on is gone.
                None => return Poll::Ready(None),
            }
        }
        passed.poll_answer(context).map(Some)
    })
    .await;
    drop(passed);
    let Some(PassedAnswer { bytes, delivery }) = answer else {
        return response(StatusCode::BAD_REQUEST, "the request was given up");
    };
    let answering = Answering::new(&bytes, delivery, inbox, place);
    Response::new(Body::Answering(Box::new(answering)))
}
