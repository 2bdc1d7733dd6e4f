//! The figures of a node of a cluster.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::render::{counter, gauge, head, line};
use super::{Counter, Gauge};

/// What is counted about the cluster.
#[derive(Debug, Default)]
pub struct Cluster {
    /// Messages that were published through Redis.
    pub published: Counter,
    /// Messages that came from Redis.
    pub received: Counter,
    /// Messages that reached this node's subscribers only, because Redis was away.
    pub local: Counter,
    /// Messages that were refused because Redis was away.
    pub refused: Counter,
    /// Holes that were seen in what came.
    pub holes: Counter,
    /// Messages that were missed, and read from history.
    pub filled: Counter,
    /// Sessions that were told that messages may be missing.
    pub gaps: Counter,
    /// Sessions that came from nodes that live.
    pub moved: Counter,
    /// Sessions that went on here after their nodes had died.
    pub adopted: Counter,
    /// Requests that wait for another node.
    pub passed: Gauge,
    /// Requests that were passed on to another node.
    pub passed_total: Counter,
    /// Requests of other nodes that are answered here.
    pub served: Gauge,
    /// Requests of nodes, or who claims to be one, that were refused.
    pub strangers: Counter,
    /// Questions about sessions, channels and users that other nodes did not answer.
    pub unanswered: Counter,
    /// Requests of this node that others have refused.
    pub refusing: Refusing,
    is_up: AtomicBool,
    is_on: AtomicBool,
}

/// Requests of this node that others have refused, because it did not show that it is a node of their cluster.
#[derive(Debug, Default)]
pub struct Refusing {
    count: Counter,
    /// When that was last, and why.
    last: Mutex<Option<(Instant, Box<str>)>>,
}

/// For how long a refusal is told.
const REFUSED_LATELY: Duration = Duration::from_secs(60);

impl Refusing {
    /// Notes one, and why.
    pub fn note(&self, reason: &str) {
        self.count.increment();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), reason.into()));
    }

    /// Returns why this node was refused within the last minute, if it was.
    #[must_use]
    pub fn lately(&self) -> Option<Box<str>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last
            .as_ref()
            .filter(|(at, _)| at.elapsed() < REFUSED_LATELY);
        last.map(|(_, reason)| reason.clone())
    }
}

impl Cluster {
    /// Notes whether Redis is there.
    pub fn set_up(&self, is_up: bool) {
        self.is_on.store(true, Relaxed);
        self.is_up.store(is_up, Relaxed);
    }

    /// Tells whether there is a cluster, whose Redis was there when it was last seen.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.is_on.load(Relaxed) && self.is_up.load(Relaxed)
    }

    /// Tells whether there is a cluster, whose Redis was away when it was last seen.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.is_on.load(Relaxed) && !self.is_up.load(Relaxed)
    }

    pub(super) fn render(&self, out: &mut String) {
        head(
            out,
            "cluster_up",
            "Whether the Redis of the cluster is there.",
            "gauge",
        );
        line(out, "cluster_up", "", &u8::from(self.is_up.load(Relaxed)));
        for (name, help, value) in self.counters() {
            counter(out, (name, help), value);
        }
        for (name, help, value) in [
            (
                "cluster_passed_requests",
                "Requests that wait for an answer of another node.",
                &self.passed,
            ),
            (
                "cluster_served_requests",
                "Requests of other nodes that are answered here.",
                &self.served,
            ),
        ] {
            gauge(out, (name, help), value);
        }
    }

    fn counters(&self) -> [(&str, &str, &Counter); 13] {
        [
            (
                "cluster_published_total",
                "Messages published through Redis.",
                &self.published,
            ),
            (
                "cluster_received_total",
                "Messages that came from Redis.",
                &self.received,
            ),
            (
                "cluster_local_total",
                "Messages that reached only the subscribers of this node, as Redis was away.",
                &self.local,
            ),
            (
                "cluster_refused_total",
                "Messages refused because Redis was away.",
                &self.refused,
            ),
            (
                "cluster_holes_total",
                "Holes seen in what came from Redis.",
                &self.holes,
            ),
            (
                "cluster_filled_total",
                "Messages that were missed, and then read from history.",
                &self.filled,
            ),
            (
                "cluster_gaps_total",
                "Times that a session was told that messages may be missing.",
                &self.gaps,
            ),
            (
                "cluster_passed_total",
                "Requests that were passed on to another node.",
                &self.passed_total,
            ),
            (
                "cluster_refused_peers_total",
                "Requests refused because their senders did not show that they are nodes of this cluster.",
                &self.strangers,
            ),
            (
                "cluster_refused_by_peers_total",
                "Requests of this node that other nodes refused, as it did not show that it is one of theirs.",
                &self.refusing.count,
            ),
            (
                "cluster_moved_sessions_total",
                "Sessions that came from another node.",
                &self.moved,
            ),
            (
                "cluster_adopted_sessions_total",
                "Sessions that went on here after their node had died.",
                &self.adopted,
            ),
            (
                "cluster_unanswered_total",
                "Questions about sessions, channels and users that other nodes did not answer.",
                &self.unanswered,
            ),
        ]
    }
}
