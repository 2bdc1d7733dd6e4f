//! The connect of a session that is held: taken, resumed, given up.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::state::{Connected, Resume, Wake};
use super::{Browser, Connect, EventsBy, Inner, Session, keep};
use crate::metrics::Limit;

impl Session {
    /// Tells whether a connect would get nothing: it displaces one that is held, or is answered at once
    /// although there is nothing for it. A session's first is never in vain.
    #[must_use]
    pub fn is_in_vain(&self, connect: &Connect, now: Instant) -> bool {
        let inner = self.lock();
        inner
            .state
            .is_in_vain(connect, &self.shared.settings.get(), now)
    }

    /// Answers a connect without doing what it asks for, since it comes too soon; returns how long its client
    /// is to be advised to wait. The session lives as long as that takes, and the held connect stays held.
    pub fn put_off(&self, wait: Duration, now: Instant) -> Duration {
        let mut inner = self.lock();
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        let interval = state.put_off(wait, settings, now);
        self.after(inner, Wake::default());
        interval
    }

    /// Takes a connect, which displaces the one that is held. The number tells it from all others of
    /// this session; events go with the newest only.
    pub fn connect(&self, connect: &Connect, now: Instant) -> (Connected, u64) {
        let is_owned = self.is_owned();
        let mut inner = self.lock();
        let displaced = inner.state.displace(connect.events_by);
        if displaced.connect {
            self.shared.metrics.displaced_connects.increment();
            self.unhold(&mut inner);
        }
        let mut counted = None;
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        let max_of_browser = match connect.by_http2 {
            true => settings.http2_max_sessions_per_browser,
            false => settings.max_sessions_per_browser,
        };
        let connected = state.connect(connect, is_owned, settings, now, || {
            let may_hold = self.may_hold_for(connect.browser.as_deref(), max_of_browser);
            counted = connect.browser.clone().filter(|_| may_hold);
            may_hold
        });
        if let Connected::Held(_) = connected {
            self.shared.metrics.held_connects.increment();
        } else if connect.events_by == EventsBy::ThisStream {
            inner.state.close_stream_of_connect();
        }
        if let Some(ownership) = &self.shared.ownership
            && inner.state.has_acknowledged()
        {
            ownership.note_acknowledged(self.id);
        }
        inner.held_browser = counted;
        let number = inner.state.newest_connect();
        self.after(inner, displaced);
        (connected, number)
    }

    /// Tells whether a connect is held, or about to be answered.
    #[must_use]
    pub fn holds_connect(&self) -> bool {
        self.lock().state.holds_connect()
    }

    /// Waits for the held connect to be resumed, and un-holds it.
    pub fn poll_resumed(
        &self,
        ticket: u64,
        now: impl FnOnce() -> Instant,
        context: &mut Context<'_>,
    ) -> Poll<Resume> {
        let is_owned = self.is_owned();
        let mut inner = self.lock();
        let mut is_held_again = false;
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        let resumed = if is_owned {
            state.take_resumed(ticket, settings, now)
        } else {
            let now = now();
            is_held_again = state.hold_again(ticket, now);
            state.take_resumed(ticket, settings, || now)
        };
        if let Some(resume) = resumed {
            self.after(inner, Wake::default());
            return Poll::Ready(resume);
        }
        keep(&mut inner.waker, context);
        if is_held_again {
            self.shared.metrics.held_connects.increment();
            self.after(inner, Wake::default());
        }
        Poll::Pending
    }

    /// Resumes a connect, if it is still held. Its client is told to connect again.
    pub fn resume(&self, ticket: u64) {
        let mut inner = self.lock();
        let wake = inner.state.resume_held(ticket);
        self.finish(inner, wake);
    }

    /// Gives up a held connect whose client went away; what is queued stays queued.
    pub fn release(&self, ticket: u64, now: Instant) {
        let mut inner = self.lock();
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        if state.release(ticket, settings, now) {
            self.shared.metrics.lost_connects.increment();
            self.unhold(&mut inner);
            inner.waker = None;
        }
        self.after(inner, Wake::default());
    }

    /// Resumes the held connect because the server stops, and holds none from now on.
    pub fn stop_holding(&self) {
        let mut inner = self.lock();
        let wake = inner.state.stop_holding();
        self.finish(inner, wake);
    }

    fn may_hold_for(&self, browser: Option<&Browser>, max: i32) -> bool {
        let Some(browser) = browser else { return true };
        let may = browser.hold(max);
        if !may {
            self.shared.metrics.limited(Limit::MaxSessionsPerBrowser);
        }
        may
    }

    pub(super) fn unhold(&self, inner: &mut Inner) {
        self.shared.metrics.held_connects.decrement();
        if let Some(browser) = inner.held_browser.take() {
            browser.release();
        }
    }
}
