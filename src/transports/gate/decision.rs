//! What the gate decides about a request.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Uri, Version, header};

use super::rejection::Rejection;
use super::{Coding, Sender, accept};
use crate::authentication::Shown;
use crate::bayeux::{ClientId, RandomId};
use crate::web::{Head, Persistence, Response, cors};

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To exchange messages, which are its body.
    Messages,
    /// To exchange messages, which are in its query, and to be answered by a script.
    Script,
    /// To open the forever frame of Dojo 0.3 and 0.4.
    FrameOpening,
    /// To open a WebSocket.
    WebSocket,
    /// To open an event stream of the channels in its query.
    EventStream,
    /// To open the event stream of a session.
    SessionStream(ClientId),
    /// To read, wait for or change a resource.
    Resource,
    /// To read the history of channels, or to have it deleted.
    History,
    /// To be told how it has arrived.
    Doctor,
    /// To have the requests in its body answered.
    Requests,
    /// To ask what pages of other origins may do; the methods of its path.
    Preflight(&'static str),
    /// It is not served.
    Refused(Box<Rejection>),
}

impl Purpose {
    /// Returns its name for an access log.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Script => "callback-polling",
            Self::FrameOpening => "frame",
            Self::WebSocket => "websocket",
            Self::EventStream => "events",
            Self::SessionStream(_) => "eventsource",
            Self::Resource => "resource",
            Self::History => "history",
            Self::Doctor => "doctor",
            Self::Requests => "message/http",
            Self::Preflight(_) => "preflight",
            Self::Refused(_) => "refused",
        }
    }
}

impl From<Rejection> for Purpose {
    fn from(refusal: Rejection) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// What a request's head means. Another request whose head has the same bytes is decided alike.
#[derive(Debug, Clone)]
pub struct Decision<'h> {
    /// What the request is for.
    pub purpose: Purpose,
    /// How its answer is written, and how its connection goes on.
    pub persistence: Persistence,
    pub(super) target: Target<'h>,
    /// The `Content-Type` of its body.
    pub content_type: Option<Cow<'h, str>>,
    /// The coding of its body.
    pub coding: Coding,
    /// The browser cookies that have the form of this server's.
    pub cookies: Box<[RandomId]>,
    /// What it shows of its client, as far as the configuration asks for that.
    pub shown: Option<Arc<Shown>>,
    /// The origin of the page that may read the answer, if it is not this server's.
    pub origin: Option<HeaderValue>,
    /// It may be answered by a script: it says that it comes from a page that may use the server.
    pub may_script: bool,
    /// Its client reads parts and nothing else.
    pub accepts_parts: bool,
    /// `message/http` is what its client accepts first.
    pub accepts_responses: bool,
    /// It is embedded in another request.
    pub is_embedded: bool,
}

/// The target of a request, as text when it is asked for.
#[derive(Debug, Clone)]
pub(super) enum Target<'h> {
    Uri(&'h Uri),
    Text(Box<str>),
}

impl<'h> Decision<'h> {
    pub(super) fn new(head: &'h Head, purpose: Purpose, cookies: Box<[RandomId]>) -> Self {
        let headers = &head.headers;
        Self {
            purpose,
            persistence: Persistence::of(head),
            target: Target::Uri(&head.uri),
            content_type: headers.text(&header::CONTENT_TYPE).map(Cow::Borrowed),
            coding: Coding::Plain,
            cookies,
            shown: None,
            origin: None,
            may_script: false,
            accepts_parts: accept::is_parts(headers),
            accepts_responses: accept::is_responses(headers),
            is_embedded: false,
        }
    }

    /// Makes that of a request which another node has let in, and whose answer it shares with the page that may read
    /// it.
    #[must_use]
    pub fn of_another_node(
        version: Version,
        cookies: Box<[RandomId]>,
        shown: Option<Arc<Shown>>,
    ) -> Self {
        Self {
            purpose: Purpose::Messages,
            persistence: Persistence::last(version),
            target: Target::Text("".into()),
            content_type: None,
            coding: Coding::Plain,
            cookies,
            shown,
            origin: None,
            may_script: true,
            accepts_parts: false,
            accepts_responses: false,
            is_embedded: true,
        }
    }

    /// Tells whether it has come by HTTP/2.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        self.persistence.version == Version::HTTP_2
    }

    /// Returns the request's target.
    #[must_use]
    pub fn location(&self) -> Box<str> {
        match &self.target {
            Target::Uri(uri) => uri.to_string().into(),
            Target::Text(text) => text.clone(),
        }
    }

    /// Keeps it for longer than the head. It holds on to none of the head's bytes.
    #[must_use]
    pub fn into_owned(self) -> Decision<'static> {
        let target = Target::Text(self.location());
        let content_type = self
            .content_type
            .map(|text| text.into_owned().into_boxed_str());
        Decision {
            target,
            content_type: content_type.map(|text| Cow::Owned(text.into())),
            purpose: self.purpose,
            persistence: self.persistence,
            coding: self.coding,
            cookies: self.cookies,
            shown: self.shown,
            origin: self.origin,
            may_script: self.may_script,
            accepts_parts: self.accepts_parts,
            accepts_responses: self.accepts_responses,
            is_embedded: self.is_embedded,
        }
    }

    /// Returns it to be kept for further requests whose heads have the same bytes, if all that they
    /// need of their heads is in it.
    #[must_use]
    pub fn cacheable(&self) -> Option<Decision<'static>> {
        let is_complete = self.purpose == Purpose::Messages && self.coding == Coding::Plain;
        is_complete.then(|| self.clone().into_owned())
    }

    /// Returns who sent it.
    #[must_use]
    pub fn sender(&self) -> Sender {
        Sender {
            cookies: self.cookies.clone(),
            shown: self.shown.clone(),
        }
    }

    /// Lets the page that sent the request read a response, if its origin is allowed.
    #[must_use]
    pub fn share(&self, response: Response) -> Response {
        if self.is_embedded {
            return response;
        }
        share(response, self.origin.as_ref())
    }
}

/// Lets the page of an allowed origin read a response.
#[must_use]
pub fn share(response: Response, origin: Option<&HeaderValue>) -> Response {
    let response = match origin {
        Some(origin) => add(response, cors::response_headers(origin)),
        None => response,
    };
    response.header_lines(VARY)
}

/// Caches know by it that the answer is another one for other origins.
const VARY: &[u8] = b"Vary: Origin\r\n";

/// Adds headers to a response.
pub fn add<const N: usize>(
    response: Response,
    headers: [(HeaderName, HeaderValue); N],
) -> Response {
    headers
        .into_iter()
        .fold(response, |response, (name, value)| {
            response.header(name.as_str(), value.as_bytes())
        })
}
