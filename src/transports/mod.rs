//! The Bayeux endpoint over HTTP: which transport takes a request, and who may send one at all.

mod callback_polling;
mod coding;
mod connect_stream;
mod event_source;
mod exchange;
mod forever_frame;
mod held_poll;
mod legacy;
mod long_polling;
mod message_http;
mod multipart;
mod opened;
mod resources;
pub mod settings;
mod streamed;
mod streaming;
mod turn;
mod usual;
mod websocket;
mod xhr_streaming;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use crate::server::BayeuxServer;
pub use crate::server::STEP;
use crate::web::cors::{self, AllowedOrigins, NotAnOrigin, Verdict};
use crate::web::gzip::NotInflated;
use crate::web::websocket::{UpgradeError, is_upgrade};
use crate::web::{Headers, Request, Response, Socket, charset, form};
pub use exchange::Carried;
pub use held_poll::{HeldPoll, Polled};
pub use message_http::{Bounds, expects_continue, is_message_http};
pub use opened::{Link, Opened, Times};
pub use resources::Waiting;
pub use settings::{
    EventSourceSettings, ResourceSettings, Settings, StreamingSettings, Transport,
    WebSocketSettings,
};
pub use turn::limit_of;
pub use usual::Usual;

/// The most fields a form or a query may have: as many as messages may be in a batch would fit,
/// and no client sends more than a few others beside them.
const MAX_FIELDS: usize = 1000;

/// The methods of the endpoint.
const METHODS: &str = "GET, POST, OPTIONS";

/// A request whose body has arrived.
#[derive(Debug)]
pub struct Incoming<'s> {
    /// The request.
    pub request: Request,
    /// The socket it came from. If the client has closed it, at least for its own writing, the
    /// response carries no events, which would be lost if the client is gone.
    pub socket: &'s Socket,
    /// It was embedded in another, and its response will be too.
    pub is_embedded: bool,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Answer {
    /// It is answered now; events in the response go back to their session if it cannot be written.
    Now(Response, Option<Carried>),
    /// It is answered when its connect is resumed.
    Held(Box<HeldPoll>),
    /// It is answered when its resource changes.
    Waiting(Box<resources::Waiting>),
    /// It is answered after a while, or when the server stops.
    Delayed(Response, Duration),
    /// It is answered now, and its connection is then a stream.
    Open(Response, Opened),
}

impl Answer {
    /// Lets the page of an allowed origin read it.
    fn dressed(self, origin: Option<&HeaderValue>) -> Self {
        let dress = |response| vary(allow(response, origin));
        match self {
            Self::Now(response, carried) => Self::Now(dress(response), carried),
            Self::Delayed(response, delay) => Self::Delayed(dress(response), delay),
            Self::Open(response, opened) => Self::Open(dress(response), opened),
            Self::Held(mut held) => {
                held.origin = origin.cloned();
                Self::Held(held)
            }
            Self::Waiting(mut waiting) => {
                waiting.origin = origin.cloned();
                Self::Waiting(waiting)
            }
        }
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Now(response, None)
    }
}

/// Why a request is not an exchange of messages.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Charset(#[from] charset::Error),
    #[error(transparent)]
    Form(#[from] form::Error),
    #[error(transparent)]
    Batch(#[from] crate::bayeux::BatchError),
    #[error(
        "the callback's name has to be identifiers with dots between them, of at most 64 characters"
    )]
    Callback,
    #[error("the callback of a frame has to be one identifier, of at most 64 characters")]
    FrameCallback,
    #[error(
        "a request that is answered by a script has to say where it comes from, by Sec-Fetch-Site: \
         same-origin, or by an Origin or a Referer of this server or of http.allowed_origins; \
         bayeux.callback_without_origin serves others too"
    )]
    NoOrigin,
    #[error("a GET needs the parameter `message` (callback-polling); send other messages by POST")]
    NoMessage,
    #[error("the query holds more than {0} bytes of messages (bayeux.max_message_size)")]
    TooLarge(u64),
    #[error("{0}")]
    Method(&'static str),
    #[error("the Content-Encoding of a body may be gzip, and no other")]
    Coding,
    #[error(transparent)]
    Inflate(#[from] NotInflated),
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    #[error(transparent)]
    Stream(#[from] event_source::StreamError),
}

impl From<Error> for Response {
    fn from(error: Error) -> Self {
        let error = match error {
            Error::Upgrade(refused) => return refused.into(),
            Error::Stream(refused) => return refused.into(),
            error => error,
        };
        let status = match &error {
            Error::Charset(charset) => charset.status(),
            Error::Coding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Error::TooLarge(_) | Error::Inflate(NotInflated::TooLarge) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Error::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Error::NoOrigin => StatusCode::FORBIDDEN,
            Error::Form(_)
            | Error::Batch(_)
            | Error::Callback
            | Error::FrameCallback
            | Error::NoMessage
            | Error::Inflate(NotInflated::Malformed)
            | Error::Upgrade(_)
            | Error::Stream(_) => StatusCode::BAD_REQUEST,
        };
        let response = Self::error(status, &error.to_string());
        match error {
            Error::Method(_) => response.header("Allow", METHODS.as_bytes()),
            // What would be understood (RFC 9110 section 15.5.16).
            Error::Coding => response.header("Accept-Encoding", b"gzip"),
            _ => response,
        }
    }
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Messages,
    EventStream,
    Resource,
}

/// The Bayeux endpoint.
#[derive(Debug)]
pub struct Endpoint {
    server: Arc<BayeuxServer>,
    settings: Settings,
    websocket: WebSocketSettings,
    event_source: EventSourceSettings,
    streaming: StreamingSettings,
    resources: ResourceSettings,
    origins: AllowedOrigins,
}

impl Endpoint {
    /// Makes the endpoint of a server.
    ///
    /// # Errors
    /// An entry of the allowed origins is not one.
    pub fn new(
        server: Arc<BayeuxServer>,
        settings: Settings,
        websocket: WebSocketSettings,
        event_source: EventSourceSettings,
        streaming: StreamingSettings,
        resources: ResourceSettings,
        origins: &[String],
    ) -> Result<Self, NotAnOrigin> {
        let origins = AllowedOrigins::new(origins)?;
        Ok(Self {
            server,
            settings,
            websocket,
            event_source,
            streaming,
            resources,
            origins,
        })
    }

    /// Tells whether a path is the endpoint's: its own, any below it, that of event streams, or of
    /// resources.
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        self.place(path).is_some()
    }

    fn place(&self, path: &str) -> Option<Place> {
        if is_at_or_below(path, &self.resources.path) && self.server.has_resources() {
            Some(Place::Resource)
        } else if path == self.event_source.path && self.is_on(Transport::EventSource) {
            Some(Place::EventStream)
        } else {
            is_at_or_below(path, &self.settings.path).then_some(Place::Messages)
        }
    }

    fn is_on(&self, transport: Transport) -> bool {
        self.settings.transports.contains(&transport)
    }

    /// Serves a request.
    pub fn serve(&self, mut incoming: Incoming<'_>) -> Answer {
        let request = &mut incoming.request;
        let origin = match self.origins.check(request.headers()) {
            Verdict::SameOrigin | Verdict::Unsaid => None,
            Verdict::Allowed(origin) => origin,
            Verdict::Refused(reason) => {
                self.server.metrics().refused_origins.increment();
                return vary(Response::error(StatusCode::FORBIDDEN, &reason)).into();
            }
        };
        if let Err(error) = self.decode(request) {
            return Answer::from(Response::from(error)).dressed(origin.as_ref());
        }
        let place = self.place(request.uri().path());
        let is_resource = place == Some(Place::Resource);
        let answer = if *request.method() == Method::OPTIONS {
            let methods = if is_resource {
                resources::METHODS
            } else {
                METHODS
            };
            return preflight(request, origin.as_ref(), methods).into();
        } else if is_resource {
            resources::serve(self, request, incoming.socket)
        } else {
            self.exchange(incoming, place == Some(Place::EventStream))
        };
        answer.dressed(origin.as_ref())
    }

    /// Lets the page of an allowed origin read a response to its request that was made elsewhere.
    #[must_use]
    pub fn share(&self, headers: &Headers, response: Response) -> Response {
        let origin = match self.origins.check(headers) {
            Verdict::Allowed(origin) => origin,
            Verdict::SameOrigin | Verdict::Unsaid | Verdict::Refused(_) => None,
        };
        vary(allow(response, origin.as_ref()))
    }

    fn exchange(&self, incoming: Incoming<'_>, is_event_stream: bool) -> Answer {
        let request = &incoming.request;
        let is_get = *request.method() == Method::GET;
        let in_parts = multipart::is_asked(request.headers());
        let answer = if is_event_stream {
            if is_get {
                event_source::serve(self, &incoming)
            } else {
                Err(Error::Method("open an event stream by GET"))
            }
        } else if is_upgrade(&request.head) {
            self.check(Transport::WebSocket)
                .and_then(|()| websocket::serve(self, &incoming))
        } else if let Some(id) = event_source::session_of(self, request).filter(|_| is_get) {
            self.check(Transport::EventSource)
                .and_then(|()| event_source::join(self, &incoming, id))
        } else {
            self.exchange_once(incoming)
        };
        answer.unwrap_or_else(|error| {
            let response = Response::from(error);
            if in_parts {
                multipart::wrap(&response).into()
            } else {
                response.into()
            }
        })
    }

    /// Serves a request of messages.
    fn exchange_once(&self, incoming: Incoming<'_>) -> Result<Answer, Error> {
        match *incoming.request.method() {
            Method::POST => {
                self.check_posts()?;
                long_polling::serve(self, incoming)
            }
            Method::GET if self.is_on(Transport::Iframe) && forever_frame::is_tunnel(&incoming) => {
                Ok(forever_frame::tunnel().into())
            }
            Method::GET => {
                self.check(Transport::CallbackPolling)
                    .or_else(|off| self.check(Transport::Iframe).map_err(|_| off))?;
                callback_polling::serve(self, &incoming)
            }
            _ => Err(Error::Method("send Bayeux messages by POST")),
        }
    }

    /// Whatever way events come, messages are sent by POST.
    fn check_posts(&self) -> Result<(), Error> {
        let transports = &self.settings.transports;
        if transports.iter().any(|transport| transport.posts()) {
            return Ok(());
        }
        self.check(Transport::LongPolling)
    }

    fn check(&self, transport: Transport) -> Result<(), Error> {
        if self.is_on(transport) {
            return Ok(());
        }
        Err(Error::Method(match transport {
            Transport::WebSocket => "the websocket transport is off (bayeux.transports)",
            Transport::EventSource => "the eventsource transport is off (bayeux.transports)",
            Transport::CallbackPolling => {
                "the callback-polling transport is off (bayeux.transports)"
            }
            Transport::LongPolling
            | Transport::XhrStreaming
            | Transport::Multipart
            | Transport::MessageHttp
            | Transport::Iframe
            | Transport::MimeMessageBlock => {
                "the long-polling transport is off (bayeux.transports)"
            }
        }))
    }
}

/// The names of the connection types that are on, as handshakes list them.
#[must_use]
pub fn connection_types(transports: &[Transport]) -> Vec<&'static str> {
    let names = transports.iter().map(|transport| match transport {
        // The second name is Faye's for the same transport from another origin.
        Transport::LongPolling => ["long-polling", "cross-origin-long-polling"].as_slice(),
        Transport::CallbackPolling => &["callback-polling"],
        Transport::WebSocket => &["websocket"],
        Transport::EventSource => &["eventsource"],
        Transport::XhrStreaming => &["xhr-streaming"],
        Transport::Multipart => &["multipart"],
        Transport::MessageHttp => &["message-http"],
        Transport::Iframe => &["iframe"],
        Transport::MimeMessageBlock => &["mime-message-block"],
    });
    names.flatten().copied().collect()
}

fn is_at_or_below(path: &str, base: &str) -> bool {
    path.strip_prefix(base)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn preflight(request: &Request, origin: Option<&HeaderValue>, methods: &'static str) -> Response {
    let response = Response::new(StatusCode::NO_CONTENT).header("Allow", methods.as_bytes());
    let response = vary(response);
    let Some(origin) = origin else {
        return response;
    };
    let asked = request
        .headers()
        .get(&header::ACCESS_CONTROL_REQUEST_HEADERS);
    add(response, cors::preflight_headers(origin, methods, asked))
}

fn allow(response: Response, origin: Option<&HeaderValue>) -> Response {
    match origin {
        Some(origin) => add(response, cors::response_headers(origin)),
        None => response,
    }
}

fn add<const N: usize>(response: Response, headers: [(HeaderName, HeaderValue); N]) -> Response {
    headers
        .into_iter()
        .fold(response, |response, (name, value)| {
            response.header(name.as_str(), value.as_bytes())
        })
}

fn vary(response: Response) -> Response {
    response.header_lines(b"Vary: Origin\r\n")
}
