//! What becomes of a request in the body of another, by what becomes of it alone. Both are the same, but
//! for what the documentation says.

use super::answers::{Answer, read};
use super::connection::Outcome;

/// What is known of the answer to an embedded request.
#[derive(Debug)]
pub(super) enum Expected {
    /// It is the one that it would have alone.
    Same(Answer),
    /// It is refused.
    Refused(u16, &'static str),
}

const NESTED: Expected = Expected::Refused(400, "an embedded request may not hold others");
const UPGRADE: Expected = Expected::Refused(400, "an embedded request may not open a WebSocket");
const METHOD: Expected = Expected::Refused(405, "send embedded Bayeux messages by POST");
const NOTHING: Expected = Expected::Refused(404, "that answers embedded requests");

impl Expected {
    pub(super) fn is(&self, found: &Answer) -> bool {
        match self {
            Self::Same(answer) => stripped(found) == *answer,
            Self::Refused(status, reason) => {
                // To a HEAD no reason is given.
                let has_reason = found.body.is_empty() || found.body.contains(reason);
                found.status == *status && has_reason
            }
        }
    }
}

/// A request whose answer goes on as long as its connection, and whose own bytes end where it says.
fn opens_stream(bytes: &[u8], answer: &Answer) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let (head, _) = text.split_once("\r\n\r\n").unwrap_or_default();
    let body = memchr::memmem::find(bytes, b"\r\n\r\n").map_or(0, |end| bytes.len() - end - 4);
    let length = first(head, "content-length").unwrap_or("0").trim();
    length == body.to_string()
        && answer.field("Content-Length").is_none()
        && !matches!(answer.status, 204 | 304)
}

/// What is expected in the place of what a request has alone; nothing if that does not tell.
pub(super) fn expected(bytes: &[u8], alone: &Outcome) -> Option<Expected> {
    let [answer] = alone.answers.as_slice() else {
        return None;
    };
    let is_whole = !alone.ends || opens_stream(bytes, answer);
    instead(bytes, answer).filter(|_| is_whole)
}

fn instead(bytes: &[u8], alone: &Answer) -> Option<Expected> {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let head = text.split("\r\n\r\n").next()?;
    let (method, path) = line(bytes)?;
    let is_of_requests = first(head, "content-type").is_some_and(is_message_http);
    // Whether a page or a host is served was asked for the outer request.
    let is_of_outer = matches!(alone.status, 403 | 421);
    if head.contains("transfer-encoding") || is_of_outer {
        return None;
    }
    if is_of_requests {
        return Some(NESTED);
    }
    if head.contains("upgrade") {
        return (alone.status == 101).then_some(UPGRADE);
    }
    if is_at_or_below(&path, "/resources") && !is_off(alone) {
        if alone.is_of("message/http") || method == "OPTIONS" {
            return None;
        }
    } else if !is_at_or_below(&path, "/cometd") {
        return Some(NOTHING);
    } else if method != "POST" {
        return Some(METHOD);
    } else if alone.field("X-Accel-Buffering").is_some() || alone.is_of("multipart/") {
        // A connect in a batch of its own may ask for a stream, and has one alone only.
        return None;
    }
    Some(Expected::Same(stripped(alone)))
}

/// There are no resources.
fn is_off(alone: &Answer) -> bool {
    alone.status == 404 && alone.body.contains("there is nothing at this path")
}

/// The answers in the answer to the outer request.
pub(super) fn answers(bytes: &[u8]) -> Vec<Answer> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").expect("a head") + 4;
    let mut chunks = bytes[end..].to_vec();
    let mut body = Vec::new();
    while let Some(chunk) = crate::support::take_chunk(&mut chunks) {
        body.extend(chunk);
    }
    read(&body).answers
}

/// An answer without what is said once, in the outer answer, or is of a connection.
fn stripped(answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    answer.fields.retain(|line| {
        let of_outer = [
            "connection: ",
            "vary: ",
            "access-control-",
            "content-encoding: ",
            "content-length: ",
            "content-location: ",
            "x-content-type-options: ",
            "cache-control: ",
            "pragma: ",
            "expires: ",
        ];
        let line = line.to_ascii_lowercase();
        !of_outer.iter().any(|name| line.starts_with(name))
    });
    for line in &mut answer.fields {
        // JSON has no other charset.
        if line.starts_with("Content-Type: application/json") {
            "Content-Type: application/json".clone_into(line);
        }
    }
    answer
}

/// The method and the path of a request.
pub(super) fn line(bytes: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.split_ascii_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    };
    let path = target.split(['?', '#']).next()?;
    Some((method, path.to_owned()))
}

fn first<'t>(head: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = head.lines().skip(1);
    lines
        .find_map(|line| line.split_once(':').filter(|(found, _)| *found == name))
        .map(|(_, value)| value)
}

fn is_message_http(value: &str) -> bool {
    value.split([';', ',']).next().map(str::trim) == Some("message/http")
}

fn is_at_or_below(path: &str, base: &str) -> bool {
    path.strip_prefix(base)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
