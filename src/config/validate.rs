//! The checks of values that have the right type but make no sense.

mod clients;
mod cluster;
mod forms;
mod history;
mod observing;

use std::collections::HashSet;
use std::time::Duration;

use bytesize::ByteSize;

pub(crate) use forms::may_match_alike;
use forms::{is_cookie_attribute, is_token, origin_fix, path_fix, pattern_fix, service_fix};

use super::{Config, Problem};
use crate::http_api;
use crate::listener::{ListenAddress, NotAProxy, Proxies};
use crate::memory::Amount;
use crate::memory::settings::MIN_BUDGET;
use crate::router::settings::ChannelOptions;
use crate::services::Settings as Services;
use crate::web::cookies::{SameSite, Settings as Cookie};
use crate::web::hosts;

/// Longer than anything meant in earnest, and far from what a clock can add.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// What hyper needs as a buffer.
const MIN_HEADER_SIZE: u64 = 8 * 1024;

/// Below this a single message would not fit.
const MIN_MESSAGE_SIZE: u64 = 1024;
/// The least that Argon2 takes.
const MIN_PASSWORD_MEMORY: u64 = 8 * 1024;
/// Below it no token fits.
const MIN_TOKEN: u64 = 128;
/// Below it a single key would not fit.
const MIN_JWKS: u64 = 1024;
/// Below it a segment or two of a connection with large ones would wait for the client each time.
const MIN_UNSENT: u64 = 4096;
const MAX_UNSENT: u64 = 1 << 30;

/// Checks a whole configuration.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut checks = Checks {
        values: serde_json::to_value(config).unwrap_or_default(),
        problems: Vec::new(),
    };
    checks.http(config);
    checks.tls(config);
    checks.durations(config);
    checks.intervals(config);
    checks.counts(config);
    checks.numbers(config);
    checks.credentials(config);
    checks.sizes(config);
    checks.rates(&config.rates);
    checks.listener(config);
    checks.cookie(&config.bayeux.transports.browser_cookie);
    checks.shared_cookies(config);
    checks.channels(&config.channel);
    checks.history(config);
    checks.cluster(config);
    checks.access(&config.access);
    checks.users(config);
    checks.webhook(config);
    checks.issuers(&config.issuer);
    checks.api_keys(config);
    checks.operators(config);
    checks.hooks(&config.hook);
    checks.services(&config.services);
    checks.backends(config);
    checks.log(&config.log);
    checks.traces(&config.traces);
    checks.problems
}

struct Checks {
    /// The configuration, to show the value of a key as it would stand in a file.
    values: serde_json::Value,
    problems: Vec<Problem>,
}

impl Checks {
    fn require(&mut self, holds: bool, key: &str, fix: &str) {
        if !holds {
            let pointer = format!("/{}", key.replace('.', "/"));
            let value = self.values.pointer(&pointer);
            let value = value.map(ToString::to_string).unwrap_or_default();
            self.refuse(key, value, fix);
        }
    }

    fn refuse(&mut self, key: &str, value: String, fix: &str) {
        self.problems.push(Problem {
            key: key.to_owned(),
            value,
            fix: fix.to_owned(),
        });
    }

    fn http(&mut self, config: &Config) {
        let http = &config.http;
        self.require(
            !http.listen.is_empty(),
            "http.listen",
            "name at least one address, such as [\"127.0.0.1:8080\"]",
        );
        let hosts = [
            ("http.hosts", &http.hosts),
            ("admin.hosts", &config.admin.hosts),
            ("api.hosts", &config.api.hosts),
        ];
        for (key, entry) in hosts
            .iter()
            .flat_map(|(key, list)| list.iter().map(move |host| (key, host)))
        {
            if let Some(fix) = hosts::fix(entry) {
                self.refuse(key, shown(entry), fix);
            }
        }
        if let Err(NotAProxy { entry, fix }) = Proxies::new(http) {
            self.refuse("http.trusted_proxies", shown(&entry), &fix);
        }
        self.require(
            !http.proxy_protocol || !http.trusted_proxies.is_empty(),
            "http.proxy_protocol",
            "name the proxies in http.trusted_proxies: from nobody else its headers are taken",
        );
        for origin in &http.allowed_origins {
            if let Some(fix) = origin_fix(origin) {
                self.refuse("http.allowed_origins", shown(origin), fix);
            }
        }
    }

    fn tls(&mut self, config: &Config) {
        let tls = &config.tls;
        let listen = [
            &config.http.listen,
            &config.admin.listen,
            &config.api.listen,
        ];
        let is_spoken = listen.into_iter().flatten().any(ListenAddress::is_tls);
        let is_needed = is_spoken || tls.key.is_some() || !tls.sni.is_empty();
        self.require(
            tls.certificate.is_some() || !is_needed,
            "tls.certificate",
            "name the file of the certificate, as addresses that begin with tls:, tls.key and tls.sni need it",
        );
    }

    fn durations(&mut self, config: &Config) {
        let tokens = &config.authentication.tokens;
        let (http, session) = (&config.http, &config.bayeux.session);
        let above_zero = [
            ("http.header_timeout", http.header_timeout),
            ("http.body_timeout", http.body_timeout),
            ("http.keep_alive_timeout", http.keep_alive_timeout),
            ("http.write_timeout", http.write_timeout),
            ("http.http2_ping_timeout", http.http2_ping_timeout),
            ("http.shutdown_timeout", http.shutdown_timeout),
            ("bayeux.timeout", session.timeout),
            ("bayeux.max_interval", session.max_interval),
            ("bayeux.max_unconnected", session.max_unconnected),
            ("bayeux.max_refusal", session.max_refusal),
            ("streaming.lifetime", config.streaming.lifetime),
            ("bayeux.min_polling_interval", session.min_polling_interval),
            ("bayeux.max_polling_interval", session.max_polling_interval),
            ("resources.timeout", config.resources.http.timeout),
            (
                "extensions.max_inactivity",
                config.extensions.max_inactivity,
            ),
            ("extensions.max_wait", config.extensions.waits.max_wait),
            ("authentication.jwks_timeout", tokens.jwks_timeout),
            ("authentication.jwks_max_age", tokens.jwks_max_age),
            ("authentication.jwks_max_stale", tokens.jwks_max_stale),
            ("authentication.jwks_min_interval", tokens.jwks_min_interval),
            ("history.sync_interval", config.history.sync_interval),
            ("history.save_timeout", config.history.save_timeout),
            (
                "api.idempotency_window",
                config.api.bounds.idempotency_window,
            ),
            ("admin.login_lifetime", config.admin.logins.login_lifetime),
            (
                "authentication.max_password_delay",
                config.authentication.passwords.max_password_delay,
            ),
        ];
        let above_zero = above_zero.into_iter().chain(of_others(config));
        for (key, duration) in above_zero.clone() {
            let fix = "must be above zero, such as \"30s\"";
            self.require(!duration.is_zero(), key, fix);
        }
        for (key, duration) in above_zero.chain(or_zero(config)) {
            self.require(duration <= MAX_DURATION, key, "must be at most \"366days\"");
        }
    }

    fn intervals(&mut self, config: &Config) {
        let session = &config.bayeux.session;
        self.require(
            session.min_polling_interval <= session.max_polling_interval,
            "bayeux.min_polling_interval",
            "must not be above bayeux.max_polling_interval",
        );
    }

    fn services(&mut self, services: &Services) {
        let lists = [
            ("services.echo", &services.echo),
            ("services.direct", &services.direct),
            ("services.broadcast", &services.broadcast),
        ];
        for (key, patterns) in lists {
            for pattern in patterns {
                if let Some(fix) = service_fix(pattern) {
                    self.refuse(key, shown(pattern), fix);
                }
            }
        }
    }

    fn counts(&mut self, config: &Config) {
        let (limits, session) = (&config.bayeux.limits, &config.bayeux.session);
        let counts = [
            (
                "http.max_connections",
                config.http.max_connections.unwrap_or(1),
            ),
            (
                "http.max_connections_per_address",
                config.http.max_connections_per_address.unwrap_or(1),
            ),
            ("http.max_headers", config.http.max_headers),
            ("bayeux.max_batch", limits.max_batch),
            ("bayeux.max_depth", limits.max_depth),
            ("bayeux.max_message_id_length", limits.max_message_id_length),
            ("bayeux.max_channel_length", limits.max_channel_length),
            ("bayeux.max_channel_segments", limits.max_channel_segments),
            ("bayeux.max_queue", session.max_queue),
            ("bayeux.max_replay", session.max_replay),
            ("bayeux.max_sessions", session.max_sessions),
            (
                "bayeux.max_sessions_per_user",
                session.max_sessions_per_user.unwrap_or(1),
            ),
            (
                "bayeux.max_sessions_per_address",
                session.max_sessions_per_address.unwrap_or(1),
            ),
            ("bayeux.max_refused_users", session.max_refused_users),
            ("bayeux.max_subscriptions", session.max_subscriptions),
            ("bayeux.max_channels", config.bayeux.router.max_channels),
            ("api.max_messages", config.api.bounds.max_messages),
            ("api.max_watchers", config.api.bounds.max_watchers),
            ("admin.max_logins", config.admin.logins.max_logins),
            (
                "api.max_idempotency_keys",
                config.api.bounds.max_idempotency_keys,
            ),
            (
                "resources.max_resources",
                config.resources.kept.max_resources,
            ),
            (
                "streaming.max_embedded_requests",
                config.streaming.max_embedded_requests,
            ),
            (
                "extensions.max_waiting",
                config.extensions.waits.max_waiting,
            ),
            ("backends.max_calls", config.backends.max_calls),
            (
                "backends.max_calls_per_session",
                config.backends.max_calls_per_session,
            ),
            ("backends.max_events", config.backends.max_events),
            ("history.max_channels", config.history.max_channels),
            ("history.max_pending", config.history.max_pending),
            (
                "history.max_replay_messages",
                config.history.max_replay_messages,
            ),
            (
                "history.max_page_messages",
                config.history.max_page_messages,
            ),
        ];
        for (key, count) in counts {
            self.require(count >= 1, key, "must be 1 or more");
        }
    }

    fn numbers(&mut self, config: &Config) {
        let numbers = [
            (
                "bayeux.reconnect_rate",
                config.bayeux.session.reconnect_rate,
            ),
            ("http.http2_max_streams", config.http.http2_max_streams),
        ];
        for (key, number) in numbers {
            self.require(number >= 1, key, "must be 1 or more");
        }
    }

    fn sizes(&mut self, config: &Config) {
        let unsent = config.http.max_unsent.as_u64();
        self.require(
            (MIN_UNSENT..=MAX_UNSENT).contains(&unsent),
            "http.max_unsent",
            "must be 4KiB to 1GiB",
        );
        let (limits, session) = (&config.bayeux.limits, &config.bayeux.session);
        let bounds = [
            ("http.min_write_rate", config.http.min_write_rate, 1),
            (
                "http.max_header_size",
                config.http.max_header_size,
                MIN_HEADER_SIZE,
            ),
            (
                "bayeux.max_message_size",
                limits.max_message_size,
                MIN_MESSAGE_SIZE,
            ),
            (
                "bayeux.max_response_size",
                session.max_response_size,
                MIN_MESSAGE_SIZE,
            ),
            ("bayeux.max_queue_bytes", session.max_queue_bytes, 1),
            // Any message has to fit.
            (
                "cluster.max_inbox",
                config.cluster.max_inbox,
                limits.max_message_size.as_u64().saturating_mul(2),
            ),
            (
                "authentication.max_token_length",
                config.authentication.tokens.max_token_length,
                MIN_TOKEN,
            ),
            (
                "authentication.max_jwks_size",
                config.authentication.tokens.max_jwks_size,
                MIN_JWKS,
            ),
            (
                "websocket.deflate_threshold",
                config.websocket.deflate_threshold,
                1,
            ),
            ("webhook.max_answer_size", config.webhook.max_answer_size, 1),
            (
                "authentication.max_password_memory",
                config.authentication.passwords.max_password_memory,
                MIN_PASSWORD_MEMORY,
            ),
            (
                "memory.budget",
                match config.memory.budget {
                    Amount::Size(size) => size,
                    Amount::Percent(_) => ByteSize(MIN_BUDGET),
                },
                MIN_BUDGET,
            ),
            (
                "resources.max_bytes",
                config.resources.kept.max_bytes,
                limits.max_message_size.as_u64(),
            ),
        ];
        for (key, size, least) in bounds {
            self.size(key, size, least);
        }
        let watched = config.api.bounds.max_watched_bytes;
        self.size("api.max_watched_bytes", watched, 1);
    }

    fn size(&mut self, key: &str, size: ByteSize, least: u64) {
        // In bytes, because `ByteSize` would round 8191 to "8.0 KiB".
        let bytes = size.as_u64();
        if bytes < least {
            let fix = format!("must be {least} or more bytes");
            self.refuse(key, bytes.to_string(), &fix);
        }
    }

    fn listener(&mut self, config: &Config) {
        let transports = &config.bayeux.transports;
        if let Some(fix) = path_fix(&transports.path, "/cometd") {
            self.require(false, "bayeux.path", &fix);
        }
        let events = &config.eventsource.path;
        if let Some(fix) = path_fix(events, "/events") {
            self.require(false, "eventsource.path", &fix);
        }
        self.require(
            !is_at_or_below(events, &transports.path),
            "eventsource.path",
            "must not be bayeux.path, or below it",
        );
        let resources = &config.resources.http.path;
        if let Some(fix) = path_fix(resources, "/resources") {
            self.require(false, "resources.path", &fix);
        }
        let are_apart = |a: &str, b: &str| !is_at_or_below(a, b) && !is_at_or_below(b, a);
        let history = &config.history.path;
        if let Some(fix) = path_fix(history, "/history") {
            self.require(false, "history.path", &fix);
        }
        for other in [&transports.path, events, resources] {
            self.require(
                are_apart(history, other),
                "history.path",
                "must not be bayeux.path, eventsource.path or resources.path, nor below or above \
                 one of them",
            );
        }
        for other in [&transports.path, events] {
            let is_apart = are_apart(resources, other);
            self.require(
                is_apart,
                "resources.path",
                "must not be bayeux.path or eventsource.path, nor below or above one of them",
            );
        }
        let paths = [
            ("bayeux.path", &transports.path),
            ("eventsource.path", events),
            ("resources.path", resources),
            ("history.path", history),
        ];
        for (key, path) in paths {
            self.require(
                !config.api.public || !is_at_or_below(path, http_api::PATH),
                key,
                "must not be at or below /api/v1, where api.public = true serves the HTTP API",
            );
        }
        let names = &transports.transports;
        self.require(
            !names.is_empty(),
            "bayeux.transports",
            "name at least one transport",
        );
        let repeated = (1..names.len()).any(|index| names[..index].contains(&names[index]));
        self.require(
            !repeated,
            "bayeux.transports",
            "name each transport only once",
        );
        self.require(
            (400..=599).contains(&transports.duplicate_meta_connect_status),
            "bayeux.duplicate_meta_connect_status",
            "must be an HTTP error status, 400 to 599",
        );
    }

    fn cookie(&mut self, cookie: &Cookie) {
        self.require(
            is_token(&cookie.name),
            "bayeux.browser_cookie_name",
            "must be letters, digits or any of !#$%&'*+-.^_`|~, without spaces",
        );
        self.require(
            cookie
                .domain
                .as_ref()
                .is_none_or(|domain| !domain.is_empty() && is_cookie_attribute(domain)),
            "bayeux.browser_cookie_domain",
            "must be a host name, without ';', spaces or control characters",
        );
        self.require(
            cookie.path.starts_with('/') && is_cookie_attribute(&cookie.path),
            "bayeux.browser_cookie_path",
            "must start with '/', without ';', spaces or control characters",
        );
        self.require(
            cookie.max_age.is_none_or(|age| age.as_secs() >= 1),
            "bayeux.browser_cookie_max_age",
            "must be \"1s\" or more; leave it out for a cookie that ends with the browser",
        );
        self.require(
            cookie.secure || cookie.same_site != Some(SameSite::None),
            "bayeux.browser_cookie_same_site",
            "browsers accept it only with bayeux.browser_cookie_secure = true",
        );
        self.require(
            cookie.secure || !cookie.partitioned,
            "bayeux.browser_cookie_partitioned",
            "browsers accept it only with bayeux.browser_cookie_secure = true",
        );
        // RFC 6265bis section 4.1.3; browsers compare the prefixes without regard to case.
        let name = cookie.name.to_ascii_lowercase();
        let is_host = name.starts_with("__host-");
        self.require(
            cookie.secure || !(is_host || name.starts_with("__secure-")),
            "bayeux.browser_cookie_name",
            "has a prefix that browsers accept only with bayeux.browser_cookie_secure = true",
        );
        self.require(
            !is_host || (cookie.path == "/" && cookie.domain.is_none()),
            "bayeux.browser_cookie_name",
            "has a prefix that browsers accept only with the path \"/\" and without a domain",
        );
    }

    fn channels(&mut self, channels: &[ChannelOptions]) {
        let mut seen = HashSet::new();
        for (index, channel) in channels.iter().enumerate() {
            let key = format!("channel[{index}].pattern");
            if let Some(fix) = pattern_fix(&channel.pattern) {
                self.refuse(&key, shown(&channel.pattern), fix);
            } else if !seen.insert(&channel.pattern) {
                let fix = "an earlier [[channel]] has the same pattern; make them one";
                self.refuse(&key, shown(&channel.pattern), fix);
            }
            self.require_of_channel(
                channel.lazy_timeout.is_none_or(|time| time <= MAX_DURATION),
                (index, "lazy_timeout"),
                "must be at most \"366days\"",
            );
            self.require_of_channel(
                channel.max_queue != Some(0),
                (index, "max_queue"),
                "must be 1 or more; without it a channel has no bound of its own",
            );
            let is_bounded = channels.iter().any(|other| {
                other.max_queue.is_some() && may_match_alike(&channel.pattern, &other.pattern)
            });
            self.require_of_channel(
                channel.max_queue_policy.is_none() || is_bounded,
                (index, "max_queue_policy"),
                "does nothing without a max_queue; set that in the same [[channel]] \
                 (for the bound of whole sessions there is bayeux.max_queue_policy)",
            );
        }
    }

    fn require_of_channel(&mut self, holds: bool, (index, name): (usize, &str), fix: &str) {
        if !holds {
            let value = self.values.pointer(&format!("/channel/{index}/{name}"));
            let value = value.map(ToString::to_string).unwrap_or_default();
            self.refuse(&format!("channel[{index}].{name}"), value, fix);
        }
    }
}

fn is_at_or_below(path: &str, base: &str) -> bool {
    path.strip_prefix(base)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn shown(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Durations that may be zero, or of which the least is checked elsewhere.
fn or_zero(config: &Config) -> impl Iterator<Item = (&'static str, Duration)> {
    let session = &config.bayeux.session;
    [
        ("http.drain_time", config.http.drain_time),
        ("http.http2_ping_interval", config.http.http2_ping_interval),
        ("cluster.node_timeout", config.cluster.node_timeout),
        ("bayeux.interval", session.interval),
        ("webhook.cache", config.webhook.cache),
        ("bayeux.max_client_interval", session.max_client_interval),
        ("bayeux.max_unknown_delay", session.max_unknown_delay),
        ("bayeux.max_reconnect_spread", session.max_reconnect_spread),
        (
            "bayeux.callback_reconnect_interval",
            session.callback_reconnect_interval,
        ),
        ("bayeux.max_lazy_timeout", session.max_lazy_timeout),
        (
            "bayeux.multi_session_interval",
            session.multi_session_interval,
        ),
        ("websocket.ping_interval", config.websocket.ping_interval),
        (
            "eventsource.heartbeat_interval",
            config.eventsource.heartbeat_interval,
        ),
        ("eventsource.retry", config.eventsource.retry),
        (
            "streaming.heartbeat_interval",
            config.streaming.heartbeat_interval,
        ),
    ]
    .into_iter()
}

/// How long others are waited for, outside, and how often files are looked at.
fn of_others(config: &Config) -> [(&'static str, Duration); 8] {
    [
        ("tls.handshake_timeout", config.tls.handshake_timeout),
        ("tls.reload_interval", config.tls.reload_interval),
        ("cluster.call_timeout", config.cluster.call_timeout),
        ("traces.export_timeout", config.traces.export_timeout),
        ("webhook.timeout", config.webhook.timeout),
        ("webhook.retry", config.webhook.retry),
        ("backends.call_timeout", config.backends.call_timeout),
        ("backends.max_interval", config.backends.max_interval),
    ]
}

#[cfg(test)]
mod tests;
