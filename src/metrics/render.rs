//! The figures as text, in the form that Prometheus reads.

use std::fmt::Write;

use super::labels::{
    ApiOutcome, CallOutcome, Dropped, EndReason, Forbidden, Limit, PasswordOutcome, WebhookOutcome,
};
use super::{Counter, Gauge, Metrics};
use crate::memory::Kind;

impl Metrics {
    /// Returns all figures in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(4096);
        let help = "Which program this is; always 1.";
        head(&mut out, "build_info", help, "gauge");
        let version = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        line(&mut out, "build_info", &version, &1);
        for (name, help, value) in self.gauges() {
            gauge(&mut out, (name, help), value);
        }
        let counters = self.counters().into_iter();
        let counters = counters
            .chain(self.more_counters())
            .chain(self.memory_counters());
        for (name, help, value) in counters {
            counter(&mut out, (name, help), value);
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
        self.latency.render(
            &mut out,
            "delivery_seconds",
            "From the arrival of a broadcast message until all its receivers have been given it.",
        );
        self.hooks.render(&mut out);
        self.history.render(&mut out);
        self.cluster.render(&mut out);
        self.tls.render(&mut out);
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
        let outcomes = CallOutcome::ALL.map(CallOutcome::label);
        family(
            out,
            (
                "calls_total",
                "Calls to connected application servers.",
                "outcome",
            ),
            &outcomes,
            &self.call_outcomes,
        );
        let outcomes = ApiOutcome::ALL.map(ApiOutcome::label);
        family(
            out,
            (
                "api_messages_total",
                "Messages that application servers have sent over HTTP.",
                "outcome",
            ),
            &outcomes,
            &self.api_messages,
        );
    }

    fn gauges(&self) -> [(&str, &str, &Gauge); 17] {
        [
            (
                "failing_key_sources",
                "Sources of the keys of issuers of tokens whose last fetch failed.",
                &self.failing_key_sources,
            ),
            (
                "watchers",
                "Figures and messages that somebody watches.",
                &self.watchers,
            ),
            ("connections", "Open connections.", &self.connections),
            ("http2_streams", "HTTP/2 streams.", &self.http2_streams),
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
            (
                "backends",
                "Connected application servers that take calls.",
                &self.backends,
            ),
            (
                "calls",
                "Calls that wait for a connected application server.",
                &self.calls,
            ),
        ]
    }

    fn counters(&self) -> [(&str, &str, &Counter); 11] {
        [
            (
                "refused_users_total",
                "Handshakes, renewals and requests of users that are refused for a while.",
                &self.refused_users,
            ),
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

    fn memory_counters(&self) -> [(&str, &str, &Counter); 3] {
        [
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
        ]
    }

    fn more_counters(&self) -> [(&str, &str, &Counter); 12] {
        [
            (
                "sessions_restored_total",
                "Sessions of the process before that go on.",
                &self.restored_sessions,
            ),
            (
                "sessions_not_restored_total",
                "Sessions of the process before that do not go on.",
                &self.not_restored_sessions,
            ),
            (
                "backends_events_dropped_total",
                "Events of sessions and channels that connected application servers were not told.",
                &self.dropped_events,
            ),
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
                "refused_keys_total",
                "Requests for the API without a valid key.",
                &self.refused_keys,
            ),
            (
                "refused_proxy_headers_total",
                "Connections of proxies closed because they did not say whose they are.",
                &self.refused_proxy_headers,
            ),
            (
                "webhook_milliseconds_total",
                "Milliseconds that questions to the webhook took.",
                &self.webhook_milliseconds,
            ),
        ]
    }
}

pub(super) fn gauge(out: &mut String, (name, help): (&str, &str), gauge: &Gauge) {
    head(out, name, help, "gauge");
    line(out, name, "", &gauge.value());
}

pub(super) fn counter(out: &mut String, (name, help): (&str, &str), counter: &Counter) {
    head(out, name, help, "counter");
    line(out, name, "", &counter.value());
}

pub(super) fn family(
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

pub(super) fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    write!(
        out,
        "# HELP mirant_{name} {help}\n# TYPE mirant_{name} {kind}\n"
    )
    .expect("a String takes every write");
}

pub(super) fn line(out: &mut String, name: &str, labels: &str, value: &dyn std::fmt::Display) {
    writeln!(out, "mirant_{name}{labels} {value}").expect("a String takes every write");
}
