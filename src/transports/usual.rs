//! What the head of a request of messages says; and that of polls, which say the same again and again,
//! so that it is read once.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Method, Version, header};

use super::{Answer, Endpoint, long_polling, message_http, multipart};
use crate::bayeux::RandomId;
use crate::web::cors::Verdict;
use crate::web::{Head, Request, Response, Socket, gzip};

/// What the head of a request of messages says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Said<'s> {
    /// It stands there.
    Now(&'s Head),
    /// It is what another one said.
    Before(&'s Usual),
}

/// What the head of a usual request of messages says. Another one of the same bytes is answered in the
/// same way.
#[derive(Debug)]
pub struct Usual {
    version: Version,
    location: Box<str>,
    content_type: Option<Box<str>>,
    cookies: Box<[RandomId]>,
    origin: Option<HeaderValue>,
    gzips: bool,
}

impl Said<'_> {
    pub(super) fn version(self) -> Version {
        match self {
            Self::Now(head) => head.version,
            Self::Before(usual) => usual.version,
        }
    }

    /// Returns the request's target.
    pub(super) fn location(self) -> Box<str> {
        match self {
            Self::Now(head) => head.uri.to_string().into(),
            Self::Before(usual) => usual.location.clone(),
        }
    }

    /// Returns the `Content-Type` of its body.
    pub(super) fn content_type(&self) -> Option<&str> {
        match self {
            Self::Now(head) => head.headers.text(&header::CONTENT_TYPE),
            Self::Before(usual) => usual.content_type.as_deref(),
        }
    }

    /// Tells whether its client reads compressed responses.
    pub(super) fn gzips(self) -> bool {
        match self {
            Self::Now(head) => gzip::is_accepted(&head.headers),
            Self::Before(usual) => usual.gzips,
        }
    }

    /// Tells whether `message/http` is what its client accepts first.
    pub(super) fn accepts_message_http(self) -> bool {
        match self {
            Self::Now(head) => message_http::is_accepted(&head.headers),
            Self::Before(_) => false,
        }
    }
}

impl Endpoint {
    /// Returns the browser cookies that this server can have made.
    pub(super) fn cookies_of<'s>(&self, said: &Said<'s>) -> Cow<'s, [RandomId]> {
        match said {
            Said::Now(head) => self.cookies(&head.headers).into(),
            Said::Before(usual) => Cow::Borrowed(&usual.cookies),
        }
    }

    /// Returns what a request's head says, if it is one that is usual for messages.
    #[must_use]
    pub fn usual(&self, request: &Request) -> Option<Usual> {
        let head = &request.head;
        let path = head.uri.path();
        let is_of_messages = head.method == Method::POST
            && self.is_bayeux_at(path)
            && !self.is_stream_at(path)
            && !self.is_resource_at(path);
        let headers = &head.headers;
        if !is_of_messages || multipart::is_asked(headers) || message_http::is_accepted(headers) {
            return None;
        }
        let origin = match self.origins.check(headers) {
            Verdict::SameOrigin => None,
            Verdict::Allowed(origin) => origin,
            Verdict::Refused(_) => return None,
        };
        let said = Said::Now(head);
        Some(Usual {
            version: said.version(),
            location: said.location(),
            content_type: said.content_type().map(Into::into),
            cookies: self.cookies(headers).into(),
            origin,
            gzips: said.gzips(),
        })
    }

    /// Serves a request whose head is that of another one, which was usual.
    pub fn serve_again(&self, usual: &Usual, body: Bytes, socket: &Socket) -> Answer {
        let answer = self
            .check_posts()
            .and_then(|()| long_polling::answer(self, body, Said::Before(usual), false, socket))
            .unwrap_or_else(|error| Response::from(error).into());
        answer.dressed(usual.origin.as_ref())
    }
}
