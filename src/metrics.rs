//! Every figure the server counts, its name, and the text a monitoring system reads.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod counts;
mod labels;
mod notices;

use notices::Quota;

pub use counts::{Counter, Gauge};
pub use labels::{Dropped, EndReason, Forbidden, Limit, PasswordOutcome, WebhookOutcome};
pub use notices::{Notice, Permit};

use crate::memory::{Budget, Kind};
use crate::peer::Peer;

/// The figures of one server.
#[derive(Debug, Default)]
pub struct Metrics {
    /// The memory that all clients share.
    pub memory: Arc<Budget>,
    /// Open connections.
    pub connections: Gauge,
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
    /// Questions to the webhook whose answer is waited for.
    pub webhook_calls: Gauge,
    /// Successful handshakes.
    pub handshakes: Counter,
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
    /// Clients that were told to wait before they come back, because many did.
    pub spread_reconnects: Counter,
    /// Requests from other origins that were refused.
    pub refused_origins: Counter,
    /// Requests for other hosts that were refused.
    pub refused_hosts: Counter,
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

    /// Counts what became of a question to the webhook.
    pub fn webhook(&self, outcome: WebhookOutcome) {
        self.webhook[outcome as usize].increment();
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

    /// Returns all figures in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(4096);
        for (name, help, gauge) in self.gauges() {
            head(&mut out, name, help, "gauge");
            line(&mut out, name, "", &gauge.value());
        }
        let counters = self.counters().into_iter().chain(self.more_counters());
        for (name, help, counter) in counters {
            head(&mut out, name, help, "counter");
            line(&mut out, name, "", &counter.value());
        }
        let status = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        family(
            &mut out,
            ("responses_total", "HTTP responses.", "status"),
            &status,
            &self.responses,
        );
        let dropped = Dropped::ALL.map(Dropped::label);
        family(
            &mut out,
            (
                "dropped_total",
                "Events dropped because too many were queued.",
                "policy",
            ),
            &dropped,
            &self.dropped,
        );
        let reasons = EndReason::ALL.map(EndReason::label);
        family(
            &mut out,
            ("sessions_ended_total", "Sessions that ended.", "reason"),
            &reasons,
            &self.ended,
        );
        let actions = Forbidden::ALL.map(Forbidden::label);
        family(
            &mut out,
            (
                "forbidden_total",
                "What access rules did not allow.",
                "action",
            ),
            &actions,
            &self.forbidden,
        );
        self.render_checks(&mut out);
        let limits = Limit::ALL.map(Limit::label);
        family(
            &mut out,
            ("limit_reached_total", "Times a bound was reached.", "limit"),
            &limits,
            &self.limits.0,
        );
        self.memory(&mut out);
        out
    }

    fn memory(&self, out: &mut String) {
        let help = "Bytes of memory that are counted, by what they are for.";
        head(out, "memory_bytes", help, "gauge");
        for kind in Kind::ALL {
            let labels = format!("{{kind=\"{}\"}}", kind.label());
            line(out, "memory_bytes", &labels, &self.memory.of(kind));
        }
        for (name, help, bytes) in [
            (
                "memory_allocated_bytes",
                "Bytes of memory that are allocated in the whole process.",
                self.memory.allocated(),
            ),
            (
                "memory_budget_bytes",
                "Bytes of memory that all clients share (memory.budget).",
                self.memory.bytes(),
            ),
        ] {
            head(out, name, help, "gauge");
            line(out, name, "", &bytes);
        }
    }

    /// Writes what became of checks of who clients are.
    fn render_checks(&self, out: &mut String) {
        let outcomes = PasswordOutcome::ALL.map(PasswordOutcome::label);
        family(
            out,
            (
                "passwords_total",
                "Passwords that clients have shown.",
                "outcome",
            ),
            &outcomes,
            &self.passwords,
        );
        let outcomes = WebhookOutcome::ALL.map(WebhookOutcome::label);
        family(
            out,
            ("webhook_total", "Questions to the webhook.", "outcome"),
            &outcomes,
            &self.webhook,
        );
    }

    fn gauges(&self) -> [(&str, &str, &Gauge); 13] {
        [
            (
                "failing_key_sources",
                "Sources of the keys of issuers of tokens whose last fetch failed.",
                &self.failing_key_sources,
            ),
            ("connections", "Open connections.", &self.connections),
            ("sessions", "Sessions alive.", &self.sessions),
            (
                "held_connects",
                "Connects that are held.",
                &self.held_connects,
            ),
            ("websockets", "Open WebSockets.", &self.websockets),
            ("event_streams", "Open event streams.", &self.event_streams),
            (
                "streamed_connects",
                "Connects whose responses are streams.",
                &self.streamed_connects,
            ),
            (
                "message_streams",
                "Open responses of type message/http.",
                &self.message_streams,
            ),
            (
                "resources",
                "Resources kept, deleted ones included.",
                &self.resources,
            ),
            (
                "resource_bytes",
                "Bytes of the resources kept.",
                &self.resource_bytes,
            ),
            (
                "watched_resources",
                "Waits for a resource to change.",
                &self.watched_resources,
            ),
            (
                "waiting_batches",
                "Batches that wait for an extension.",
                &self.waiting_batches,
            ),
            (
                "webhook_calls",
                "Questions to the webhook whose answer is waited for.",
                &self.webhook_calls,
            ),
        ]
    }

    fn counters(&self) -> [(&str, &str, &Counter); 10] {
        [
            (
                "key_fetches_total",
                "Fetches of the keys of issuers of tokens that brought them.",
                &self.key_fetches,
            ),
            (
                "failed_key_fetches_total",
                "Fetches of the keys of issuers of tokens that failed.",
                &self.failed_key_fetches,
            ),
            (
                "handshakes_total",
                "Successful handshakes.",
                &self.handshakes,
            ),
            (
                "displaced_connects_total",
                "Held connects that a newer one displaced.",
                &self.displaced_connects,
            ),
            (
                "lost_connects_total",
                "Held connects whose client went away.",
                &self.lost_connects,
            ),
            (
                "dead_peers_total",
                "WebSockets whose client did not answer a ping.",
                &self.dead_peers,
            ),
            (
                "published_total",
                "Messages that clients published.",
                &self.published,
            ),
            (
                "delivered_total",
                "Events put into sessions' queues.",
                &self.delivered,
            ),
            (
                "restored_total",
                "Events put back because their response could not be written.",
                &self.restored,
            ),
            (
                "resent_total",
                "Events sent again because their client did not acknowledge them.",
                &self.resent,
            ),
        ]
    }

    fn more_counters(&self) -> [(&str, &str, &Counter); 11] {
        [
            (
                "delayed_unknown_total",
                "Connects answered late, because they repeat the id of an unknown session.",
                &self.delayed_unknown,
            ),
            (
                "lost_subscriptions_total",
                "Subscriptions that sessions lost because they may not have them any more.",
                &self.lost_subscriptions,
            ),
            (
                "spread_reconnects_total",
                "Clients told to wait before they come back, because many did.",
                &self.spread_reconnects,
            ),
            (
                "refused_origins_total",
                "Requests from other origins that were refused.",
                &self.refused_origins,
            ),
            (
                "log_lines_suppressed_total",
                "Log lines that were not written, because there were too many of their kind.",
                &self.suppressed,
            ),
            (
                "refused_hosts_total",
                "Requests for other hosts that were refused.",
                &self.refused_hosts,
            ),
            (
                "refused_proxy_headers_total",
                "Connections of proxies closed because they did not say whose they are.",
                &self.refused_proxy_headers,
            ),
            (
                "memory_refused_handshakes_total",
                "Handshakes refused because memory was short.",
                &self.memory_refused_handshakes,
            ),
            (
                "memory_refused_total",
                "Publishes, subscribes and changes of resources refused because no memory was left.",
                &self.memory_refused,
            ),
            (
                "memory_cut_total",
                "Connections cut because they held much while memory was short.",
                &self.memory_cut,
            ),
            (
                "webhook_milliseconds_total",
                "Milliseconds that questions to the webhook took.",
                &self.webhook_milliseconds,
            ),
        ]
    }
}

fn family(
    out: &mut String,
    (name, help, key): (&str, &str, &str),
    values: &[&str],
    counters: &[Counter],
) {
    head(out, name, help, "counter");
    for (value, counter) in values.iter().zip(counters) {
        line(
            out,
            name,
            &format!("{{{key}=\"{value}\"}}"),
            &counter.value(),
        );
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    write!(
        out,
        "# HELP mirant_{name} {help}\n# TYPE mirant_{name} {kind}\n"
    )
    .expect("a String takes every write");
}

fn line(out: &mut String, name: &str, labels: &str, value: &dyn std::fmt::Display) {
    writeln!(out, "mirant_{name}{labels} {value}").expect("a String takes every write");
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
