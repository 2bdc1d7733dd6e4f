//! A session that another process has left: it goes on here, as far as the rules and bounds of now let it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::Scope;
use crate::access::{Asked, Identity, Subject};
use crate::bayeux::{BayeuxError, ChannelName, ChannelPattern, Event, Limits};
use crate::memory::Level;
use crate::session::{EndReason, EventRecord, Record, Session, Share, Unreadable};

/// The events that were read, each once however many sessions have it.
#[derive(Debug, Default)]
pub struct Revived(HashMap<(Bytes, u64, bool), Arc<Event>>);

impl Revived {
    fn event(&mut self, record: EventRecord, scope: &Scope<'_>) -> Result<Arc<Event>, Unreadable> {
        let (event, is_bounded) = record.event()?;
        let known = (event.json().clone(), event.id(), is_bounded);
        let event = self.0.entry(known).or_insert_with(|| {
            let channel = ChannelName::parse(event.channel(), &Limits::of_known_channels()).ok();
            let channel = channel.filter(|_| is_bounded);
            let bound = channel.and_then(|channel| scope.delivery(&channel).bound);
            Arc::new(event.bounded(bound).counted(&scope.metrics().memory))
        });
        Ok(Arc::clone(event))
    }
}

impl Scope<'_> {
    /// Takes up a session; false if it has to end instead, because there is no room for it, or access rules do
    /// not allow it any more. What it is subscribed to is looked at anew, and its client is told what it has
    /// lost. If who that is has expired meanwhile, it ends with its first timer.
    ///
    /// Nobody hears that it begins and is subscribed, as that was told before; but all hear of its end.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn take_up(&self, record: Record, revived: &mut Revived) -> Result<bool, Unreadable> {
        self.take_up_with(record, revived, |_| {})
    }

    /// Does so, and prepares the session before it gets what is published.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn take_up_with(
        &self,
        mut record: Record,
        revived: &mut Revived,
        prepare: impl FnOnce(&Arc<Session>),
    ) -> Result<bool, Unreadable> {
        let shared = self.shared;
        shared.aliases.go_on(record.aliases);
        if self.sessions.find(record.id).is_some() {
            return Err(Unreadable::Damaged("it is there already".to_owned()));
        }
        let identity = record.identity.take();
        let subject = Subject {
            identity: identity.map(|identity| Arc::new(Identity::from(identity))),
            address: record.address,
        };
        let browser = record.browser;
        let (mut has_room, clocks) = (true, (self.now, (self.time_of_day)()));
        let mut revive = |event| revived.event(event, self);
        let session = Session::of_record(record, shared, &mut revive, clocks, || {
            let share = self.room_again(&subject);
            has_room = share.is_some();
            (shared.browsers.add_session(browser), share.flatten())
        })?;
        prepare(&session);
        let max = shared.settings.get().max_subscriptions;
        let without_room = self.router.resume(&session, max);
        let is_allowed = self.terms.access.decide(Asked::Handshake, &subject).allowed;
        if let Some(identity) = &subject.identity {
            session.set_end(self.end_of(identity));
        }
        session.grant(self.terms.access.for_subject(subject));
        self.sessions.add(Arc::clone(&session));
        self.metrics().sessions.increment();
        if !has_room || !is_allowed {
            self.end(&session, EndReason::NotRestored);
            return Ok(false);
        }
        self.check_subscriptions(&session, &without_room);
        // Who was asked for a page of the past before may not have found it.
        session.give_up_replay();
        Ok(true)
    }

    /// Finds room for a session of somebody, and as whose it counts if that is limited.
    fn room_again(&self, subject: &Subject) -> Option<Option<Box<Share>>> {
        let settings = &self.shared.settings.get();
        let sessions = usize::try_from(self.metrics().sessions.value()).unwrap_or_default();
        let is_short = self.metrics().memory.level() >= Level::Short;
        if is_short || sessions >= settings.max_sessions {
            return None;
        }
        self.shared.shares.add_again(subject, settings).ok()
    }

    /// Takes away what there is no room for, and what access rules do not allow; what is left may be of an
    /// application server.
    fn check_subscriptions(&self, session: &Arc<Session>, without_room: &[ChannelPattern]) {
        let error = BayeuxError::TooManySubscriptions.text();
        for pattern in without_room {
            if !self.lose_subscription(session, pattern, error) {
                return;
            }
        }
        self.take_away(session, &session.granted());
        self.begin_calls(session, &session.subscriptions());
    }
}
