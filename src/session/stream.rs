//! A connection that outlives its messages, as the session sees it.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{Browser, EndReason, Session, Wake, keep};
use crate::bayeux::{Event, RandomId};

/// What a stream has to do.
#[derive(Debug)]
pub enum StreamStep {
    /// Write these events; `first` is the number of the first, if they are kept to be repeated.
    Events {
        /// Counts the events of the session that left by streams, from 1.
        first: u64,
        /// In order.
        events: Vec<Arc<Event>>,
    },
    /// Another stream, or a client that polls, took the session over.
    Displaced,
    /// The session ended.
    Ended(EndReason),
}

/// Where a stream begins whose events are kept to be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// The number of the last event before.
    pub after: u64,
    /// Whether it continues another, if that was asked, without a gap.
    pub is_complete: bool,
}

/// A connection by which events leave as they come, such as a WebSocket; of one session at a time.
/// Dropped, it lets go of its session, which waits for another until it expires.
#[derive(Debug, Default)]
pub struct Stream {
    attached: Option<Attached>,
    past: Past,
    /// It is the response of a connect.
    is_of_connect: bool,
}

/// What speaks for a stream without a browser cookie.
#[derive(Debug, Default)]
enum Past {
    /// Nothing.
    #[default]
    None,
    /// It had no session yet, and was opened at this time.
    Opened(Instant),
    /// It had a session of this browser.
    Of(Arc<Browser>),
}

#[derive(Debug)]
struct Attached {
    session: Arc<Session>,
    ticket: u64,
}

/// What speaks for a client that is at another node than its session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asker {
    /// Its browser cookies.
    pub cookies: Vec<RandomId>,
    /// How long ago its stream was opened, if that had no session yet.
    pub opened: Option<Duration>,
    /// The browser whose session its stream had.
    pub browser: Option<RandomId>,
}

impl Asker {
    /// One that has nothing but cookies.
    #[must_use]
    pub fn of(cookies: &[RandomId]) -> Self {
        Self {
            cookies: cookies.to_vec(),
            ..Self::default()
        }
    }

    /// Tells whether it may use a session, as [`Stream::admits`] does.
    #[must_use]
    pub fn may_use(&self, session: &Session, now: Instant) -> bool {
        let is_first = || {
            let opened = self.opened.and_then(|ago| now.checked_sub(ago));
            opened.is_some_and(|opened| session.admits_first_stream(opened, now))
        };
        session.admits(&self.cookies)
            || self.cookies.is_empty()
                && (is_first() || self.browser == Some(session.browser().id()))
    }
}

impl Stream {
    /// Makes a stream without a session.
    #[must_use]
    pub fn opened(now: Instant) -> Self {
        Self {
            attached: None,
            past: Past::Opened(now),
            is_of_connect: false,
        }
    }

    /// Makes a stream without a session that is the response of a connect.
    #[must_use]
    pub fn of_connect() -> Self {
        Self {
            attached: None,
            past: Past::None,
            is_of_connect: true,
        }
    }

    /// Tells whether its client may use a session by it: one that it uses already, or one that admits
    /// its cookies.
    ///
    /// A stream that was opened without a cookie may be of a browser that has one by now: Faye opens
    /// its WebSocket while it handshakes by POST, and its first connect by POST may be faster. So its
    /// first session may be one that was made a moment ago, at about the same time, and has had no stream
    /// yet; from then on it is of that session's browser.
    #[must_use]
    pub fn admits(&self, session: &Arc<Session>, cookies: &[RandomId], now: Instant) -> bool {
        if session.admits(cookies) || self.is_of(session) {
            return true;
        }
        cookies.is_empty()
            && match &self.past {
                Past::None => false,
                Past::Opened(at) => session.admits_first_stream(*at, now),
                Past::Of(browser) => browser.id() == session.browser().id(),
            }
    }

    /// Returns what speaks for its client, for a session of another node.
    #[must_use]
    pub fn asker(&self, cookies: &[RandomId], now: Instant) -> Asker {
        let mut asker = Asker::of(cookies);
        match &self.past {
            Past::None => {}
            Past::Opened(at) => asker.opened = Some(now.saturating_duration_since(*at)),
            Past::Of(browser) => asker.browser = Some(browser.id()),
        }
        asker
    }

    /// Makes this the stream of a session, and of no other; does nothing if it was that already.
    pub fn attach(&mut self, session: &Arc<Session>, now: Instant) {
        if self.is_of(session) {
            return;
        }
        self.detach(now);
        self.past = Past::Of(Arc::clone(session.browser()));
        let is_of_connect = self.is_of_connect;
        let ticket = session.attach(|state| {
            state.do_not_replay();
            if is_of_connect {
                state.stream_is_of_connect();
            }
            false
        });
        self.attached = ticket.map(|ticket| Attached {
            session: Arc::clone(session),
            ticket,
        });
    }

    /// Makes a stream whose events are kept to be repeated, for one that continues another after
    /// the event `last`. With `keeps_session` the session lives as long as the stream. Nothing if the
    /// session has ended.
    #[must_use]
    pub fn replaying(
        session: &Arc<Session>,
        last: Option<u64>,
        keeps_session: bool,
    ) -> Option<(Self, Beginning)> {
        let mut beginning = None;
        let ticket = session.attach(|state| {
            beginning = Some(state.replay(last));
            if keeps_session {
                state.keep_with_stream();
            }
            // A connect beside such a stream is not held, nor one that came before it, unless its
            // client acknowledges.
            !state.acknowledges() && state.resume()
        })?;
        let attached = Some(Attached {
            session: Arc::clone(session),
            ticket,
        });
        let stream = Self {
            attached,
            past: Past::None,
            is_of_connect: false,
        };
        Some((stream, beginning?))
    }

    /// Returns its session.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.attached.as_ref().map(|attached| &attached.session)
    }

    /// Tells whether it is the stream of this session, or was until another displaced it.
    #[must_use]
    pub fn is_of(&self, session: &Arc<Session>) -> bool {
        self.session().is_some_and(|own| Arc::ptr_eq(own, session))
    }

    /// Tells whether another took its session over, and it has yet to notice.
    #[must_use]
    pub fn is_displaced(&self) -> bool {
        self.attached
            .as_ref()
            .is_some_and(|Attached { session, ticket }| {
                !session.lock().state.is_undisplaced(*ticket)
            })
    }

    /// Waits for something to do; what was taken before counts as written. After the last two
    /// results it has no session any more, and without one it waits for ever.
    pub fn poll(&mut self, max_bytes: u64, context: &mut Context<'_>) -> Poll<StreamStep> {
        let Some(Attached { session, ticket }) = &self.attached else {
            return Poll::Pending;
        };
        let is_owned = session.is_owned();
        let mut inner = session.lock();
        if !is_owned && !inner.state.has_ended() {
            keep(&mut inner.stream_waker, context);
            return Poll::Pending;
        }
        let (state, settings) = (&mut inner.state, &*session.shared.settings.get());
        match state.next_for_stream(*ticket, max_bytes, settings) {
            Some(streamed) => {
                session.after(inner, Wake::default());
                if !matches!(streamed, StreamStep::Events { .. }) {
                    // Others wait for what it took last, which is written.
                    self.detach(Instant::now());
                }
                Poll::Ready(streamed)
            }
            None => {
                keep(&mut inner.stream_waker, context);
                Poll::Pending
            }
        }
    }

    /// Waits, while events are being written, until there is no use in that.
    pub fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(Attached { session, ticket }) = &self.attached else {
            return Poll::Ready(());
        };
        let mut inner = session.lock();
        if !inner.state.is_stream(*ticket) {
            return Poll::Ready(());
        }
        keep(&mut inner.stream_waker, context);
        Poll::Pending
    }

    /// Gives back the last of the events it took, because they were not written.
    pub fn give_back(&self, events: Vec<Arc<Event>>) {
        let Some(Attached { session, ticket }) = &self.attached else {
            return;
        };
        session.shared.metrics.restored.add(events.len());
        let mut inner = session.lock();
        let (state, settings) = (&mut inner.state, &*session.shared.settings.get());
        let wake = state.give_back(*ticket, events, settings);
        session.finish(inner, wake);
    }

    fn detach(&mut self, now: Instant) {
        let Some(Attached { session, ticket }) = self.attached.take() else {
            return;
        };
        let mut inner = session.lock();
        let (state, settings) = (&mut inner.state, &*session.shared.settings.get());
        let wake = state.detach(ticket, settings, now);
        session.finish(inner, wake);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.detach(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::ClientId;
    use crate::extensions::{Begun, Pipeline};
    use crate::session::state::tests::event;
    use crate::session::{Browser, Delivered, Origin, Settings, Shared};

    fn session() -> Arc<Session> {
        let shared = Shared::of(Settings::default(), Pipeline::default());
        let id = RandomId::from_random([1; 16]);
        let begun = Begun::new(Instant::now());
        Session::new(
            ClientId(id),
            Arc::new(Browser::new(id)),
            false,
            shared,
            begun,
            None,
            Origin::default(),
        )
    }

    fn deliver(session: &Session, name: &str) {
        let delivered = session.deliver(&event(name), None, Instant::now);
        assert_eq!(delivered, Delivered::Queued);
    }

    fn poll(stream: &mut Stream) -> Poll<StreamStep> {
        stream.poll(1000, &mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn a_stream_that_was_displaced_after_it_had_written_all_holds_back_nothing() {
        let session = session();
        let (mut old, mut new) = (Stream::default(), Stream::default());
        old.attach(&session, Instant::now());
        deliver(&session, "a");
        assert!(matches!(
            poll(&mut old),
            Poll::Ready(StreamStep::Events { .. })
        ));
        new.attach(&session, Instant::now());
        deliver(&session, "b");
        assert!(poll(&mut new).is_pending(), "a may come back yet");
        assert!(matches!(poll(&mut old), Poll::Ready(StreamStep::Displaced)));
        assert!(matches!(
            poll(&mut new),
            Poll::Ready(StreamStep::Events { .. })
        ));
    }
}
