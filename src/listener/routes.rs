//! What is served at which path.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use crate::service::Service;
use crate::transports::answer::Answer;
use crate::transports::gate::{Decision, Refusal};
use crate::transports::message_http::Bounds;
use crate::web::{Head, Hosts, Page, Persistence, Response, Socket, Transfer};

/// What a listener serves: for which hosts, and what is where.
#[derive(Debug)]
pub struct Routes {
    /// The hosts that are served.
    pub hosts: Hosts,
    /// Pages that are looked for first.
    pub first: Vec<Box<dyn Page>>,
    /// What the gate decides about.
    pub service: Option<Arc<Service>>,
    /// Pages that are looked for last.
    pub last: Vec<Box<dyn Page>>,
}

/// Who answers a request.
#[derive(Debug)]
pub(super) enum Route<'r, 'h> {
    /// Nobody: its host is not served here.
    Misdirected(String),
    /// A page.
    Page(&'r dyn Page),
    /// The service, as its gate decided.
    Service(&'r Arc<Service>, Decision<'h>),
    /// Nobody: there is nothing at its path.
    Nothing,
}

impl Routes {
    /// Finds out who answers a request, by its head. However a request came, this is asked.
    pub(super) fn find<'r, 'h>(&'r self, head: &'h Head) -> Route<'r, 'h> {
        if let Err(reason) = self.hosts.check(head) {
            return Route::Misdirected(reason);
        }
        let path = head.uri.path();
        let at = |pages: &'r [Box<dyn Page>]| pages.iter().find(|page| page.is_at(path));
        if let Some(page) = at(&self.first) {
            return Route::Page(&**page);
        }
        match &self.service {
            Some(service) if service.gate().is_at(path) => {
                Route::Service(service, service.gate().decide(head))
            }
            _ => at(&self.last).map_or(Route::Nothing, |page| Route::Page(&**page)),
        }
    }
}

impl Route<'_, '_> {
    /// Answers a request whose body has arrived.
    pub(super) fn serve(&self, head: &Head, body: Bytes, socket: &Socket) -> Answer {
        match self {
            Self::Service(service, decision) => service.serve(decision, head, body, socket),
            Self::Page(page) => page.serve(head).into(),
            Self::Misdirected(reason) => misdirected(reason).into(),
            Self::Nothing => Response::from(Refusal::NOTHING).into(),
        }
    }

    /// Answers a request whose body holds requests, and is read as these are answered.
    pub(super) fn open(&self, body: Transfer, bounds: Bounds) -> Answer {
        match self {
            Self::Service(service, decision) => service.open(decision, body, bounds),
            Self::Misdirected(reason) => misdirected(reason).into(),
            Self::Page(_) | Self::Nothing => Response::from(Refusal::NOTHING_EMBEDDED).into(),
        }
    }

    /// Lets the page that sent a request read a response that none of these made.
    pub(super) fn share(&self, response: Response) -> Response {
        match self {
            Self::Service(_, decision) => decision.share(response),
            Self::Page(_) | Self::Misdirected(_) | Self::Nothing => response,
        }
    }

    /// Returns what is known of further requests whose heads have the same bytes, if that is all there
    /// is to know of them.
    pub(super) fn cacheable(&self) -> Option<Known> {
        match self {
            Self::Service(service, decision) => Some(Known {
                service: Arc::clone(service),
                decision: decision.cacheable()?,
            }),
            Self::Page(_) | Self::Misdirected(_) | Self::Nothing => None,
        }
    }
}

/// Who answers the requests whose heads are like one that was decided about.
#[derive(Debug)]
pub(super) struct Known {
    service: Arc<Service>,
    decision: Decision<'static>,
}

impl Known {
    pub(super) fn persistence(&self) -> Persistence {
        self.decision.persistence
    }

    pub(super) fn serve(&self, body: Bytes, socket: &Socket) -> Answer {
        self.service.serve_messages(&self.decision, body, socket)
    }
}

fn misdirected(reason: &str) -> Response {
    Response::error(StatusCode::MISDIRECTED_REQUEST, reason)
}
