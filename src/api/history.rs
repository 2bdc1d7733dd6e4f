//! The history of channels, for clients: a request reads a part of it, or has it deleted.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use crate::bayeux::{ChannelName, ChannelPattern};
use crate::server::{Actor, Denied, Implied, Part, Verdicts, Who};
use crate::transports::answer::{Answer, Deferred};
use crate::transports::gate::{Decision, HISTORY_METHODS as METHODS};
use crate::transports::{Endpoint, FORM_LIMITS, admitted, denial, now};
use crate::web::{Head, Response, Socket, form};

/// How many messages there are if a request does not say.
const DEFAULT_LIMIT: usize = 100;
/// How long the name of a store's numbers may be.
const MAX_EPOCH: usize = 64;

/// Why a request has not what it asks for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(
        "there is no history at this path; a channel has some if a [[channel]] of the \
         configuration sets history"
    )]
    NoHistory,
    #[error("history has the methods {METHODS}")]
    Method,
    #[error("history is deleted of one channel at a time, not of a pattern")]
    Pattern,
    #[error("{0} {1}")]
    Parameter(&'static str, String),
    #[error(transparent)]
    Query(#[from] form::Error),
    #[error(transparent)]
    Denied(#[from] Denied),
}

impl From<Error> for Response {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NoHistory => StatusCode::NOT_FOUND,
            Error::Method => StatusCode::METHOD_NOT_ALLOWED,
            Error::Pattern | Error::Parameter(..) | Error::Query(_) => StatusCode::BAD_REQUEST,
            Error::Denied(denied) => return denial::response(denied),
        };
        let response = Self::error(status, &error.to_string());
        match error {
            Error::Method => response.header("Allow", METHODS.as_bytes()),
            _ => response,
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// So many messages after a number, of the numbers of this name.
    Read {
        after: Option<u64>,
        epoch: Option<String>,
        limit: usize,
    },
    /// That those up to a number are deleted, or all.
    Delete { up_to: Option<u64> },
}

/// Serves a request at or below the path of history.
pub fn serve(
    endpoint: &Arc<Endpoint>,
    decision: &Decision<'_>,
    head: &Head,
    socket: &Socket,
) -> Answer {
    match asked(endpoint, head) {
        Ok((pattern, asked)) => answer(
            endpoint,
            decision,
            (pattern, asked),
            socket,
            Verdicts::default(),
        ),
        Err(error) => Response::from(error).into(),
    }
}

/// Does so, with verdicts as far as it has waited.
fn answer(
    endpoint: &Arc<Endpoint>,
    decision: &Decision<'_>,
    asked: (ChannelPattern, Asked),
    socket: &Socket,
    verdicts: Verdicts,
) -> Answer {
    route(endpoint, decision, asked, socket, verdicts)
        .unwrap_or_else(|error| Response::from(error).into())
}

fn route(
    endpoint: &Arc<Endpoint>,
    decision: &Decision<'_>,
    (pattern, asked): (ChannelPattern, Asked),
    socket: &Socket,
    mut verdicts: Verdicts,
) -> Result<Answer, Error> {
    let server = &endpoint.server;
    let actor = Actor {
        address: socket.peer().ip(),
        shown: decision.shown.as_ref(),
        cookies: &decision.cookies,
        is_request: true,
        ..Actor::default()
    };
    let channel = ChannelName::parse(pattern.as_str(), &server.terms().limits).ok();
    let implied = match (&asked, &channel) {
        (Asked::Read { .. }, _) => Implied::Past(&pattern),
        (Asked::Delete { .. }, Some(channel)) => Implied::Changed(channel, None),
        (Asked::Delete { .. }, None) => return Err(Error::Pattern),
    };
    if let Some(admission) = server.implied_admission(&implied, &actor, &mut verdicts, now()) {
        return Ok(admitted::after(
            admission,
            endpoint,
            decision,
            move |verdicts, endpoint, decision, socket| {
                answer(endpoint, decision, (pattern, asked), socket, verdicts)
            },
        ));
    }
    let known = server.admitted(&implied, verdicts, &actor, now())?;
    let who = known.as_ref().map_or(Who::Anonymous, Who::Known);
    let actor = Actor { who, ..actor };
    match (asked, channel) {
        (Asked::Delete { up_to }, Some(channel)) => {
            server.may_forget_past(&channel, &actor, now())?;
            let past = server.past(pattern).ok_or(Error::NoHistory)?;
            Ok(later(decision, past.forget(up_to), |_| {
                Response::new(StatusCode::NO_CONTENT)
            }))
        }
        (Asked::Delete { .. }, None) => Err(Error::Pattern),
        (
            Asked::Read {
                after,
                epoch,
                limit,
            },
            _,
        ) => {
            server.may_read_past(&pattern, &actor, now())?;
            let past = server.past(pattern).ok_or(Error::NoHistory)?;
            Ok(later(decision, past.read(after, epoch, limit), |part| {
                read(&part)
            }))
        }
    }
}

/// Answers when the store has.
fn later<T: 'static, E: std::fmt::Display + 'static>(
    decision: &Decision<'_>,
    outcome: impl Future<Output = Result<T, E>> + Send + 'static,
    make: impl FnOnce(T) -> Response + Send + 'static,
) -> Answer {
    let decision = decision.clone().into_owned();
    Answer::later(Deferred::before(
        Box::pin(outcome),
        move |outcome: Result<T, E>, _: &Socket| {
            let response = outcome.map_or_else(|failed| unavailable(&failed), make);
            decision.share(response).into()
        },
    ))
}

fn unavailable(failed: &impl std::fmt::Display) -> Response {
    let reason = format!("history is not available: {failed}");
    Response::error(StatusCode::SERVICE_UNAVAILABLE, &reason).header("Retry-After", b"1")
}

const JSON: &[u8] = b"Content-Type: application/json\r\nCache-Control: no-store\r\n";

fn read(part: &Part) -> Response {
    Response::new(StatusCode::OK)
        .header_lines(JSON)
        .body(part.json())
}

/// Finds what a request asks for, and of which channels.
fn asked(endpoint: &Endpoint, head: &Head) -> Result<(ChannelPattern, Asked), Error> {
    let settings = endpoint.server.history_settings();
    let name = head.uri.path().strip_prefix(&settings.path);
    let name: Option<Cow<'_, str>> =
        name.and_then(|name| percent_decode_str(name).decode_utf8().ok());
    let pattern = name.and_then(|name| endpoint.server.history_pattern(&name));
    let pattern = pattern.ok_or(Error::NoHistory)?;
    let query = head.uri.query().unwrap_or_default();
    let asked = match head.method {
        Method::GET => reading(query, settings.max_page_messages)?,
        Method::DELETE => Asked::Delete {
            up_to: number(query, "up_to")?,
        },
        _ => return Err(Error::Method),
    };
    Ok((pattern, asked))
}

pub(super) fn reading(query: &str, max: usize) -> Result<Asked, Error> {
    let after = number(query, "after")?;
    let limit = number(query, "limit")?.map(usize::try_from);
    let limit = limit.unwrap_or(Ok(DEFAULT_LIMIT.min(max)));
    let limit = limit.ok().filter(|limit| (1..=max).contains(limit));
    let limit = limit.ok_or_else(|| {
        let fix = format!("must be 1 to {max} (history.max_page_messages)");
        Error::Parameter("limit", fix)
    })?;
    let epoch = value(query, "epoch")?;
    if epoch.is_some() && after.is_none() {
        let fix = "says of which numbers after is, and needs that";
        return Err(Error::Parameter("epoch", fix.to_owned()));
    }
    let epoch = epoch.map(|epoch| String::from_utf8(epoch.to_vec()));
    let epoch = epoch.map(|epoch| epoch.ok().filter(|epoch| epoch.len() <= MAX_EPOCH));
    match epoch {
        Some(None) => Err(Error::Parameter("epoch", "is none".to_owned())),
        epoch => Ok(Asked::Read {
            after,
            epoch: epoch.flatten(),
            limit,
        }),
    }
}

fn number(query: &str, name: &'static str) -> Result<Option<u64>, Error> {
    let Some(value) = value(query, name)? else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&value).unwrap_or_default();
    // `parse` takes a plus, too.
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_digits);
    let wrong = || Error::Parameter(name, "must be a whole number, 0 or more".to_owned());
    number.map(Some).ok_or_else(wrong)
}

fn value(query: &str, name: &'static str) -> Result<Option<Bytes>, Error> {
    let mut values = form::query_values(query, name, FORM_LIMITS)?;
    if values.len() > 1 {
        return Err(Error::Parameter(name, "is there more than once".to_owned()));
    }
    Ok(values.pop())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_from_where_on_and_how_many() {
        let read = |after, epoch: Option<&str>, limit| {
            Ok(Asked::Read {
                after,
                epoch: epoch.map(Into::into),
                limit,
            })
        };
        let number = "must be a whole number, 0 or more";
        let limit = "limit must be 1 to 200 (history.max_page_messages)";
        let cases = [
            ("", read(None, None, 100)),
            ("x=1", read(None, None, 100)),
            ("after=0", read(Some(0), None, 100)),
            (
                "after=18446744073709551615&limit=200",
                read(Some(u64::MAX), None, 200),
            ),
            ("after=7&epoch=a%2Fb", read(Some(7), Some("a/b"), 100)),
            ("limit=1", read(None, None, 1)),
            ("after=", Err(format!("after {number}"))),
            ("after=-1", Err(format!("after {number}"))),
            ("after=%2B1", Err(format!("after {number}"))),
            ("after=18446744073709551616", Err(format!("after {number}"))),
            (
                "after=1&after=1",
                Err("after is there more than once".into()),
            ),
            ("limit=x", Err(format!("limit {number}"))),
            ("limit=0", Err(limit.into())),
            ("limit=201", Err(limit.into())),
            (
                "epoch=e",
                Err("epoch says of which numbers after is, and needs that".into()),
            ),
            ("after=1&epoch=%ff", Err("epoch is none".into())),
        ];
        for (query, expected) in cases {
            let found = reading(query, 200).map_err(|error| error.to_string());
            assert_eq!(found, expected, "{query}");
        }
        let small = reading("", 20).expect("a query");
        assert_eq!(small, read(None, None, 20).expect("a query"));
    }
}
