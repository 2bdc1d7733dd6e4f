//! The Bayeux endpoint: the server, and all that transports are set to.

use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use super::gate::{Coding, Decision, Gate};
use super::settings::{
    EventSourceSettings, ResourceSettings, Settings, StreamingSettings, WebSocketSettings,
};
use crate::cluster::wire::Wire;
use crate::metrics::Limit;
use crate::server::BayeuxServer;
use crate::web::cors::{AllowedOrigins, NotAnOrigin};
use crate::web::gzip::{self, NotInflated};

/// The Bayeux endpoint.
#[derive(Debug)]
pub struct Endpoint {
    /// The server.
    pub server: Arc<BayeuxServer>,
    /// What decides about requests.
    pub gate: Gate,
    /// The settings of all transports.
    pub settings: Settings,
    /// Those of WebSockets.
    pub websocket: WebSocketSettings,
    /// Those of event streams.
    pub event_source: EventSourceSettings,
    /// Those of streamed responses.
    pub streaming: StreamingSettings,
    /// Those of resources.
    pub resources: ResourceSettings,
    /// What passes requests on to other nodes, if there are any.
    pub wire: Option<Arc<Wire>>,
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
        let resource_settings = server.has_resources().then_some(&resources);
        let history = server.has_history();
        let history = history.then_some(&*server.history_settings().path);
        let gate = Gate::new(
            &settings,
            &event_source.path,
            resource_settings,
            history,
            origins,
        );
        Ok(Self {
            server,
            gate,
            settings,
            websocket,
            event_source,
            streaming,
            resources,
            wire: None,
        })
    }

    /// Has requests passed on whose sessions other nodes have.
    #[must_use]
    pub fn passing_by(mut self, wire: Option<Arc<Wire>>) -> Self {
        self.wire = wire;
        self
    }

    /// A page of any origin can load a script, and have a frame load a page of scripts: whoever asks for
    /// such an answer has to say where it comes from.
    ///
    /// # Errors
    /// It does not.
    pub fn check_script(&self, decision: &Decision<'_>) -> Result<(), Error> {
        if decision.may_script {
            return Ok(());
        }
        self.server.metrics().refused_origins.increment();
        Err(Error::NoOrigin)
    }

    /// Undoes the coding of a request's body.
    ///
    /// # Errors
    /// It is one that is not read here, or what it leads to is malformed or too large.
    pub fn decode(&self, coding: Coding, body: Bytes) -> Result<Bytes, Error> {
        match coding {
            _ if body.is_empty() => Ok(body),
            Coding::Plain => Ok(body),
            Coding::Other => Err(Error::Coding),
            Coding::Gzip => {
                let max = self.server.terms().limits.max_message_size.as_u64();
                let inflated = gzip::inflate(&body, max).inspect_err(|error| {
                    if *error == NotInflated::TooLarge {
                        self.server.metrics().limited(Limit::MaxMessageSize);
                    }
                });
                Ok(inflated?)
            }
        }
    }
}
