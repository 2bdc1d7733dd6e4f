//! Application servers that are connected as Bayeux clients: they take calls by subscribing to service channels,
//! and answer them by publishing there.
//!
//! Who may is decided by a role ([`Settings::role`]), so that nobody else can take what clients send to a
//! service. A call goes to one of those that are subscribed to its channel, the one that has the fewest to
//! answer. It carries `ext.call`: its `id`, the alias of the session that made it, and the user. What is
//! published back with that `id` in `ext.call` is the caller's answer, a failed one with `"successful": false`
//! beside it. If the application server goes away, its calls go to another.

mod announcer;
mod calls;
pub mod settings;

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::sync::Notify;

use super::{Call, Caller, Handed, Handler, Reach};
use crate::access::Identity;
use crate::bayeux::{
    BayeuxError, ChannelName, ChannelPattern, ClientId, Draft, Event, fields, text,
};
use crate::memory::{Charge, Kind};
use crate::metrics::{CallOutcome, Limit, Metrics};
pub use announcer::Announcer;
use calls::{Bounds, Calls, New, Refused};
pub use settings::Settings;

/// Calls may take half of what the session of an application server may have queued, and events a quarter, so that
/// no client ends one by making many.
const ROOM_FOR_CALLS: usize = 2;
/// How many calls end or go to another before others have their turn.
const STEP: usize = 1000;
/// What a call takes besides its event, in bytes.
const SEAT: usize = 512;

/// The member of `ext` that tells of a call.
const CALL: &str = "call";

/// The application servers that are connected, and their calls.
#[derive(Debug)]
pub struct Connected {
    role: Option<String>,
    timeout: Duration,
    max_interval: Duration,
    events_channel: Option<String>,
    numbers: AtomicU64,
    calls: Mutex<Calls<Given>>,
    /// There is an orphan, or the first call of all.
    has_work: Notify,
    metrics: Arc<Metrics>,
}

/// A call that an application server has.
#[derive(Debug)]
struct Given {
    caller: Caller,
    /// What it has received.
    event: Arc<Event>,
    _charge: Charge,
}

/// The calls, locked; what they have become is counted in the end.
struct Locked<'c> {
    calls: MutexGuard<'c, Calls<Given>>,
    before: (usize, usize),
    metrics: &'c Metrics,
}

impl Deref for Locked<'_> {
    type Target = Calls<Given>;

    fn deref(&self) -> &Self::Target {
        &self.calls
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.calls
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let more = |after: usize, before: usize| after as i64 - before as i64;
        let (calls, backends) = self.before;
        self.metrics.calls.add(more(self.calls.len(), calls));
        self.metrics
            .backends
            .add(more(self.calls.backends(), backends));
    }
}

impl Default for Connected {
    fn default() -> Self {
        Self::new(&Settings::default(), Arc::default())
    }
}

impl Connected {
    /// Makes a register without any.
    #[must_use]
    pub fn new(settings: &Settings, metrics: Arc<Metrics>) -> Self {
        let bounds = Bounds {
            all: settings.max_calls,
            of_one: settings.max_calls_per_session,
        };
        Self {
            role: settings.role.clone(),
            timeout: settings.call_timeout,
            max_interval: settings.max_interval,
            events_channel: settings.events_channel.clone(),
            numbers: AtomicU64::new(1),
            calls: Mutex::new(Calls::new(bounds)),
            has_work: Notify::new(),
            metrics,
        }
    }

    /// Tells whether there can be any.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.role.is_some()
    }

    /// Tells whether somebody may take calls.
    #[must_use]
    pub fn admits(&self, identity: Option<&Arc<Identity>>) -> bool {
        let Some((role, identity)) = self.role.as_ref().zip(identity) else {
            return false;
        };
        identity.roles.contains(role)
    }

    /// Returns how long the session of one lives without a connect.
    #[must_use]
    pub fn max_interval(&self) -> Duration {
        self.max_interval
    }

    /// Tells whether a channel is the one on which they hear of sessions and channels, and nobody else publishes.
    #[must_use]
    pub fn is_of_events(&self, channel: &ChannelName) -> bool {
        self.is_on() && self.events_channel.as_deref() == Some(channel.as_str())
    }

    /// Tells whether there are any now.
    fn are_there(&self) -> bool {
        self.metrics.backends.value() > 0
    }

    /// Lets a session take calls on channels that match a pattern.
    pub fn add(&self, backend: ClientId, pattern: &ChannelPattern) {
        self.lock().add(backend, pattern);
    }

    /// Lets it take no more there.
    pub fn remove(&self, backend: ClientId, pattern: &ChannelPattern) {
        self.lock().remove(backend, pattern);
    }

    /// Forgets a session that has ended, or may take none any more. Its calls are given to others soon.
    pub fn remove_all(&self, backend: ClientId) {
        let had_any = self.lock().remove_all(backend);
        if had_any {
            self.has_work.notify_one();
        }
    }

    /// Returns those that take calls on a channel, each once.
    fn takers(&self, channel: &ChannelName) -> Vec<ClientId> {
        let mut takers = self.lock().takers(channel);
        takers.sort_unstable();
        takers.dedup();
        takers
    }

    /// Takes a message as the answer to a call, if it is one of an application server.
    ///
    /// # Errors
    /// It is none, and is given back.
    #[expect(
        clippy::result_large_err,
        reason = "a call is moved once, and given back rarely"
    )]
    pub fn answer(&self, call: Call) -> Result<(), Call> {
        if !self.admits(call.identity.as_ref()) {
            return Err(call);
        }
        let Some(answer) = Answer::of(call.ext.as_deref()) else {
            return Err(call);
        };
        let given = answer.number;
        match given.and_then(|number| self.end(number, call.client_id)) {
            None => self.metrics.call(CallOutcome::Late),
            Some(given) if answer.is_successful => {
                self.metrics.call(CallOutcome::Answered);
                given.caller.reply(&call.data);
            }
            Some(given) => {
                self.metrics.call(CallOutcome::Failed);
                given.caller.fail_as(BayeuxError::CallFailed, &call.data);
            }
        }
        Ok(())
    }

    /// Gives calls of those that are gone to others, and ends those whose time is over, for ever.
    pub async fn run(&self) {
        loop {
            let work = self.has_work.notified();
            match self.catch_up(Instant::now()) {
                None => work.await,
                Some(deadline) => {
                    tokio::task::yield_now().await;
                    // Either wakes it up.
                    let _ = tokio::time::timeout_at(deadline.into(), work).await;
                }
            }
        }
    }

    /// Does so for a while, and returns when there is something to do again.
    fn catch_up(&self, now: Instant) -> Option<Instant> {
        for _ in 0..STEP {
            let mut calls = self.lock();
            if let Some(overdue) = calls.next_overdue(now) {
                drop(calls);
                self.refuse(overdue.caller, BayeuxError::BackendTimedOut);
                continue;
            }
            let Some(orphan) = calls.next_orphan() else {
                return calls.deadline();
            };
            match orphan {
                Ok((number, backend)) => {
                    let given = calls.get(number);
                    let given = given
                        .map(|given| (Arc::clone(&given.event), Arc::clone(given.caller.reach())));
                    drop(calls);
                    if let Some((event, reach)) = given {
                        self.send(number, backend, &event, &*reach);
                    }
                }
                Err(given) => {
                    drop(calls);
                    self.refuse(given.caller, BayeuxError::BackendGone);
                }
            }
        }
        Some(now)
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is over")]
    fn refuse(&self, caller: Caller, error: BayeuxError) {
        let outcome = match error {
            BayeuxError::BackendTimedOut => CallOutcome::TimedOut,
            BayeuxError::BackendGone => CallOutcome::Gone,
            _ => CallOutcome::Refused,
        };
        self.metrics.call(outcome);
        caller.refuse(error);
    }

    /// Locks what is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> Locked<'_> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        Locked {
            before: (calls.len(), calls.backends()),
            calls,
            metrics: &self.metrics,
        }
    }

    /// Sends a call to the application server that it was given to.
    fn send(&self, number: u64, to: ClientId, event: &Arc<Event>, reach: &dyn Reach) {
        match reach.offer(to, event, ROOM_FOR_CALLS) {
            Handed::Queued => {}
            Handed::Full => {
                if let Some(given) = self.end(number, to) {
                    self.refuse(given.caller, BayeuxError::TooManyCalls);
                }
            }
            // Its calls go to another.
            Handed::Gone => self.remove_all(to),
        }
    }

    fn end(&self, number: u64, by: ClientId) -> Option<Given> {
        self.lock().answer(number, by)
    }
}

impl Handler for Connected {
    fn handle(&self, call: Call) -> Result<(), Call> {
        if self.lock().takers(&call.channel).is_empty() {
            return Err(call);
        }
        let number = self.numbers.fetch_add(1, Relaxed);
        let caller = call.caller();
        let event = encode(number, &call);
        let new = New {
            number,
            channel: call.channel.clone(),
            caller: call.client_id,
            deadline: Instant::now() + self.timeout,
            call: Given {
                caller,
                event: Arc::clone(&event),
                _charge: Charge::new(&self.metrics.memory, Kind::Waits, SEAT),
            },
        };
        let mut calls = self.lock();
        let is_first = calls.len() == 0;
        let begun = calls.begin(new);
        drop(calls);
        match begun {
            Ok(backend) => {
                if is_first {
                    self.has_work.notify_one();
                }
                self.send(number, backend, &event, &*call.reach);
            }
            Err(Refused::TooMany(given)) => {
                self.metrics.limited(Limit::MaxCalls);
                self.refuse(given.caller, BayeuxError::TooManyCalls);
            }
            Err(Refused::NoBackend(_)) => return Err(call),
        }
        Ok(())
    }
}

/// Makes what an application server receives of a call.
fn encode(number: u64, call: &Call) -> Arc<Event> {
    let user = call.identity.as_deref().map(|identity| &*identity.user);
    let told = serde_json::json!({
        CALL: { "id": number.to_string(), "session": call.alias, "user": user }
    });
    let ext = serde_json::value::to_raw_value(&told).expect("a value is JSON");
    let mut draft = Draft::new(&call.channel, &call.data);
    draft.ext = Some(Cow::Owned(ext));
    call.reach.encode(&draft)
}

/// What a message says of the call that it answers.
struct Answer {
    number: Option<u64>,
    is_successful: bool,
}

impl Answer {
    fn of(ext: Option<&RawValue>) -> Option<Self> {
        let [call] = fields(ext?, [CALL])?;
        let [id, successful] = fields(call?, ["id", "successful"])?;
        Some(Self {
            number: id.and_then(text).and_then(|id| id.parse().ok()),
            is_successful: successful.is_none_or(|successful| successful.get() != "false"),
        })
    }
}
