//! The way in: requests that come in the body of a request, and who answers them.

use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode, Version, header};

use super::super::exchange::now;
use super::super::{
    Answer, Endpoint, Incoming, Opened, Place, Transport, allow, coding, resources, vary,
};
use super::outgoing::Outgoing;
use super::requests::{Bounds, Next, Requests};
use super::{Connection, is_message_http};
use crate::metrics::Metrics;
use crate::web::cors::Verdict;
use crate::web::websocket::is_upgrade;
use crate::web::{Head, Request, Response, Socket, Transfer, gzip};

/// The requests of a body that may go on for ever.
#[derive(Debug)]
pub(super) struct Inward {
    endpoint: Arc<Endpoint>,
    requests: Requests,
    /// The outer request's target, for what is of no other.
    pub(super) location: Box<str>,
    /// The outer request's cookies, for requests that have none.
    cookies: Box<[u8]>,
    /// Since when a request has begun to arrive.
    pub(super) begun: Option<Instant>,
    /// Since when nothing has happened.
    pub(super) idle: Option<Instant>,
    /// The body has ended, or is not read any more.
    pub(super) has_ended: bool,
}

impl Inward {
    /// Takes what comes next of what has arrived.
    pub(super) fn next(&mut self, socket: &mut Socket) -> Next {
        let next = self.requests.next(socket.arrived_bytes());
        match &next {
            Next::More if self.requests.is_begun() => {
                self.begun.get_or_insert_with(now);
            }
            Next::Fault(fault) if fault.is_last => self.end(),
            Next::End => self.end(),
            Next::More => self.begun = None,
            Next::Request(..) | Next::Fault(_) => {
                self.begun = None;
                self.idle = None;
            }
        }
        next
    }

    /// Reads no more.
    pub(super) fn end(&mut self) {
        self.begun = None;
        self.has_ended = true;
    }

    pub(super) fn metrics(&self) -> &Metrics {
        self.endpoint.server.metrics()
    }

    pub(super) fn max_pending(&self) -> usize {
        self.endpoint.streaming.max_embedded_requests
    }

    /// Has a request served.
    pub(super) fn serve(&self, mut request: Request, socket: &Socket) -> Answer {
        let headers = &mut request.head.headers;
        // Where it comes from was checked with the outer request.
        headers.remove(&header::ORIGIN);
        if !self.cookies.is_empty() && !headers.contains(&header::COOKIE) {
            headers.append(&header::COOKIE, &self.cookies);
        }
        let endpoint = &*self.endpoint;
        if let Err(error) = endpoint.decode(&mut request) {
            return Response::from(error).into();
        }
        let place = endpoint.place(request.uri().path());
        if is_message_http(request.headers()) {
            refusal("an embedded request may not hold others").into()
        } else if is_upgrade(&request.head) {
            refusal("an embedded request may not open a WebSocket").into()
        } else if place == Some(Place::Resource) {
            resources::serve(endpoint, &request, socket)
        } else if place != Some(Place::Messages) {
            Response::error(StatusCode::NOT_FOUND, NOTHING_HERE).into()
        } else if *request.method() == Method::POST {
            let incoming = Incoming {
                request,
                socket,
                is_embedded: true,
            };
            let answer = endpoint.exchange_once(incoming);
            answer.unwrap_or_else(|error| Response::from(error).into())
        } else {
            let reason = "send embedded Bayeux messages by POST";
            let response = Response::error(StatusCode::METHOD_NOT_ALLOWED, reason);
            response.header("Allow", b"POST").into()
        }
    }
}

const NOTHING_HERE: &str = "there is nothing at this path that answers embedded requests";

fn refusal(reason: &str) -> Response {
    Response::error(StatusCode::BAD_REQUEST, reason)
}

impl Endpoint {
    /// Opens the response to a request whose body holds requests.
    pub fn open(self: &Arc<Self>, head: &Head, body: Transfer, bounds: Bounds) -> Answer {
        let origin = match self.origins.check(&head.headers) {
            Verdict::SameOrigin | Verdict::Unsaid => None,
            Verdict::Allowed(origin) => origin,
            Verdict::Refused(reason) => {
                self.server.metrics().refused_origins.increment();
                return vary(Response::error(StatusCode::FORBIDDEN, &reason)).into();
            }
        };
        let dress = |response| vary(allow(response, origin.as_ref()));
        if !self.is_on(Transport::MessageHttp) {
            let reason = "the message-http transport is off (bayeux.transports)";
            let response = Response::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason);
            return dress(response).into();
        }
        if !coding::is_plain(&head.headers) {
            let reason = "a message/http request may not be compressed as a whole";
            let response = Response::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason);
            return dress(response.header("Accept-Encoding", b"identity")).into();
        }
        let place = self.place(head.uri.path());
        if !matches!(place, Some(Place::Messages | Place::Resource)) {
            let response = Response::error(StatusCode::NOT_FOUND, NOTHING_HERE);
            return dress(response).into();
        }
        let gzips = gzip::is_accepted(&head.headers);
        let (outgoing, response) = Outgoing::begin(head.version, gzips);
        let mut connection = Connection::new(outgoing, self.streaming.clone());
        let cookies: Vec<_> = head.headers.get_all(&header::COOKIE).collect();
        connection.inward = Some(Box::new(Inward {
            endpoint: Arc::clone(self),
            requests: Requests::new(body, bounds),
            location: head.uri.to_string().into(),
            cookies: cookies.join(b"; ".as_slice()).into(),
            begun: None,
            idle: None,
            has_ended: false,
        }));
        Answer::Open(dress(response), Opened::MessageHttp(Box::new(connection)))
    }
}

/// Tells whether a client waits to hear that it may send a body.
#[must_use]
pub fn expects_continue(head: &Head) -> bool {
    let expect = head.headers.get(&header::EXPECT);
    head.version == Version::HTTP_11
        && expect.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"))
}
