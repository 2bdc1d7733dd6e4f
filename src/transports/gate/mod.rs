//! The gate: what a request's head means, decided in one place however the request came.
//!
//! A head becomes a [`Decision`]: what its request is for, whether the page that sent it may use the
//! server, whose browser it is, and how its body and its answer are coded. Requests that arrive whole
//! or in pieces, heads that are known from before, and requests embedded in another all pass here.

mod accept;
mod decision;
mod rejection;
mod shown;

use http::{Method, header};

pub use self::accept::{Coding, holds_requests};
pub use self::decision::{Decision, Purpose, add, share};
pub use self::rejection::Rejection;
pub use self::shown::Sender;
use super::settings::{ResourceSettings, Settings, Shows, Transport};
use crate::bayeux::{ClientId, RandomId};
use crate::web::cors::{AllowedOrigins, Verdict};
use crate::web::websocket::is_upgrade;
use crate::web::{Head, Headers, cookies};

/// The methods of the Bayeux endpoint.
const METHODS: &str = "GET, POST, OPTIONS";
/// What follows the path of the Bayeux endpoint where `mirant doctor` asks.
const DOCTOR: &str = "/doctor";
/// The methods of a resource.
pub const RESOURCE_METHODS: &str = "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS";
/// The methods of history.
pub const HISTORY_METHODS: &str = "GET, DELETE, OPTIONS";

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    Messages,
    EventStream,
    Resource,
    History,
}

/// Decides about requests by their heads.
#[derive(Debug)]
pub struct Gate {
    /// Where messages are; everything below it is served alike.
    path: String,
    /// Where event streams of channels are, if they are on.
    event_stream_path: Option<String>,
    /// Below which path resources are, if there are any.
    resource_path: Option<String>,
    /// Below which path the history of channels is, if any has one.
    history_path: Option<String>,
    transports: Vec<Transport>,
    origins: AllowedOrigins,
    cookie: String,
    shows: Shows,
    scripts_need_no_origin: bool,
}

impl Gate {
    /// Makes the gate of an endpoint; `resources` are where these are, if any channel can be one, and `history`
    /// is the path below which that is, if any channel has it.
    #[must_use]
    pub fn new(
        settings: &Settings,
        event_stream_path: &str,
        resources: Option<&ResourceSettings>,
        history: Option<&str>,
        origins: AllowedOrigins,
    ) -> Self {
        let mut gate = Self {
            path: settings.path.clone(),
            event_stream_path: None,
            resource_path: resources.map(|resources| resources.path.clone()),
            history_path: history.map(str::to_owned),
            transports: settings.transports.clone(),
            origins,
            cookie: settings.browser_cookie.name.clone(),
            shows: settings.shows.clone(),
            scripts_need_no_origin: settings.callback_without_origin,
        };
        gate.event_stream_path = gate
            .is_on(Transport::EventSource)
            .then(|| event_stream_path.to_owned());
        gate
    }

    /// Tells whether a path is one that the gate decides about.
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        self.area(path).is_some()
    }

    /// Tells whether a transport is on.
    #[must_use]
    pub fn is_on(&self, transport: Transport) -> bool {
        self.transports.contains(&transport)
    }

    /// Returns the transports that are on.
    #[must_use]
    pub fn transports(&self) -> &[Transport] {
        &self.transports
    }

    /// Decides about the request of a connection.
    #[must_use]
    pub fn decide<'h>(&self, head: &'h Head) -> Decision<'h> {
        let cookies = self.cookies(&head.headers);
        let verdict = self.origins.check(&head.headers);
        let says_origin = matches!(verdict, Verdict::SameOrigin | Verdict::Allowed(_));
        let (origin, purpose, coding) = match verdict {
            Verdict::Refused(reason) => (None, Rejection::origin(reason).into(), Coding::Plain),
            verdict => {
                let purpose = self.purpose(head).unwrap_or_else(Purpose::from);
                (verdict.echoed(), purpose, Coding::of(&head.headers))
            }
        };
        let is_event_stream = purpose == Purpose::EventStream;
        Decision {
            origin,
            shown: self.shows.of(head, is_event_stream),
            may_script: says_origin || self.scripts_need_no_origin,
            coding,
            ..Decision::new(head, purpose, cookies)
        }
    }

    /// Decides about a request that is embedded in another, for which the origin was checked, and whose
    /// sender it has if it says nothing of that.
    #[must_use]
    pub fn decide_embedded<'h>(&self, head: &'h Head, outer: &Sender) -> Decision<'h> {
        let cookies = if head.headers.contains(&header::COOKIE) {
            self.cookies(&head.headers)
        } else {
            outer.cookies.clone()
        };
        let shown = self.shows.of(head, false);
        let purpose = self.embedded_purpose(head).unwrap_or_else(Purpose::from);
        Decision {
            coding: Coding::of(&head.headers),
            is_embedded: true,
            shown: shown.or_else(|| outer.shown.clone()),
            ..Decision::new(head, purpose, cookies)
        }
    }

    fn purpose(&self, head: &Head) -> Result<Purpose, Rejection> {
        if holds_requests(head) {
            return self.requests(head);
        }
        let path = head.uri.path();
        let area = self.area(path).ok_or(Rejection::NOTHING)?;
        if head.method == Method::OPTIONS {
            return Ok(Purpose::Preflight(match area {
                Area::Resource => RESOURCE_METHODS,
                Area::History => HISTORY_METHODS,
                Area::Messages | Area::EventStream => METHODS,
            }));
        }
        let is_get = head.method == Method::GET;
        match area {
            Area::Resource => Ok(Purpose::Resource),
            Area::History => Ok(Purpose::History),
            Area::EventStream if is_get => Ok(Purpose::EventStream),
            Area::EventStream => Err(Rejection::method("open an event stream by GET")),
            Area::Messages if is_upgrade(head) => {
                self.check(Transport::WebSocket)?;
                Ok(Purpose::WebSocket)
            }
            Area::Messages if is_get && self.is_of_doctor(head) => Ok(Purpose::Doctor),
            Area::Messages if is_get && let Some(id) = self.session_of(head) => {
                self.check(Transport::EventSource)?;
                Ok(Purpose::SessionStream(id))
            }
            Area::Messages => self.messages(head),
        }
    }

    fn messages(&self, head: &Head) -> Result<Purpose, Rejection> {
        match head.method {
            Method::POST => {
                self.check_posts()?;
                Ok(Purpose::Messages)
            }
            Method::GET if self.is_on(Transport::Iframe) && accept::is_frame_opening(head) => {
                Ok(Purpose::FrameOpening)
            }
            Method::GET => {
                self.check(Transport::CallbackPolling)
                    .or_else(|off| self.check(Transport::Iframe).map_err(|_| off))?;
                Ok(Purpose::Script)
            }
            _ => Err(Rejection::method("send Bayeux messages by POST")),
        }
    }

    /// A body of requests, which are answered before it ends.
    fn requests(&self, head: &Head) -> Result<Purpose, Rejection> {
        if !self.is_on(Transport::MessageHttp) {
            return Err(Rejection::MESSAGE_HTTP_OFF);
        }
        if Coding::of(&head.headers) != Coding::Plain {
            return Err(Rejection::CODED_REQUESTS);
        }
        match self.area(head.uri.path()) {
            Some(Area::Messages | Area::Resource) => Ok(Purpose::Requests),
            Some(Area::EventStream | Area::History) | None => Err(Rejection::NOTHING_EMBEDDED),
        }
    }

    fn embedded_purpose(&self, head: &Head) -> Result<Purpose, Rejection> {
        if accept::is_of_requests(&head.headers) {
            return Err(Rejection::NESTED);
        }
        if is_upgrade(head) {
            return Err(Rejection::EMBEDDED_UPGRADE);
        }
        match self.area(head.uri.path()) {
            Some(Area::Resource) => Ok(Purpose::Resource),
            Some(Area::Messages) if head.method == Method::POST => {
                self.check_posts()?;
                Ok(Purpose::Messages)
            }
            Some(Area::Messages) => Err(Rejection::EMBEDDED_METHOD),
            Some(Area::EventStream | Area::History) | None => Err(Rejection::NOTHING_EMBEDDED),
        }
    }

    fn area(&self, path: &str) -> Option<Area> {
        let is_below = |base: &String| is_at_or_below(path, base);
        if self.resource_path.as_ref().is_some_and(is_below) {
            Some(Area::Resource)
        } else if self.history_path.as_ref().is_some_and(is_below) {
            Some(Area::History)
        } else if self.event_stream_path.as_deref() == Some(path) {
            Some(Area::EventStream)
        } else {
            is_at_or_below(path, &self.path).then_some(Area::Messages)
        }
    }

    /// Tells whether `mirant doctor` asks how its request has arrived.
    fn is_of_doctor(&self, head: &Head) -> bool {
        head.uri.path().strip_prefix(&self.path) == Some(DOCTOR)
    }

    /// Returns the session that a client of Faye asks the stream of, if it does.
    fn session_of(&self, head: &Head) -> Option<ClientId> {
        let accepts = head.headers.text(&header::ACCEPT)?;
        let below = head.uri.path().strip_prefix(&self.path)?;
        let id = below.strip_prefix('/')?.parse().ok()?;
        accepts.contains("text/event-stream").then_some(id)
    }

    /// Returns the browser cookies that have the form of this server's.
    fn cookies(&self, headers: &Headers) -> Box<[RandomId]> {
        let values = cookies::values(headers, &self.cookie);
        values.filter_map(|value| value.parse().ok()).collect()
    }

    /// Whatever way events come, messages are sent by POST.
    fn check_posts(&self) -> Result<(), Rejection> {
        if self.transports.iter().any(|transport| transport.posts()) {
            return Ok(());
        }
        self.check(Transport::LongPolling)
    }

    /// Checks that a transport is on.
    ///
    /// # Errors
    /// It is off.
    pub fn check(&self, transport: Transport) -> Result<(), Rejection> {
        if self.is_on(transport) {
            return Ok(());
        }
        Err(Rejection::method(match transport {
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

fn is_at_or_below(path: &str, base: &str) -> bool {
    path.strip_prefix(base)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
