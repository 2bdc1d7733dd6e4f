//! Calls that a hook answers: each is a request of its own, bounded in number and in time.
//!
//! A call may do something that must not be done twice, so it is sent again only if there was no connection to
//! send it on.

use core::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{self, Outcome};
use super::backoff::{Backoff, chance};
use super::callers::{Callers, Entered};
use super::post::Post;
use super::settings::Hook;
use crate::alias::Alias;
use crate::bayeux::{BayeuxError, Draft};
use crate::memory::{Charge, Kind};
use crate::metrics::{HookCall, Limit, Metrics, Notice};
use crate::outbound::{Failure, random_id};
use crate::services::{Call, Caller, Handler};

/// How often a call is tried to be sent.
const ATTEMPTS: u32 = 3;
/// Bytes of a call that waits, besides its request.
const SEAT: usize = 1024;

/// The calls of one hook.
#[derive(Debug, Clone)]
pub(super) struct Calls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    post: Arc<Post>,
    /// For those that wait for their turn, and those that are under way.
    room: Arc<Semaphore>,
    callers: Callers,
    turns: Semaphore,
    timeout: Duration,
    backoff: Backoff,
    max_publishes: usize,
    metrics: Arc<Metrics>,
}

/// The body of a request.
#[derive(Debug, Serialize)]
struct Body<'a> {
    call: Shown<'a>,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    id: &'a str,
    channel: &'a str,
    data: &'a RawValue,
    session: Alias,
    user: Option<&'a str>,
    roles: &'a [String],
    address: Option<IpAddr>,
}

impl Calls {
    pub(super) fn new(post: Arc<Post>, hook: &Hook, metrics: Arc<Metrics>) -> Self {
        let turns = hook.max_concurrent.min(Semaphore::MAX_PERMITS);
        let room = turns.saturating_add(hook.max_waiting);
        Self(Arc::new(Inner {
            post,
            room: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))),
            callers: Callers::new(hook.max_calls_per_session),
            turns: Semaphore::new(turns),
            timeout: hook.timeout,
            backoff: hook.backoff(),
            max_publishes: hook.max_publishes,
            metrics,
        }))
    }
}

impl Handler for Calls {
    fn handle(&self, call: Call) -> Result<(), Call> {
        let seat = Arc::clone(&self.0.room).try_acquire_owned().ok();
        let entered = self.0.callers.enter(call.client_id);
        let Some(seat) = seat.zip(entered) else {
            self.0.metrics.limited(Limit::MaxHookWaiting);
            call.caller().refuse(BayeuxError::TooManyCalls);
            return Ok(());
        };
        let id = random_id();
        let (caller, body) = (call.caller(), body(&id, &call));
        let under_way = UnderWay::new(&self.0.metrics, body.len(), seat);
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let outcome = inner.answer(&caller, &id, body).await;
            inner.metrics.hooks.call(outcome);
            drop(under_way);
        });
        Ok(())
    }
}

impl Inner {
    async fn answer(&self, caller: &Caller, id: &str, body: Bytes) -> HookCall {
        let response = tokio::time::timeout(self.timeout, self.ask(id, body)).await;
        let response = response.unwrap_or(Err(Failure::Timeout(self.timeout)));
        let reach = caller.reach();
        let answer = match &response {
            Ok(response) => answer::read(response, self.max_publishes, &reach.limits()),
            Err(failure) => Err(failure.to_string()),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                self.tell(&why);
                let (error, outcome) = match response {
                    Err(Failure::Timeout(_)) => (BayeuxError::BackendTimedOut, HookCall::TimedOut),
                    _ => (BayeuxError::BackendFailed, HookCall::Failed),
                };
                caller.refuse(error);
                return outcome;
            }
        };
        for (channel, data) in answer.publishes {
            reach.publish(Draft::new(&channel, data));
        }
        match answer.outcome {
            Outcome::Reply(data) => {
                caller.reply(data);
                HookCall::Answered
            }
            Outcome::Error(why) => {
                caller.refuse_because(BayeuxError::CallFailed, &why);
                HookCall::Refused
            }
        }
    }

    async fn ask(&self, id: &str, body: Bytes) -> Result<Response<Bytes>, Failure> {
        let _turn = self.turns.acquire().await;
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            let response = self.post.send(id, body.clone()).await;
            self.metrics.hooks.request(begun.elapsed());
            failures += 1;
            match response {
                Err(Failure::Unconnected(_)) if failures < ATTEMPTS => {
                    tokio::time::sleep(self.backoff.delay(failures, None, chance())).await;
                    self.metrics.hooks.retries.increment();
                }
                response => return response,
            }
        }
    }

    fn tell(&self, why: &str) {
        if let Some(permit) = self.metrics.may_log(Notice::Hook) {
            let (hook, suppressed) = (&*self.post.name, permit.suppressed);
            tracing::warn!(hook, suppressed, "a call got no answer that counts: {why}");
        }
    }
}

fn body(id: &str, call: &Call) -> Bytes {
    let identity = call.identity.as_deref();
    let body = Body {
        call: Shown {
            id,
            channel: call.channel.as_str(),
            data: &call.data,
            session: call.alias,
            user: identity.map(|identity| &*identity.user),
            roles: identity.map_or(&[], |identity| &identity.roles),
            address: call.address,
        },
    };
    let text = serde_json::to_vec(&body);
    text.expect("texts and what was JSON before are JSON")
        .into()
}

/// A place among all calls, and among those of its session.
type Seat = (OwnedSemaphorePermit, Entered);

/// A call whose answer is waited for.
struct UnderWay {
    metrics: Arc<Metrics>,
    _seat: Seat,
    _charge: Charge,
}

impl UnderWay {
    fn new(metrics: &Arc<Metrics>, bytes: usize, seat: Seat) -> Self {
        metrics.hooks.calls.increment();
        Self {
            metrics: Arc::clone(metrics),
            _seat: seat,
            _charge: Charge::new(&metrics.memory, Kind::Waits, SEAT + bytes),
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.metrics.hooks.calls.decrement();
    }
}
