//! One client on this node: its queue, its held connect, and when it expires.
//!
//! A [`Session`] is a handle around a short lock on a pure state machine (`state.rs`); every effect,
//! a wake-up or a timer, happens after that lock is released.

mod acks;
mod being_written;
mod browsers;
mod connect;
mod delivering;
mod departed;
mod extensions;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gaps;
mod granting;
mod holding;
mod id_hasher;
mod in_flight;
mod listing;
mod missed;
mod origin;
mod overflow;
mod ownership;
mod queue;
mod reconnects;
mod record;
mod recording;
mod registry;
mod replaying;
mod replays;
mod replying;
pub mod settings;
mod shared;
mod shares;
mod state;
mod stream;
mod stream_slot;
mod subscribing;
mod subscriptions;
mod sweeper;
mod telling;
mod times;
mod unknown_sessions;
mod users;
mod weight;

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::task::{Context, Waker};
use std::time::Instant;

use crate::access::Granted;
use crate::bayeux::{Advice, ChannelPattern, ClientId, Transport};
use crate::extensions::{Begun, Pipeline};
use crate::memory::Budget;
use crate::metrics::Limit;
use crate::rates::Bucket;

pub use crate::metrics::EndReason;
pub use being_written::BeingWritten;
pub use browsers::{Browser, Browsers};
pub use connect::{Connect, EventsBy, Taken};
pub use id_hasher::IdHasher;
pub use in_flight::InFlight;
pub use listing::{Backlog, Selection};
pub use origin::Origin;
pub use overflow::Delivered;
pub use ownership::{CHECKPOINT, Changes, Ownership};
pub use reconnects::{Drain, Reconnects};
pub use record::{EventRecord, Record, Revive, Unreadable};
pub use registry::Sessions;
pub use replaying::Begins;
pub use replays::{Asked, Decided, Deciding, Decision, Found, From, Job, Replays, Run};
pub use replying::Carrier;
pub use settings::{MaxQueuePolicy, Settings};
pub use shared::Shared;
pub use shares::{Share, SharedCounts, Shares};
pub use state::{Connected, Lost, Resume};
use state::{State, Wake};
pub use stream::{Asker, Beginning, Stream, StreamStep};
pub use sweeper::{Tick, Timers, sweep};

/// A session and its state.
#[derive(Debug)]
pub struct Session {
    id: ClientId,
    browser: Arc<Browser>,
    begun: Instant,
    origin: Origin,
    shared: Arc<Shared>,
    marks: AtomicU8,
    /// Its own extensions, behind those of all sessions.
    extensions: Option<Box<Pipeline>>,
    /// What its client may do.
    granted: RwLock<Granted>,
    /// As whose it counts, if that is limited.
    share: Option<Box<Share>>,
    /// How fast its client may be.
    bucket: Bucket,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// Who waits for the held connect.
    waker: Option<Waker>,
    /// Who waits for events to write to the stream.
    stream_waker: Option<Waker>,
    /// Who writes a reply with events that the client did not read at once.
    reply_waker: Option<Waker>,
    /// The browser whose held connects the held connect counts as one of.
    held_browser: Option<Arc<Browser>>,
    /// When the timer of this session fires.
    armed: Option<Instant>,
    /// What is counted of the places of its events.
    places: u32,
}

impl Session {
    /// Makes a session that expires unless its client connects.
    #[must_use]
    pub fn new(
        id: ClientId,
        browser: Arc<Browser>,
        is_bound: bool,
        shared: Arc<Shared>,
        begun: Begun,
        share: Option<Box<Share>>,
        origin: Origin,
    ) -> Arc<Self> {
        let now = begun.now;
        let state = State::new(browser.id(), is_bound, &shared.settings.get(), &begun);
        let extensions = begun.extensions.into();
        Self::of(state, id, browser, now, shared, extensions, share, origin)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is a field, of one caller or another"
    )]
    fn of(
        state: State,
        id: ClientId,
        browser: Arc<Browser>,
        begun: Instant,
        shared: Arc<Shared>,
        extensions: Pipeline,
        share: Option<Box<Share>>,
        origin: Origin,
    ) -> Arc<Self> {
        let inner = Mutex::new(Inner {
            state,
            waker: None,
            stream_waker: None,
            reply_waker: None,
            held_browser: None,
            armed: None,
            places: 0,
        });
        let session = Arc::new(Self {
            id,
            browser,
            begun,
            origin,
            shared,
            marks: AtomicU8::new(0),
            extensions: (!extensions.is_empty()).then(|| Box::new(extensions)),
            granted: RwLock::default(),
            share,
            bucket: Bucket::default(),
            inner,
        });
        session.count_itself();
        session.after(session.lock(), Wake::default());
        session
    }

    /// Returns the identifier its client knows it by.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Returns when its handshake came.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Returns where its client is.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Notes a connect of its client, or a stream, and by what that comes if it is known.
    pub fn comes_by(&self, transport: Option<Transport>, now: Instant) {
        self.origin.comes_by(transport);
        self.hear(now);
    }

    /// Notes that its client sends something.
    fn hear(&self, now: Instant) {
        let after = now.saturating_duration_since(self.begun);
        self.origin.hear(after);
    }

    /// Returns the browser it was made for.
    #[must_use]
    pub fn browser(&self) -> &Arc<Browser> {
        &self.browser
    }

    /// Returns as whose it counts, if that is limited.
    #[must_use]
    pub fn share(&self) -> Option<&Share> {
        self.share.as_deref()
    }

    /// Returns what counts its client's messages.
    #[must_use]
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Lets a stream in, which is prepared before any other sees the session; nothing if it has
    /// ended. `prepare` tells whether it has resumed the held connect.
    fn attach(&self, prepare: impl FnOnce(&mut State) -> bool) -> Option<u64> {
        let mut inner = self.lock();
        let (ticket, mut wake) = inner.state.attach()?;
        wake.connect = prepare(&mut inner.state);
        self.after(inner, wake);
        Some(ticket)
    }

    /// Delivers on connect replies only from now on.
    pub fn deliver_on_connect_only(&self) {
        self.lock().state.deliver_on_connect_only();
    }

    /// Numbers the replies to its client's connects from now on, with which alone events leave, and
    /// keeps the events of the last until the client has named it.
    pub fn acknowledge(&self) {
        self.lock().state.begin_acks();
    }

    /// Remembers what a transport has to know of its client; the session does not read it.
    pub fn set_marks(&self, marks: u8) {
        self.marks.store(marks, Relaxed);
    }

    /// Returns what a transport remembered.
    #[must_use]
    pub fn marks(&self) -> u8 {
        self.marks.load(Relaxed)
    }

    /// Ends the session, and returns what it was subscribed to; nothing if it had ended before.
    pub fn end(&self, reason: EndReason) -> Option<Vec<ChannelPattern>> {
        let telling = self.telling();
        let mut inner = self.lock();
        let (subscriptions, wake) = inner.state.end(reason)?;
        if reason == EndReason::Moved {
            self.forget_change();
        } else {
            telling.end(reason);
            self.note_end();
        }
        if let Some(armed) = inner.armed.take() {
            self.shared.timers.remove(armed, self.id);
        }
        self.finish(inner, wake);
        Some(subscriptions)
    }

    /// Looks anew when it is due, because the settings are others.
    pub fn reconsider_deadline(&self) {
        self.after(self.lock(), Wake::default());
    }

    /// Says when it ends whatever its client does; without a time it does not.
    pub fn set_end(&self, ends: Option<Instant>) {
        let mut inner = self.lock();
        inner.state.set_end(ends);
        self.after(inner, Wake::default());
    }

    /// Handles what was due; returns why the session has to end, if it does.
    pub fn on_timer(&self, due: Instant, tick: Tick) -> Option<EndReason> {
        let mut inner = self.lock();
        if inner.armed != Some(due) {
            return None;
        }
        inner.armed = None;
        if inner.state.is_over(tick.now) {
            return Some(EndReason::IdentityExpired);
        }
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        let (wake, expired) = state.on_timer(tick, settings);
        if expired && state.is_kept_in_vain(settings) {
            self.shared.metrics.limited(Limit::MaxUnconnected);
        }
        self.finish(inner, wake);
        expired.then_some(EndReason::Expired)
    }

    /// Returns the memory that all clients share.
    #[must_use]
    pub fn memory(&self) -> &Arc<Budget> {
        &self.shared.metrics.memory
    }

    /// Returns what all sessions share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns the advice that is complete: the ordinary, or what it is while the server stops.
    #[must_use]
    pub fn advice(&self, is_blind: bool, now: Instant) -> Advice {
        let mut inner = self.lock();
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        let advice = state.advice(settings);
        drop(inner);
        self.shared.at_stop(advice, is_blind, now)
    }

    /// Returns how many events it keeps: queued, and sent but not acknowledged.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        let Backlog {
            queued,
            unacknowledged,
        } = self.backlog();
        queued + unacknowledged
    }

    /// Locks the state. A panic while it was locked is a defect that left the state as it was
    /// between two assignments; the session goes on rather than fail all its client's requests.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Ends an operation that may have resumed the held connect.
    fn finish(&self, inner: MutexGuard<'_, Inner>, wake: Wake) {
        self.finish_by(inner, wake, &self.shared.settings.get());
    }

    fn finish_by(&self, mut inner: MutexGuard<'_, Inner>, wake: Wake, settings: &Settings) {
        if wake.connect {
            self.unhold(&mut inner);
        }
        self.after_by(inner, wake, settings);
    }

    /// Sets the timer if a deadline came nearer, releases the lock, and then wakes who has something
    /// to do.
    fn after(&self, inner: MutexGuard<'_, Inner>, wake: Wake) {
        self.after_by(inner, wake, &self.shared.settings.get());
    }

    /// Does so by these settings: to ask for them would cost each delivery of an event to many.
    fn after_by(&self, mut inner: MutexGuard<'_, Inner>, wake: Wake, settings: &Settings) {
        let connect = inner.waker.take_if(|_| wake.connect);
        let stream = inner.stream_waker.take_if(|_| wake.stream);
        let reply = inner.reply_waker.take_if(|_| wake.reply);
        self.count_places(&mut inner);
        let asks_for_page = inner.state.asks_for_page(settings);
        let due = inner.state.next_deadline(settings);
        let due = due.filter(|due| inner.armed.is_none_or(|armed| *due < armed));
        let timers = &self.shared.timers;
        // Under the lock, or two at once might leave two timers.
        let is_earliest = due.is_some_and(|due| {
            let before = inner.armed.replace(due);
            timers.set(before, due, self.id)
        });
        drop(inner);
        if is_earliest {
            timers.hurry();
        }
        if asks_for_page {
            self.shared.replays.add(Job::Page(self.id));
        }
        for waker in [connect, stream, reply].into_iter().flatten() {
            waker.wake();
        }
    }
}

/// Keeps the waker of the task that polls.
fn keep(kept: &mut Option<Waker>, context: &Context<'_>) {
    match kept {
        Some(waker) => waker.clone_from(context.waker()),
        None => *kept = Some(context.waker().clone()),
    }
}
