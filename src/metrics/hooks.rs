//! The figures of hooks: calls that they answer, events that they are told.

use std::time::Duration;

use super::render::{counter, family, gauge};
use super::{Counter, Gauge};

/// What is counted about all hooks together.
#[derive(Debug, Default)]
pub struct Hooks {
    /// Calls whose answer is waited for.
    pub calls: Gauge,
    /// Events that wait to be delivered, those on their way included.
    pub queued: Gauge,
    /// Requests that were sent again.
    pub retries: Counter,
    /// Requests, whatever became of them.
    pub requests: Counter,
    milliseconds: Counter,
    call_outcomes: [Counter; HookCall::ALL.len()],
    event_outcomes: [Counter; HookEvent::ALL.len()],
}

impl Hooks {
    /// Counts what became of a call.
    pub fn call(&self, outcome: HookCall) {
        self.call_outcomes[outcome as usize].increment();
    }

    /// Counts what became of events.
    pub fn events(&self, outcome: HookEvent, count: usize) {
        self.event_outcomes[outcome as usize].add(count);
        self.queued.add(-i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a request, and how long it took until it was answered or failed.
    pub fn request(&self, took: Duration) {
        self.requests.increment();
        let milliseconds = usize::try_from(took.as_millis()).unwrap_or(usize::MAX);
        self.milliseconds.add(milliseconds);
    }

    pub(super) fn render(&self, out: &mut String) {
        let help = "Calls whose answer a hook has yet to give.";
        gauge(out, ("hook_calls", help), &self.calls);
        let help = "Events that wait to be delivered to hooks.";
        gauge(out, ("hook_events_queued", help), &self.queued);
        for (name, help, value) in [
            ("hook_requests_total", "Requests to hooks.", &self.requests),
            (
                "hook_milliseconds_total",
                "Milliseconds that requests to hooks took.",
                &self.milliseconds,
            ),
            (
                "hook_retries_total",
                "Requests to hooks that were sent again.",
                &self.retries,
            ),
        ] {
            counter(out, (name, help), value);
        }
        let labels = HookCall::ALL.map(HookCall::label);
        let head = ("hook_calls_total", "Calls given to hooks.", "outcome");
        family(out, head, &labels, &self.call_outcomes);
        let labels = HookEvent::ALL.map(HookEvent::label);
        let head = ("hook_events_total", "Events for hooks.", "outcome");
        family(out, head, &labels, &self.event_outcomes);
    }
}

/// What became of a call that a hook was given; its label says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookCall {
    /// It was answered.
    Answered,
    /// The hook says that it failed.
    Refused,
    /// There was no answer, or none that is understood.
    Failed,
    /// There was none in time.
    TimedOut,
}

impl HookCall {
    const ALL: [Self; 4] = [Self::Answered, Self::Refused, Self::Failed, Self::TimedOut];

    fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
        }
    }
}

/// What became of an event for a hook; its label says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookEvent {
    /// The hook has it.
    Delivered,
    /// It was dropped because too many waited.
    Full,
    /// It was dropped because it was too old.
    Expired,
    /// The hook does not want it.
    Refused,
    /// It was dropped because the server stopped.
    Stopped,
}

impl HookEvent {
    const ALL: [Self; 5] = [
        Self::Delivered,
        Self::Full,
        Self::Expired,
        Self::Refused,
        Self::Stopped,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Full => "full",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
        }
    }
}
