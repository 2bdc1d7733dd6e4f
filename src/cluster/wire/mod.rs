//! What nodes say to each other: HTTP/2 with prior knowledge, one connection for all that a node asks of another.
//!
//! A call ([`Peers`]) is a request and its response. A request of a client that is passed on
//! ([`Wire::pass`]) stays open behind its answer, until the owner of the session has heard whether that was written.
//! Every request and every answer show that their senders know the secret ([`Secret`]), and that this is what they say;
//! it is not encrypted.

mod answering;
mod body;
mod connection;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod inbox;
mod line;
mod pass;
mod passing;
mod peer;
mod proof;
mod requests;
mod series;
mod serving;
mod stranger;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Response, StatusCode};
use hyper::body::Incoming;

use self::body::Body;
use self::inbox::read;
use self::peer::Peer;
use self::proof::Signature;
use super::node::{NodeId, NodeInfo};
use super::peers::{CallFailed, CallKind, Peers};
use crate::memory::Kind;
use crate::metrics::{Metrics, Notice};
use crate::traces::{Side, Span};

pub use self::pass::{Pass, Receipt};
pub use self::passing::{Delivery, Passed, PassedAnswer, Passing};
pub use self::proof::Secret;

/// What a node says at once at most: a call, a request that is passed on, or the answer to one.
const MAX_SIZE: usize = 64 * 1024 * 1024;
/// Where requests go that are passed on.
const PASS: &str = "/pass";

/// The settings of what nodes say to each other.
#[derive(Debug, Clone)]
pub struct WireSettings {
    /// How long an answer to a call is waited for.
    pub call_timeout: Duration,
    /// After how long without a sign of life a connection is given up.
    pub node_timeout: Duration,
    /// How many requests that others pass on are answered at once; above it: 503.
    pub max_passed: usize,
}

impl Default for WireSettings {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(5),
            node_timeout: Duration::from_secs(5),
            max_passed: 100_000,
        }
    }
}

/// The answer of another node, of which the head has come.
#[derive(Debug)]
struct Answer {
    body: Incoming,
    signature: Signature,
}

/// What nodes say to each other.
pub struct Wire {
    me: NodeId,
    secret: Secret,
    settings: WireSettings,
    metrics: Arc<Metrics>,
    book: Mutex<HashMap<NodeId, Arc<Peer>>>,
    /// The number of the client's request that was passed on last.
    requests: AtomicU64,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("me", &self.me).finish()
    }
}

impl Wire {
    /// Makes what a node says and hears. It knows no other yet.
    #[must_use]
    pub fn new(me: NodeId, secret: Secret, settings: WireSettings, metrics: Arc<Metrics>) -> Self {
        Self {
            me,
            secret,
            settings,
            metrics,
            book: Mutex::default(),
            requests: AtomicU64::new(0),
        }
    }

    /// Returns a number that tells a client's request from all others of this node, however often it is passed on.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.requests.fetch_add(1, Relaxed) + 1
    }

    /// Takes notice of the nodes that there are, and where others reach them. Connections to others go once nothing
    /// is under way by them.
    pub fn set_nodes(&self, nodes: &[NodeInfo]) {
        let mut book = self.book();
        let others = nodes.iter().filter(|node| node.id != self.me);
        let peers = others.map(|node| {
            let known = book.get(&node.id);
            let known = known.filter(|peer| peer.address() == node.address);
            let new = || Arc::new(Peer::new(node, &self.settings));
            (node.id, known.map_or_else(new, Arc::clone))
        });
        *book = peers.collect();
    }

    /// Passes a request on to another node, which hears of it once this is polled. Dropped before it is over, it
    /// tells the other node that its client is gone.
    #[must_use]
    pub fn pass(self: &Arc<Self>, to: NodeId, request: Bytes) -> Pass {
        let wire = Arc::clone(self);
        Pass::new(to, request, &self.metrics, move |body| async move {
            wire.ask(to, PASS, body).await
        })
    }

    /// Sends a request, and returns its answer if that is a success.
    async fn ask(&self, to: NodeId, path: &'static str, body: Body) -> Result<Answer, CallFailed> {
        let peer = self.book().get(&to).cloned();
        let peer = peer.ok_or(CallFailed::Unreachable(to))?;
        let (response, signature) = self.traced(&peer, path, body).await?;
        let (head, body) = response.into_parts();
        match head.status {
            StatusCode::OK => Ok(Answer { body, signature }),
            // Another node has its address.
            StatusCode::MISDIRECTED_REQUEST => Err(CallFailed::Unreachable(to)),
            status => {
                let read = Box::pin(read(body, &self.metrics.memory, Kind::Responses)).await;
                let (text, _) = read.ok_or(CallFailed::NoAnswer(to))?;
                let reason = String::from_utf8_lossy(&text).into_owned();
                if status == StatusCode::UNAUTHORIZED {
                    self.note_refused(&peer, &reason);
                }
                Err(CallFailed::Refused(reason))
            }
        }
    }

    /// Asks another node within a span.
    async fn traced(
        &self,
        peer: &Peer,
        path: &'static str,
        body: Body,
    ) -> Result<(Response<Incoming>, Signature), CallFailed> {
        let span = Span::begin(Side::Client, || format!("POST {path}"), None);
        span.set("server.address", peer.address());
        let asked = peer.ask((self.me, &self.secret), path, body, &span).await;
        match &asked {
            Ok((response, _)) => span.answered(Side::Client, response.status().as_u16()),
            Err(failed) => span.fail(failed),
        }
        asked
    }

    fn note_refused(&self, by: &Peer, reason: &str) {
        self.metrics
            .cluster
            .refusing
            .note(&format!("{by}: {reason}"));
        if let Some(permit) = self.metrics.may_log(Notice::Peer) {
            let suppressed = permit.suppressed;
            tracing::warn!(node = %by, suppressed, "another node refuses this one: {reason}");
        }
    }

    fn book(&self) -> MutexGuard<'_, HashMap<NodeId, Arc<Peer>>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peers for Wire {
    fn know(&self, nodes: &[NodeInfo]) {
        self.set_nodes(nodes);
    }

    fn call(
        &self,
        to: NodeId,
        kind: CallKind,
        body: Bytes,
    ) -> BoxFuture<'_, Result<Bytes, CallFailed>> {
        let asked = async move {
            let Answer { body, signature } = self.ask(to, path_of(kind), Body::whole(body)).await?;
            let said = read(body, &self.metrics.memory, Kind::Responses).await;
            signature.checked(said).ok_or(CallFailed::NoAnswer(to))
        };
        Box::pin(async move {
            let answered = tokio::time::timeout(self.settings.call_timeout, asked).await;
            answered.unwrap_or(Err(CallFailed::NoAnswer(to)))
        })
    }
}

fn path_of(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Take => "/call/take",
        CallKind::Give => "/call/give",
        CallKind::Ask => "/call/ask",
    }
}

#[cfg(test)]
mod tests;
