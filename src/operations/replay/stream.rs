//! What an event stream gets of the past, which is looked up while it begins: its client sends no message whose
//! reply could wait for that.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Asks, Begun, told};
use crate::bayeux::ChannelPattern;
use crate::history::Epoch;
use crate::operations::Scope;
use crate::router::ReplayExpired;
use crate::session::{Decided, Deciding, Found, From, Session};

/// Reads what an event stream asks for: what comes after its position, or what it says at first, or else what the
/// configuration says. It is told what is lost, and never refused for that: browsers would not ask again.
pub fn asked(patterns: &[ChannelPattern], since: Option<&From>, scope: &Scope<'_>) -> Asks {
    let is_kept = scope.history.store().is_some();
    let mut asks = Asks::default();
    for pattern in patterns {
        match scope.router.replay(pattern).filter(|_| is_kept) {
            Some(mut options) => {
                options.expired = ReplayExpired::Tell;
                // Even if it wants nothing of the past, it has to know where that ends.
                let from = since.cloned().unwrap_or_else(|| options.default.into());
                asks.add(pattern, from, options);
            }
            None if matches!(since, Some(From::After(..))) => asks.without.push(pattern.clone()),
            None => {}
        }
    }
    asks
}

/// What an event stream gets of the past, while that is looked up.
pub struct Recovering {
    /// That its channels come to this node.
    settled: Option<BoxFuture<'static, ()>>,
    /// Nothing: there is no history at all.
    decided: Option<Deciding>,
    without: Vec<ChannelPattern>,
    epoch: Epoch,
}

/// What it gets.
#[derive(Debug)]
pub struct Recovered {
    /// The number after which its messages come; nothing: none of its channels has history.
    pub after: Option<u64>,
    /// The channels of which something is lost, as replies tell it in JSON; nothing: there are none.
    pub lost: Option<String>,
}

impl Begun {
    /// Has it decided from where on they read; nothing if there is nothing to tell of the past.
    pub fn recovering(
        self,
        new: Vec<ChannelPattern>,
        session: &Session,
        scope: &Scope<'_>,
    ) -> Option<Recovering> {
        let settled = scope.interest_settled().map(|settled| settled.boxed());
        if self.runs.is_empty() && self.without.is_empty() && settled.is_none() {
            return None;
        }
        let epoch = scope.history.store().map(|store| store.epoch());
        let without = self.without;
        let replays = &scope.shared.replays;
        let runs = (!self.runs.is_empty()).then_some(self.runs);
        Some(Recovering {
            settled,
            decided: runs.map(|runs| replays.decide(session.id(), runs, new)),
            without,
            epoch: epoch.unwrap_or_else(|| "".into()),
        })
    }
}

impl fmt::Debug for Recovering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decided = &self.decided;
        f.debug_struct("Recovering")
            .field("decided", decided)
            .finish_non_exhaustive()
    }
}

impl Recovering {
    /// Waits until it is known; nothing if it cannot be known now.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Recovered>> {
        if let Some(settled) = &mut self.settled {
            ready!(settled.as_mut().poll(context));
            self.settled = None;
        }
        let found = match &mut self.decided {
            None => Vec::new(),
            Some(decided) => match ready!(Pin::new(decided).poll(context)) {
                Ok(Decided::Begun(found)) => found,
                Ok(Decided::Expired(..) | Decided::Failed(_)) | Err(_) => return Poll::Ready(None),
            },
        };
        Poll::Ready(Some(self.recovered(found)))
    }

    fn recovered(&self, found: Vec<Found>) -> Recovered {
        let after = found.iter().map(|found| found.after).min();
        let lost: Vec<Found> = found
            .into_iter()
            .filter(|found| found.missing.is_some())
            .collect();
        let is_lost = !lost.is_empty() || !self.without.is_empty();
        Recovered {
            after,
            lost: is_lost.then(|| told(&lost, &self.without, &self.epoch)),
        }
    }
}
