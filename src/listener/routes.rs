//! What is served at which path.

use std::sync::Arc;

use http::StatusCode;

use crate::admin::Admin;
use crate::demo::Demo;
use crate::plugins::Plugin;
use crate::transports::{self, Answer, Bounds, Incoming, Usual};
use crate::web::{Head, Request, Response, Transfer};

/// What a listener serves.
#[derive(Debug)]
pub enum Routes {
    /// Bayeux, for the world.
    Public {
        /// The Bayeux endpoint.
        bayeux: Arc<transports::Endpoint>,
        /// The demonstration page, if it is on.
        demo: Option<Demo>,
    },
    /// The operator's own.
    Admin(Admin),
}

impl Routes {
    /// Serves a request whose body has arrived.
    pub fn serve(&self, incoming: Incoming<'_>) -> Answer {
        let request = &incoming.request;
        let path = request.uri().path();
        match self {
            Self::Admin(admin) => admin.serve(request).into(),
            Self::Public { bayeux, demo } => {
                // First: the endpoint may be at `/mirant`.
                if let Some(plugin) = Plugin::at(path) {
                    plugin.serve(request).into()
                } else if bayeux.is_at(path) {
                    bayeux.serve(incoming)
                } else if let Some(demo) = demo.as_ref().filter(|demo| demo.is_at(path)) {
                    demo.serve(request).into()
                } else {
                    Response::error(StatusCode::NOT_FOUND, "there is nothing at this path").into()
                }
            }
        }
    }

    /// Returns what a request's head says, if it is one that is usual for messages.
    pub fn usual(&self, request: &Request) -> Option<Usual> {
        match self {
            Self::Public { bayeux, .. } if Plugin::at(request.uri().path()).is_none() => {
                bayeux.usual(request)
            }
            Self::Public { .. } | Self::Admin(_) => None,
        }
    }

    /// Answers a request whose body holds requests, and is read by whoever answers it.
    pub fn open(&self, head: &Head, body: Transfer, bounds: Bounds) -> Answer {
        match self {
            Self::Public { bayeux, .. } => bayeux.open(head, body, bounds),
            Self::Admin(_) => {
                let reason = "nothing here answers embedded requests";
                Response::error(StatusCode::NOT_FOUND, reason).into()
            }
        }
    }

    /// Lets the page that sent a request read the response to it, which was not made by its site.
    pub fn share(&self, head: &Head, response: Response) -> Response {
        match self {
            Self::Public { bayeux, .. } if bayeux.is_at(head.uri.path()) => {
                bayeux.share(&head.headers, response)
            }
            Self::Public { .. } | Self::Admin(_) => response,
        }
    }
}
