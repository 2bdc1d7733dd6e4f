//! Channels as resources (RFC 9110): their last message is read, waited for and changed by requests
//! without a session.

pub(super) mod headers;
mod wait;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};
use percent_encoding::percent_decode_str;

use crate::bayeux::{ChannelName, DataError};
use crate::metrics::{Limit, Metrics};
use crate::resources::{Conditions, Current, Had, Unmet, Version, Woken, Written};
use crate::server::{
    Actor, ByteRange, Changed, Denied, Implied, NotWritten, Unsettled, Verdicts, Who,
};
use crate::transports::answer::{Answer, Deferred};
use crate::transports::gate::{Decision, RESOURCE_METHODS as METHODS};
use crate::transports::{Endpoint, Transport, admitted, denial, message_http, now};
use crate::web::{Head, Headers, Response, Socket};
use wait::{Changes, NextChange};

/// The request header that makes a GET wait.
const WHEN_MODIFIED_AFTER: HeaderName = HeaderName::from_static("when-modified-after");

/// Why a request has not what it asks for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Error {
    #[error(
        "there is no resource at this path; a channel is one if a [[channel]] of the \
         configuration says resource = true"
    )]
    NoResource,
    #[error("nothing has been published here, or it is forgotten")]
    Nothing,
    #[error("the resource was deleted")]
    Deleted(Option<Version>),
    #[error(
        "the resource is not what the request depends on (If-Match, If-None-Match, \
         If-Unmodified-Since)"
    )]
    Condition(Option<Version>),
    #[error("When-Modified-After must be a date such as Thu, 01 Jan 1970 00:00:00 GMT")]
    Date,
    #[error("a part needs Content-Range: bytes FIRST-LAST/*, and as many bytes")]
    Range,
    #[error("send a part of a resource by PATCH")]
    PartialPut,
    #[error("a resource has the methods {METHODS}")]
    Method,
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    NotWritten(NotWritten),
}

impl From<NotWritten> for Error {
    fn from(error: NotWritten) -> Self {
        match error {
            NotWritten::Unmet(Unmet::Nothing) => Self::Nothing,
            NotWritten::Unmet(Unmet::Deleted) => Self::Deleted(None),
            NotWritten::Unmet(Unmet::Condition(version)) => Self::Condition(version),
            NotWritten::Denied(denied) => Self::Denied(denied),
            error => Self::NotWritten(error),
        }
    }
}

impl From<Error> for Response {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NoResource | Error::Nothing => StatusCode::NOT_FOUND,
            Error::Deleted(_) => StatusCode::GONE,
            Error::Condition(_) => StatusCode::PRECONDITION_FAILED,
            Error::Method => StatusCode::METHOD_NOT_ALLOWED,
            Error::NotWritten(NotWritten::Range { .. }) => StatusCode::RANGE_NOT_SATISFIABLE,
            Error::NotWritten(NotWritten::Result(_)) => StatusCode::UNPROCESSABLE_ENTITY,
            Error::NotWritten(NotWritten::TooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            Error::Denied(denied) | Error::NotWritten(NotWritten::Denied(denied)) => {
                return denial::response(denied);
            }
            Error::NotWritten(NotWritten::Data(_) | NotWritten::NoData | NotWritten::Unmet(_))
            | Error::Date
            | Error::Range
            | Error::PartialPut => StatusCode::BAD_REQUEST,
        };
        let response = Self::error(status, &error.to_string());
        match error {
            Error::Method => response.header("Allow", METHODS.as_bytes()),
            Error::Deleted(Some(version)) | Error::Condition(Some(version)) => {
                validated(response, version)
            }
            Error::NotWritten(NotWritten::Range { length }) => {
                response.header("Content-Range", format!("bytes */{length}").as_bytes())
            }
            _ => response,
        }
    }
}

/// Serves a request at or below the path of resources; now, or after what the extensions let it wait for.
pub fn serve(
    endpoint: &Arc<Endpoint>,
    decision: &Decision<'_>,
    head: &Head,
    body: &Bytes,
    socket: &Socket,
) -> Answer {
    answer(endpoint, decision, head, body, socket, Verdicts::default())
}

/// Who asks for a resource.
fn actor<'d>(decision: &'d Decision<'_>, socket: &Socket) -> Actor<'d> {
    Actor {
        address: socket.peer().ip(),
        shown: decision.shown.as_ref(),
        cookies: &decision.cookies,
        is_request: true,
        ..Actor::default()
    }
}

/// Does so, with verdicts as far as it has waited.
fn answer(
    endpoint: &Arc<Endpoint>,
    decision: &Decision<'_>,
    head: &Head,
    body: &Bytes,
    socket: &Socket,
    verdicts: Verdicts,
) -> Answer {
    let answer = route(endpoint, decision, head, body, socket, verdicts).unwrap_or_else(|error| {
        count(&error, endpoint.server.metrics());
        Response::from(error).into()
    });
    match answer {
        Answer::Now(response, carried) if is_exposed(decision, head) => {
            Answer::Now(exposed(response), carried)
        }
        answer => answer,
    }
}

/// Tells whether a page of another origin may read more than the body.
fn is_exposed(decision: &Decision<'_>, head: &Head) -> bool {
    !decision.is_embedded && head.headers.contains(&header::ORIGIN)
}

/// Tells what messages a request stands for, if it has a method that is served.
fn implied<'a>(channel: &'a ChannelName, head: &Head, body: &'a [u8]) -> Option<Implied<'a>> {
    match head.method {
        Method::GET | Method::HEAD => Some(Implied::Read(channel)),
        Method::PUT | Method::POST => Some(Implied::Changed(channel, Some(body))),
        Method::PATCH | Method::DELETE => Some(Implied::Changed(channel, None)),
        _ => None,
    }
}

fn route(
    endpoint: &Arc<Endpoint>,
    decision: &Decision<'_>,
    head: &Head,
    body: &Bytes,
    socket: &Socket,
    mut verdicts: Verdicts,
) -> Result<Answer, Error> {
    let (server, headers) = (&endpoint.server, &head.headers);
    let channel = channel(endpoint, head.uri.path()).ok_or(Error::NoResource)?;
    let actor = actor(decision, socket);
    let implied = implied(&channel, head, body).ok_or(Error::Method)?;
    if let Some(admission) = server.implied_admission(&implied, &actor, &mut verdicts, now()) {
        let (head, body) = (head.clone(), body.clone());
        return Ok(admitted::after(
            admission,
            endpoint,
            decision,
            move |verdicts, endpoint, decision, socket| {
                answer(endpoint, decision, &head, &body, socket, verdicts)
            },
        ));
    }
    let known = server.admitted(&implied, verdicts, &actor, now())?;
    let who = known.as_ref().map_or(Who::Anonymous, Who::Known);
    let actor = Actor { who, ..actor };
    let conditions = Conditions {
        absent: headers::if_none_match(headers),
        ..headers::conditions(headers)
    };
    let (changed, work) = match head.method {
        Method::GET | Method::HEAD if headers.contains(&WHEN_MODIFIED_AFTER) => {
            return wait(endpoint, decision, &channel, &actor, head);
        }
        Method::GET | Method::HEAD => {
            let current = server.resource(&channel, &actor, now())?;
            let current = current.ok_or(Error::Nothing)?;
            return read(&current, headers).map(Answer::from);
        }
        Method::PUT | Method::POST => {
            if headers.contains(&header::CONTENT_RANGE) {
                return Err(Error::PartialPut);
            }
            server.put_resource(&channel, body, &conditions, &actor, now())
        }
        Method::PATCH => {
            let part = body;
            let range = range(headers, part.len()).ok_or(Error::Range)?;
            server.patch_resource(&channel, part, range, &conditions, &actor, now())
        }
        Method::DELETE => {
            let deleted = server.delete_resource(&channel, &conditions, &actor, now());
            (deleted, 0)
        }
        _ => return Err(Error::Method),
    };
    socket.note_work(work);
    let is_deleted = head.method == Method::DELETE;
    let response = move |written| {
        if is_deleted {
            Response::new(StatusCode::NO_CONTENT)
        } else {
            stored(written)
        }
    };
    Ok(match changed? {
        Changed::Done(written) => response(written).into(),
        Changed::Unsettled(unsettled) => {
            settled(response, unsettled, decision, is_exposed(decision, head))
        }
    })
}

/// Lets a response leave when the change is settled.
fn settled(
    response: impl FnOnce(Written) -> Response + Send + 'static,
    unsettled: Unsettled,
    decision: &Decision<'_>,
    is_exposed: bool,
) -> Answer {
    let decision = decision.clone().into_owned();
    let make = move |settled: Result<Written, NotWritten>, _: &Socket| {
        let mut response = settled.map_or_else(|error| Error::from(error).into(), response);
        if is_exposed {
            response = exposed(response);
        }
        decision.share(response).into()
    };
    Answer::later(Deferred::after(unsettled, make))
}

/// Reads a resource's channel from the path, in which a channel's odd characters are encoded.
fn channel(endpoint: &Endpoint, path: &str) -> Option<ChannelName> {
    let name = path.strip_prefix(&endpoint.resources.path)?;
    let name: Cow<'_, str> = percent_decode_str(name).decode_utf8().ok()?;
    endpoint.server.resource_channel(&name)
}

/// Answers a GET that does not wait.
fn read(current: &Current, headers: &Headers) -> Result<Response, Error> {
    let version = current.version;
    let data = current.data.as_ref().ok_or(Error::Deleted(Some(version)))?;
    if !headers::conditions(headers).are_met(Some(version)) {
        return Err(Error::Condition(Some(version)));
    }
    let is_known = match headers::if_none_match(headers) {
        Some(versions) => versions.hold(version),
        None => headers::if_modified_since(headers).is_some_and(|date| !current.is_after(date)),
    };
    if is_known {
        return Ok(headed(StatusCode::NOT_MODIFIED, version));
    }
    Ok(whole(data, version))
}

/// Answers a GET with When-Modified-After at once if there is something newer, or lets it wait; or
/// gives it all changes, each as a response, if it accepts that.
fn wait(
    endpoint: &Endpoint,
    decision: &Decision<'_>,
    channel: &ChannelName,
    actor: &Actor<'_>,
    head: &Head,
) -> Result<Answer, Error> {
    let headers = &head.headers;
    let date = headers.text(&WHEN_MODIFIED_AFTER);
    let date = date.and_then(headers::date).ok_or(Error::Date)?;
    let had = headers::if_none_match(headers).map_or(Had::Until(date), Had::Versions);
    let server = &endpoint.server;
    let mut watch = server.watch_resource(channel, &had, actor, now())?;
    let left = actor.who.left(SystemTime::now());
    let has_responses = head.method == Method::GET
        && endpoint.gate.is_on(Transport::MessageHttp)
        && decision.accepts_responses;
    if has_responses {
        let changes = Changes::new(watch, left);
        return Ok(if decision.is_embedded {
            Answer::later(changes)
        } else {
            message_http::open(decision, changes, &endpoint.streaming)
        });
    }
    match watch.poll_changed(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(woken) => Ok(changed(woken).into()),
        Poll::Pending => {
            let is_exposed = is_exposed(decision, head);
            let timeout = endpoint.resources.timeout;
            let timeout = left.map_or(timeout, |left| left.min(timeout));
            Ok(Answer::later(NextChange::new(watch, timeout, is_exposed)))
        }
    }
}

/// The response to a wait that is over.
fn changed(woken: Woken) -> Response {
    match woken {
        Woken::Changed(Current { version, data, .. }, range) => match (data, range) {
            (None, _) => Error::Deleted(Some(version)).into(),
            (Some(data), Some(range)) => part(&data, range, version),
            (Some(data), None) => whole(&data, version),
        },
        Woken::Stopped => unchanged(),
    }
}

/// The response to a wait that nothing happened in.
fn unchanged() -> Response {
    Response::new(StatusCode::NO_CONTENT).header_lines(NO_CACHE)
}

const NO_CACHE: &[u8] = b"Cache-Control: no-cache\r\n";
const CONTENT_TYPE: &[u8] = b"Content-Type: application/json\r\n";
/// What the pages of other origins may read beside the body.
const EXPOSE: &[u8] = b"Access-Control-Expose-Headers: ETag, Content-Range\r\n";

fn whole(data: &[u8], version: Version) -> Response {
    headed(StatusCode::OK, version)
        .header_lines(CONTENT_TYPE)
        .body(data.to_vec())
}

fn part(data: &[u8], range: Range<usize>, version: Version) -> Response {
    let last = range.end.saturating_sub(1);
    let place = format!("bytes {}-{last}/{}", range.start, data.len());
    headed(StatusCode::PARTIAL_CONTENT, version)
        .header_lines(CONTENT_TYPE)
        .header("Content-Range", place.as_bytes())
        .body(data[range].to_vec())
}

fn stored(written: Written) -> Response {
    let status = if written.is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    headed(status, written.version)
}

fn headed(status: StatusCode, version: Version) -> Response {
    validated(Response::new(status), version).header_lines(NO_CACHE)
}

fn validated(response: Response, version: Version) -> Response {
    let modified = httpdate::fmt_http_date(version.modified());
    response
        .header("ETag", format!("\"{version}\"").as_bytes())
        .header("Last-Modified", modified.as_bytes())
}

fn exposed(response: Response) -> Response {
    response.header_lines(EXPOSE)
}

/// Reads where a part goes.
fn range(headers: &Headers, length: usize) -> Option<ByteRange> {
    let range = headers::content_range(headers)?;
    (range.last.checked_sub(range.first)?.checked_add(1)? == length).then_some(ByteRange {
        start: range.first,
        total: range.total,
    })
}

/// Counts a request that is refused for a bound.
fn count(error: &Error, metrics: &Metrics) {
    match error {
        Error::NotWritten(
            NotWritten::Data(DataError::TooDeep(_)) | NotWritten::Result(DataError::TooDeep(_)),
        ) => metrics.limited(Limit::MaxDepth),
        Error::NotWritten(NotWritten::TooLarge(_)) => metrics.limited(Limit::MaxMessageSize),
        _ => {}
    }
}
