//! Every figure the server counts, its name, and the text a monitoring system reads.

use std::sync::Arc;
use std::time::{Duration, Instant};

mod cluster;
mod counts;
mod history;
mod hooks;
mod labels;
pub mod latency;
mod notices;
mod render;
mod tls;

use latency::Latency;
use notices::Quota;

pub use cluster::Cluster;
pub use counts::{Counter, Gauge};
pub use history::History;
pub use hooks::{HookCall, HookEvent, Hooks};
pub use labels::{
    ApiOutcome, CallOutcome, Dropped, EndReason, Forbidden, Limit, PasswordOutcome, WebhookOutcome,
};
pub use notices::{Notice, Permit};
pub use tls::{Tls, TlsHandshake};

use crate::memory::Budget;
use crate::peer::Peer;

/// The figures of one server.
#[derive(Debug, Default)]
pub struct Metrics {
    /// The memory that all clients share.
    pub memory: Arc<Budget>,
    /// Open connections.
    pub connections: Gauge,
    /// Open streams of connections by HTTP/2.
    pub http2_streams: Gauge,
    /// HTTP requests answered by status: 1xx to 5xx.
    responses: [Counter; 5],
    /// Sessions alive.
    pub sessions: Gauge,
    /// Connects that are held.
    pub held_connects: Gauge,
    /// Open WebSockets.
    pub websockets: Gauge,
    /// Open event streams.
    pub event_streams: Gauge,
    /// Connects whose responses are streams.
    pub streamed_connects: Gauge,
    /// Open responses of type `message/http`.
    pub message_streams: Gauge,
    /// Resources kept, deleted ones included.
    pub resources: Gauge,
    /// Bytes that they are.
    pub resource_bytes: Gauge,
    /// Waits for a resource to change.
    pub watched_resources: Gauge,
    /// Batches that wait for an extension, before they are processed or before their replies leave.
    pub waiting_batches: Gauge,
    /// Figures and messages that somebody watches over the HTTP API.
    pub watchers: Gauge,
    /// How long it takes from the arrival of a batch until all who receive its messages have them queued.
    pub latency: Latency,
    /// Questions to the webhook whose answer is waited for.
    pub webhook_calls: Gauge,
    /// Connected application servers that take calls.
    pub backends: Gauge,
    /// Calls that wait for a connected application server.
    pub calls: Gauge,
    /// Events of sessions and channels that connected application servers were not told, because too many waited.
    pub dropped_events: Counter,
    /// What is kept, and read again.
    pub history: History,
    /// What is counted about TLS.
    pub tls: Tls,
    /// What is counted about the cluster.
    pub cluster: Cluster,
    /// What hooks answer and are told.
    pub hooks: Hooks,
    /// Successful handshakes.
    pub handshakes: Counter,
    /// Sessions of the process before that go on.
    pub restored_sessions: Counter,
    /// Those that do not: they could not be read, or rules or bounds do not let them.
    pub not_restored_sessions: Counter,
    /// Held connects that a newer one displaced.
    pub displaced_connects: Counter,
    /// Held connects whose client went away.
    pub lost_connects: Counter,
    /// WebSockets whose client did not answer a ping.
    pub dead_peers: Counter,
    /// Messages that clients published.
    pub published: Counter,
    /// Events put into sessions' queues.
    pub delivered: Counter,
    /// Events that were put back because their response could not be written.
    pub restored: Counter,
    /// Fetches of issuers' keys that brought them.
    pub key_fetches: Counter,
    /// Fetches of issuers' keys that did not.
    pub failed_key_fetches: Counter,
    /// Sources of issuers' keys whose last fetch failed.
    pub failing_key_sources: Gauge,
    /// Events that were sent again because their client did not acknowledge them.
    pub resent: Counter,
    /// Connects answered late, because they repeat the id of an unknown session.
    pub delayed_unknown: Counter,
    /// Subscriptions that sessions lost because they may not have them any more.
    pub lost_subscriptions: Counter,
    /// Handshakes, renewals and requests of users that are refused for a while.
    pub refused_users: Counter,
    /// Clients that were told to wait before they come back, because many did.
    pub spread_reconnects: Counter,
    /// Requests from other origins that were refused.
    pub refused_origins: Counter,
    /// Requests for other hosts that were refused.
    pub refused_hosts: Counter,
    /// Requests for the API without a valid key.
    pub refused_keys: Counter,
    /// Connections of proxies that were closed because they did not say whose they are.
    pub refused_proxy_headers: Counter,
    /// Handshakes that were refused because memory was short.
    pub memory_refused_handshakes: Counter,
    /// What would have grown and was refused because there was no memory left.
    pub memory_refused: Counter,
    /// Connections that were cut because they held much while memory was short.
    pub memory_cut: Counter,
    /// Milliseconds that questions to the webhook took.
    webhook_milliseconds: Counter,
    dropped: [Counter; Dropped::ALL.len()],
    ended: [Counter; EndReason::ALL.len()],
    forbidden: [Counter; Forbidden::ALL.len()],
    passwords: [Counter; PasswordOutcome::ALL.len()],
    webhook: [Counter; WebhookOutcome::ALL.len()],
    call_outcomes: [Counter; CallOutcome::ALL.len()],
    api_messages: [Counter; ApiOutcome::ALL.len()],
    limits: EachLimit<Counter>,
    /// The log lines that clients cause, by what they are about; and those of bounds that nobody else
    /// tells of.
    notices: [Quota; Notice::COUNT],
    bounds: EachLimit<Quota>,
    /// Log lines that were not written, because there were too many of their kind.
    suppressed: Counter,
}

/// One of something for each limit; of more than 32 the standard library makes no default.
#[derive(Debug)]
struct EachLimit<T>([T; Limit::ALL.len()]);

impl<T: Default> Default for EachLimit<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| T::default()))
    }
}

impl Metrics {
    /// Makes the figures of a server with a budget of memory.
    #[must_use]
    pub fn of(memory: Budget) -> Self {
        Self {
            memory: Arc::new(memory),
            ..Self::default()
        }
    }

    /// Counts a response.
    pub fn responded(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.responses[class].increment();
    }

    /// Counts what access rules did not allow.
    pub fn forbidden(&self, what: Forbidden) {
        self.forbidden[what as usize].increment();
    }

    /// Counts a password that a client has shown.
    pub fn password(&self, outcome: PasswordOutcome) {
        self.passwords[outcome as usize].increment();
    }

    /// Counts what became of a message of an application server.
    pub fn api_message(&self, outcome: ApiOutcome) {
        self.api_messages[outcome as usize].increment();
    }

    /// Counts what became of a question to the webhook.
    pub fn webhook(&self, outcome: WebhookOutcome) {
        self.webhook[outcome as usize].increment();
    }

    /// Counts what became of a call to a connected application server.
    pub fn call(&self, outcome: CallOutcome) {
        self.call_outcomes[outcome as usize].increment();
    }

    /// Counts how long a question to the webhook took.
    pub fn webhook_took(&self, time: Duration) {
        let milliseconds = usize::try_from(time.as_millis()).unwrap_or(usize::MAX);
        self.webhook_milliseconds.add(milliseconds);
    }

    /// Counts a session's end.
    pub fn ended(&self, reason: EndReason) {
        self.ended[reason as usize].increment();
    }

    /// Counts events that were dropped because a session had too many queued.
    pub fn dropped(&self, which: Dropped, events: usize) {
        self.dropped[which as usize].add(events);
    }

    /// Returns how many events were dropped.
    #[must_use]
    pub fn dropped_count(&self, which: Dropped) -> u64 {
        self.dropped[which as usize].value()
    }

    /// Counts that a bound was reached, and logs it now and then.
    pub fn limited(&self, limit: Limit) {
        self.limits.0[limit as usize].increment();
        if limit.is_told_elsewhere() {
            return;
        }
        if let Some(permit) = self.permit(&self.bounds.0[limit as usize]) {
            let (key, suppressed) = (limit.label(), permit.suppressed);
            tracing::info!(suppressed, "a bound was reached: {key}");
        }
    }

    /// Logs why a request is refused, now and then: a browser keeps that from the page that sent it.
    pub fn refused(&self, status: u16, reason: &str, remote: Option<Peer>) {
        if let Some(permit) = self.may_log(Notice::of_status(status)) {
            tracing::info!(
                remote = remote.map(tracing::field::display),
                status,
                suppressed = permit.suppressed,
                "a request was refused: {reason}"
            );
        }
    }

    /// Tells whether a line that a client has caused may be logged.
    #[must_use]
    pub fn may_log(&self, notice: Notice) -> Option<Permit> {
        self.permit(&self.notices[notice as usize])
    }

    fn permit(&self, quota: &Quota) -> Option<Permit> {
        let permit = quota.take(Instant::now());
        if permit.is_none() {
            self.suppressed.increment();
        }
        permit
    }

    /// Returns how often a bound was reached.
    #[must_use]
    pub fn limit_count(&self, limit: Limit) -> u64 {
        self.limits.0[limit as usize].value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rendered_with_their_labels() {
        let metrics = Metrics::default();
        metrics.responded(204);
        metrics.responded(404);
        metrics.ended(EndReason::Expired);
        metrics.limited(Limit::MaxQueue);
        metrics.sessions.increment();
        let text = metrics.render();
        for line in [
            "mirant_sessions 1",
            "mirant_responses_total{status=\"2xx\"} 1",
            "mirant_responses_total{status=\"4xx\"} 1",
            "mirant_sessions_ended_total{reason=\"expired\"} 1",
            "mirant_limit_reached_total{limit=\"bayeux.max_queue\"} 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
        }
    }
}
