//! Events that leave with the replies of a response: taken at its end, and put back if it is not
//! written.

use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexSet;

use super::state::{State, Wake};
use super::{InFlight, Session, Settings, Taken};
use crate::bayeux::{ChannelPattern, Event, Limits};

/// What became of events on their way with a reply, or of a gap that it tells.
#[derive(Debug)]
pub(super) enum Became<'e> {
    /// They were written.
    Written,
    /// These, the last of them, were not.
    NotWritten(Vec<Arc<Event>>),
    /// Nobody knows.
    Unknown(&'e [Arc<Event>]),
}

/// Returns the channels of events, each once.
fn channels(events: &[Arc<Event>]) -> Vec<ChannelPattern> {
    let names: IndexSet<&str> = events.iter().map(|event| event.channel()).collect();
    let any = Limits::of_known_channels();
    let names = names.into_iter();
    names
        .filter_map(|name| ChannelPattern::parse(name, &any).ok())
        .collect()
}

/// Which reply of a response may carry events with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carrier {
    /// None: clients expect a handshake, subscribe, unsubscribe or disconnect to be answered by
    /// its reply and nothing else.
    Other,
    /// The reply to a publish, unless the session delivers on connects only.
    Publish,
    /// The reply to a connect, by its number.
    Connect(u64),
}

impl Carrier {
    fn connect(self) -> Option<u64> {
        match self {
            Self::Connect(connect) => Some(connect),
            Self::Publish | Self::Other => None,
        }
    }

    fn drain(self, state: &mut State, settings: &Settings) -> Taken {
        match self {
            Self::Connect(connect) => {
                let taken = state.drain_for_connect(connect, settings);
                let gap = state.take_gap(connect, taken.number);
                Taken { gap, ..taken }
            }
            Self::Publish => Taken::of(state.drain_for_publish(settings)),
            Self::Other => Taken::default(),
        }
    }
}

impl Session {
    /// Holds back wake-ups while a batch of its client's own messages is processed.
    pub fn begin_batch(&self, now: Instant) {
        self.hear(now);
        let mut inner = self.lock();
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        state.begin_batch(settings, now);
    }

    /// Ends the batch: takes the events that its response may carry, and wakes the held connect if
    /// some are left.
    pub fn end_batch(self: &Arc<Self>, carrier: Carrier) -> Taken {
        let carrier = self.carrier(carrier);
        let mut inner = self.lock();
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        let taken = carrier.drain(state, settings);
        let wake = state.end_batch(settings);
        self.finish(inner, wake);
        self.in_flight(taken, carrier.connect())
    }

    /// Takes the events that a reply may carry; that to a connect none, if a newer one has come.
    pub fn take_events(self: &Arc<Self>, carrier: Carrier) -> Taken {
        let carrier = self.carrier(carrier);
        let mut inner = self.lock();
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        let taken = carrier.drain(state, settings);
        self.count_places(&mut inner);
        drop(inner);
        self.in_flight(taken, carrier.connect())
    }

    /// Returns what carries events: nothing while others may own it.
    fn carrier(&self, carrier: Carrier) -> Carrier {
        if self.is_owned() {
            carrier
        } else {
            Carrier::Other
        }
    }

    fn in_flight(self: &Arc<Self>, mut taken: Taken, connect: Option<u64>) -> Taken {
        self.shared.metrics.resent.add(taken.resent);
        let tells = taken.gap.is_some() && taken.number.is_none();
        if !taken.events.is_empty() || tells {
            taken.in_flight = Some(InFlight::new(self, connect));
        }
        taken
    }

    /// Ends the way of events with the reply to a connect, or to a publish; puts those back that were
    /// not written.
    pub(super) fn end_reply(&self, connect: Option<u64>, became: Became<'_>) {
        let mut inner = self.lock();
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        state.end_telling(connect, matches!(became, Became::Written));
        let mut gap = Wake::default();
        let mut restored = Vec::new();
        match became {
            Became::Written => state.note_reply(true),
            Became::NotWritten(unwritten) => {
                state.note_reply(unwritten.is_empty());
                restored = state.restorable(unwritten);
            }
            Became::Unknown(events) if !state.acknowledges() && !events.is_empty() => {
                gap = self.note_gap_in(state, &channels(events));
            }
            Became::Unknown(_) => {}
        }
        self.shared.metrics.restored.add(restored.len());
        let wake = state.end_reply(connect, restored, settings).and(gap);
        if connect == Some(inner.state.newest_connect()) {
            inner.reply_waker = None;
        }
        self.finish(inner, wake);
    }

    /// Stops the clock of the session while a response to it waits for its client.
    pub(super) fn begin_writing(&self, to_connect: bool) {
        let mut inner = self.lock();
        inner.state.begin_writing(to_connect);
        self.after(inner, Wake::default());
    }

    /// Starts it again, when that is written or given up.
    pub(super) fn end_writing(&self, to_connect: bool, now: Instant) {
        let mut inner = self.lock();
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        state.end_writing(to_connect, settings, now);
        self.after(inner, Wake::default());
    }
}
