//! What requests were for, by their answers: a test that no longer reaches a part of the server says so.

use std::collections::BTreeMap;

use super::answers::Answer;
use super::embedded::line;

/// What a request was for, or why it was refused.
type Purpose = (
    &'static str,
    fn(method: &str, path: &str, answer: &Answer) -> bool,
);

const MESSAGES: Purpose = ("messages", |method, _, answer| {
    method == "POST" && answer.status == 200 && answer.is_of("application/json")
});
const SCRIPT: Purpose = ("a script", |_, _, answer| answer.body.starts_with("/**/"));
const FRAME: Purpose = ("a frame's page", |_, path, answer| {
    path == "/cometd" && answer.status == 200 && answer.is_of("text/html")
});
const WEBSOCKET: Purpose = ("a WebSocket", |_, _, answer| answer.status == 101);
const EVENTS: Purpose = ("an event stream", |_, path, answer| {
    path == "/events" && answer.status == 200 && answer.is_of("text/event-stream")
});
const SESSION: Purpose = ("a session's event stream", |_, path, answer| {
    path.starts_with("/cometd/") && answer.status == 200 && answer.body.starts_with("retry: 1000")
});
const GET: Purpose = ("GET", |method, path, answer| {
    is_resource("GET", method, path, answer)
});
const HEAD: Purpose = ("HEAD", |method, path, answer| {
    is_resource("HEAD", method, path, answer)
});
const PUT: Purpose = ("PUT", |method, path, answer| {
    is_resource("PUT", method, path, answer)
});
const POST: Purpose = ("POST", |method, path, answer| {
    is_resource("POST", method, path, answer)
});
const PATCH: Purpose = ("PATCH", |method, path, answer| {
    is_resource("PATCH", method, path, answer)
});
const DELETE: Purpose = ("DELETE", |method, path, answer| {
    is_resource("DELETE", method, path, answer)
});
const CHANGES: Purpose = ("a resource's changes", |method, path, answer| {
    method == "GET" && path.starts_with("/resources/r") && answer.is_of("message/http")
});
const REQUESTS: Purpose = ("requests", |method, _, answer| {
    method == "POST"
        && answer.is_of("message/http")
        && answer.body.contains("embedded Bayeux messages")
});
const PREFLIGHT: Purpose = ("a preflight", |method, _, answer| {
    method == "OPTIONS"
        && answer.status == 204
        && answer.field("Access-Control-Allow-Methods").is_some()
});
const ALLOWED: Purpose = ("messages of another origin", |method, _, answer| {
    method == "POST"
        && answer.is_of("application/json")
        && answer.status == 200
        && answer.field("Access-Control-Allow-Origin").is_some()
});
const PAGE: Purpose = ("a page", |_, path, _| path == "/mirant/eventsource.js");

fn is_resource(expected: &str, method: &str, path: &str, answer: &Answer) -> bool {
    expected == method
        && path.starts_with("/resources/r")
        && matches!(answer.status, 200..=204 | 304)
}

/// Reasons to refuse a request, of the gate and of those before and behind it.
const REASONS: [&str; 27] = [
    "there is nothing at this path\"",
    "there is nothing at this path that answers embedded requests",
    "the message-http transport is off",
    "a message/http request may not be compressed",
    "open an event stream by GET",
    "send Bayeux messages by POST",
    "the websocket transport is off",
    "the eventsource transport is off",
    "the callback-polling transport is off",
    "the long-polling transport is off",
    "add that origin to http.allowed_origins",
    "the Origin header is malformed",
    "the Referer header is malformed",
    "a cross-site request that names no origin",
    "a page without an origin",
    "is not served here",
    "has to say where it comes from",
    "the Content-Encoding of a body may be gzip",
    "needs a Host header",
    "more than one Host header",
    "the Host is malformed",
    "Transfer-Encoding is of HTTP/1.1",
    "not both",
    "the Content-Length is not a number",
    "the request is not HTTP/1.1",
    "larger than http.max_header_size or more than http.max_headers",
    "larger than bayeux.max_message_size",
];

const PURPOSES: [Purpose; 18] = [
    MESSAGES,
    SCRIPT,
    FRAME,
    WEBSOCKET,
    EVENTS,
    SESSION,
    GET,
    HEAD,
    PUT,
    POST,
    PATCH,
    DELETE,
    CHANGES,
    REQUESTS,
    PREFLIGHT,
    ALLOWED,
    PAGE,
    NO_PREFLIGHT,
];
const NO_PREFLIGHT: Purpose = ("OPTIONS of no page", |method, _, answer| {
    method == "OPTIONS"
        && answer.status == 204
        && answer.field("Access-Control-Allow-Methods").is_none()
});

/// How many requests there were of each purpose.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<&'static str, usize>);

impl Seen {
    pub(super) fn note(&mut self, request: &[u8], answers: &[Answer]) {
        let (Some((method, path)), Some(answer)) = (line(request), answers.first()) else {
            return;
        };
        let served = PURPOSES
            .iter()
            .filter(|(_, is)| is(&method, &path, answer))
            .map(|(name, _)| *name);
        let is_refused = answer.status >= 400;
        let refused = REASONS
            .iter()
            .filter(|reason| is_refused && answer.body.contains(**reason));
        for name in served.chain(refused.copied()) {
            *self.0.entry(name).or_default() += 1;
        }
    }

    /// Checks that all were seen but these.
    pub(super) fn all_but(&self, absent: &[&str]) {
        let purposes = PURPOSES.iter().map(|(name, _)| *name).chain(REASONS);
        let unseen: Vec<&str> = purposes.filter(|name| !self.0.contains_key(name)).collect();
        let is_absent = |name: &&&str| {
            absent.contains(name)
                || REASONS.contains(*name) && absent.iter().any(|part| name.contains(part))
        };
        let missing: Vec<_> = unseen.iter().filter(|name| !is_absent(name)).collect();
        assert!(missing.is_empty(), "none was for {missing:?}: {:?}", self.0);
    }
}
