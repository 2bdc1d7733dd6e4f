//! What a server is made of, for all that works on it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::node::Cluster;
use crate::bayeux::{ClientId, Draft, Event, Limits};
use crate::history::History;
use crate::live::Live;
use crate::operations::{self, RefusedUsers, Scope, Terms};
use crate::resources::Resources;
use crate::router::Router;
use crate::sequence::Sequence;
use crate::services::connected::Connected;
use crate::services::{Handed, Reach};
use crate::session::{Delivered, Sessions, Shared};

/// Sessions, subscriptions, resources, and their bounds.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) terms: Live<Terms>,
    pub(super) connection_types: Vec<&'static str>,
    pub(super) has_ack: bool,
    pub(super) sessions: Sessions,
    pub(super) router: Router,
    pub(super) resources: Arc<Resources>,
    pub(super) history: History,
    pub(super) sequence: Sequence,
    /// The cluster that this server is a node of.
    pub(super) cluster: Option<Cluster<Self>>,
    pub(super) refused_users: RefusedUsers,
    pub(super) connected: Arc<Connected>,
    pub(super) shared: Arc<Shared>,
}

impl Core {
    /// Returns until when clients may have waited in vain for another node of the cluster: as long as one is missed, but
    /// no longer than they wait for a poll.
    pub(super) fn unheard(&self, now: Instant) -> Option<Instant> {
        let cluster = self.cluster.as_ref()?;
        cluster
            .nodes
            .unheard(self.shared.settings.get().timeout, now)
    }

    pub(super) fn scope(&self, now: Instant) -> Scope<'_> {
        Scope {
            sessions: &self.sessions,
            router: &self.router,
            resources: &self.resources,
            history: &self.history,
            terms: self.terms.get(),
            refused_users: &self.refused_users,
            connected: &self.connected,
            shared: &self.shared,
            connection_types: &self.connection_types,
            has_ack: self.has_ack,
            now,
            time_of_day: SystemTime::now,
            clocks,
            work: Cell::new(0),
            sequence: &self.sequence,
            cluster: self.cluster.as_ref().map(|cluster| &cluster.links),
            once: RefCell::default(),
            kept_back: RefCell::default(),
        }
    }
}

impl Reach for Core {
    fn encode(&self, event: &Draft<'_>) -> Arc<Event> {
        let scope = self.scope(Instant::now());
        scope.encode(&mut event.clone(), None)
    }

    fn hand(&self, to: ClientId, event: &Arc<Event>) -> Handed {
        let Some(session) = self.sessions.find(to) else {
            return Handed::Gone;
        };
        let scope = self.scope(Instant::now());
        let delivered = session.deliver(event, None, || scope.now);
        if let Some(reason) = delivered.end() {
            scope.end(&session, reason);
            return Handed::Gone;
        }
        if delivered == Delivered::Dropped {
            return Handed::Full;
        }
        self.shared.metrics.delivered.increment();
        Handed::Queued
    }

    fn offer(&self, to: ClientId, event: &Arc<Event>, part: usize) -> Handed {
        let Some(session) = self.sessions.find(to) else {
            return Handed::Gone;
        };
        if session.offer(event, part, Instant::now) == Delivered::Queued {
            self.shared.metrics.delivered.increment();
            Handed::Queued
        } else {
            Handed::Full
        }
    }

    fn publish(&self, event: Draft<'_>) {
        // Nobody waits for what becomes of it.
        let _ = operations::publish(event, None, &self.scope(Instant::now()));
    }

    fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.terms.get().limits)
    }
}

/// Tells the time now, by the clock that measures and of day.
pub(super) fn clocks() -> (Instant, SystemTime) {
    (Instant::now(), SystemTime::now())
}
