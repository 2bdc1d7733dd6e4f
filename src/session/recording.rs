//! A session between two processes: what one leaves to the next, and how that takes it up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use super::record::{StateRecord, VERSION};
use super::state::{State, Wake};
use super::{Browser, Origin, Record, Revive, Session, Share, Shared, Unreadable};
use crate::bayeux::ChannelPattern;
use crate::extensions::{Begun, Pipeline};

impl Session {
    /// Ends all ways by which its events are on their way, because the server is about to be gone: what is not
    /// written comes back. None leaves from now on.
    pub fn cut(&self) {
        let mut inner = self.lock();
        let wake = inner.state.cut();
        self.finish(inner, wake);
    }

    /// Goes on after [`cut`](Self::cut), as if it had not been.
    pub fn mend(&self) {
        let mut inner = self.lock();
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        let wake = state.mend(settings);
        self.finish(inner, wake);
    }

    /// Returns the number of the message of the cluster up to which it has got all on a node, of which that one has
    /// delivered all up to `last`: it may have come with more.
    #[must_use]
    pub fn has_all_up_to(&self, last: u64) -> u64 {
        self.lock().state.floor().max(last)
    }

    /// Returns how long others are to keep what they know of it once this node is dead: its client may wait for the
    /// reply to a connect all its time, before it comes back.
    #[must_use]
    pub fn outlives(&self) -> Duration {
        let settings = self.shared.settings.get();
        self.lock().state.outlives(&settings)
    }

    /// Tells whether it is being looked up what it gets of the past, which its record does not say.
    #[must_use]
    pub fn is_deciding(&self) -> bool {
        self.lock().state.is_deciding()
    }

    /// Returns the subscriptions of which it is to be known since when their messages come.
    #[must_use]
    pub fn beginning(&self) -> Vec<ChannelPattern> {
        self.lock().state.beginning()
    }

    /// Notes that the messages of these come since a number. All up to `last` have been offered to it.
    pub fn have_begun(&self, patterns: &[ChannelPattern], at: u64, last: u64) {
        let mut inner = self.lock();
        inner.state.have_begun(patterns, at, last);
        self.finish(inner, Wake::default());
    }

    /// Tells whether it was let go because another node had adopted it: what was changed here since is forgotten.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lock().state.is_lost()
    }

    /// Tells whether nothing of it is on its way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.lock().state.is_quiet()
    }

    /// Makes the record that another node is to go on with if this one dies: without events; nothing if it has
    /// ended. All messages of the cluster up to `last` have been offered to it.
    #[must_use]
    pub fn skeleton(&self, clocks: (Instant, SystemTime), last: u64) -> Option<Record> {
        let state = self.lock().state.skeleton(last)?;
        Some(self.record_of(state, clocks))
    }

    /// Makes its record, at this time by both clocks; nothing if it has ended.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn record(&self, clocks: (Instant, SystemTime)) -> Result<Option<Record>, Unreadable> {
        let state = self.lock().state.record(clocks.0)?;
        Ok(state.map(|state| self.record_of(state, clocks)))
    }

    fn record_of(&self, state: StateRecord, (now, time_of_day): (Instant, SystemTime)) -> Record {
        let Self {
            id,
            browser,
            begun,
            origin,
            shared,
            marks,
            extensions,
            granted: _,
            // It is counted anew, by the bounds of then.
            share: _,
            // It is full again.
            bucket: _,
            inner: _,
        } = self;
        let age = now.saturating_duration_since(*begun);
        let granted = self.granted();
        let extensions = extensions.as_deref();
        Record {
            version: VERSION,
            aliases: shared.aliases.key(),
            id: *id,
            browser: browser.id(),
            begun: time_of_day.checked_sub(age).unwrap_or(time_of_day),
            address: origin.address(),
            transport: origin.transport(),
            heard: origin.heard(),
            marks: marks.load(Relaxed),
            identity: granted.identity().map(|identity| (&**identity).into()),
            extensions: extensions.map_or_else(BTreeMap::new, |row| row.save(now)),
            state,
        }
    }

    /// Takes up a session that another process has left, with nothing granted. Its client has as long to come
    /// back as it always has, and what it may have been told to wait beside that. `count` is called once all of
    /// it was read, and returns its browser, and as whose it counts.
    ///
    /// # Errors
    /// An event of it cannot be read.
    pub fn of_record(
        record: Record,
        shared: &Arc<Shared>,
        revive: &mut Revive<'_>,
        (now, time_of_day): (Instant, SystemTime),
        count: impl FnOnce() -> (Arc<Browser>, Option<Box<Share>>),
    ) -> Result<Arc<Self>, Unreadable> {
        let Record {
            version: _,
            aliases: _,
            id,
            browser,
            begun: begun_at,
            address,
            transport,
            heard,
            marks,
            identity: _,
            extensions,
            state,
        } = record;
        let mut begun = Begun::new(now);
        shared.extensions.resume(&extensions, &mut begun);
        let settings = shared.settings.get();
        let told = settings.max_reconnect_spread + settings.callback_reconnect_interval;
        let state = State::of_record(state, browser, revive, told, &settings, now)?;
        let age = time_of_day.duration_since(begun_at).unwrap_or_default();
        let origin = Origin::new(address, transport);
        origin.hear(heard);
        let (browser, share) = count();
        let session = Self::of(
            state,
            id,
            browser,
            now.checked_sub(age).unwrap_or(now),
            Arc::clone(shared),
            Pipeline::from(begun.extensions),
            share,
            origin,
        );
        session.set_marks(marks);
        Ok(session)
    }
}

#[cfg(test)]
mod tests;
