//! What the head of a request of messages says; and that of polls, which say the same again and again,
//! so that it is read once.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Version, header};

use super::{Answer, Endpoint, Error, Place, coding, long_polling, message_http, multipart};
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
    endpoint: Arc<Endpoint>,
    version: Version,
    location: Box<str>,
    content_type: Option<Box<str>>,
    cookies: Box<[RandomId]>,
    origin: Option<HeaderValue>,
    says_origin: bool,
    gzips: bool,
}

impl<'s> Said<'s> {
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
    pub(super) fn content_type(self) -> Option<&'s str> {
        match self {
            Self::Now(head) => head.headers.text(&header::CONTENT_TYPE),
            Self::Before(usual) => usual.content_type.as_deref(),
        }
    }

    /// Returns the browser cookies that have the form of this server's.
    pub(super) fn cookies(self, endpoint: &Endpoint) -> Cow<'s, [RandomId]> {
        match self {
            Self::Now(head) => endpoint.cookies(&head.headers).into(),
            Self::Before(usual) => Cow::Borrowed(&usual.cookies),
        }
    }

    /// Tells whether it says that it comes from a page that may use the server.
    pub(super) fn says_origin(self, endpoint: &Endpoint) -> bool {
        match self {
            Self::Now(head) => matches!(
                endpoint.origins.check(&head.headers),
                Verdict::SameOrigin | Verdict::Allowed(_)
            ),
            Self::Before(usual) => usual.says_origin,
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
    /// A page of any origin can load a script, and have a frame load a page of scripts: whoever asks for
    /// such an answer has to say where it comes from.
    pub(super) fn check_script(&self, said: Said<'_>) -> Result<(), Error> {
        if self.settings.callback_without_origin || said.says_origin(self) {
            return Ok(());
        }
        self.server.metrics().refused_origins.increment();
        Err(Error::NoOrigin)
    }

    /// Returns what a request's head says, if it is one that is usual for messages.
    #[must_use]
    pub fn usual(self: &Arc<Self>, request: &Request) -> Option<Usual> {
        let head = &request.head;
        let headers = &head.headers;
        let is_of_messages =
            head.method == Method::POST && self.place(head.uri.path()) == Some(Place::Messages);
        if !is_of_messages
            || self.check_posts().is_err()
            || multipart::is_asked(headers)
            || !coding::is_plain(headers)
            || message_http::is_accepted(headers)
        {
            return None;
        }
        let (origin, says_origin) = match self.origins.check(headers) {
            Verdict::SameOrigin => (None, true),
            Verdict::Unsaid => (None, false),
            Verdict::Allowed(origin) => (origin, true),
            Verdict::Refused(_) => return None,
        };
        let said = Said::Now(head);
        Some(Usual {
            endpoint: Arc::clone(self),
            version: said.version(),
            location: said.location(),
            content_type: said.content_type().map(Into::into),
            cookies: self.cookies(headers).into(),
            origin,
            says_origin,
            gzips: said.gzips(),
        })
    }
}

impl Usual {
    /// Serves a request whose head is the same, by its body.
    pub fn serve(&self, body: Bytes, socket: &Socket) -> Answer {
        long_polling::answer(&self.endpoint, body, Said::Before(self), false, socket)
            .unwrap_or_else(|error| Response::from(error).into())
            .dressed(self.origin.as_ref())
    }
}
