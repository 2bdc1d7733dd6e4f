//! What is served at which path.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use crate::http_api::HttpApi;
use crate::service::Service;
use crate::transports::answer::Answer;
use crate::transports::gate::{Decision, Rejection};
use crate::transports::message_http::Bounds;
use crate::web::{Head, Hosts, Page, Persistence, Response, Socket, Transfer};

/// What a listener serves: for which hosts, and what is where.
#[derive(Debug)]
pub struct Routes {
    /// The hosts that are served.
    pub hosts: Hosts,
    /// Pages that are looked for first.
    pub first: Vec<Box<dyn Page>>,
    /// What application servers may ask for, if that is here.
    pub api: Option<Arc<HttpApi>>,
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
    /// The API.
    Api(&'r HttpApi),
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
        if let Some(api) = self.api.as_ref().filter(|api| api.is_at(path)) {
            return Route::Api(api);
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
    /// Names what the request is for.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Service(_, decision) => decision.purpose.label(),
            Self::Api(_) => "api",
            Self::Page(_) => "page",
            Self::Misdirected(_) | Self::Nothing => "refused",
        }
    }

    /// Answers a request whose body has arrived.
    pub(super) fn serve(&self, head: &Head, body: Bytes, socket: &Socket) -> Answer {
        match self {
            Self::Service(service, decision) => service.serve(decision, head, body, socket),
            Self::Api(api) => api.serve(head, body, socket),
            Self::Page(page) => page.serve(head).into(),
            Self::Misdirected(reason) => misdirected(reason).into(),
            Self::Nothing => Response::from(Rejection::NOTHING).into(),
        }
    }

    /// Answers a request whose body holds requests, and is read as these are answered.
    pub(super) fn open(&self, body: Transfer, bounds: Bounds) -> Answer {
        match self {
            Self::Service(service, decision) => service.open(decision, body, bounds),
            Self::Misdirected(reason) => misdirected(reason).into(),
            Self::Page(_) | Self::Api(_) | Self::Nothing => {
                Response::from(Rejection::NOTHING_EMBEDDED).into()
            }
        }
    }

    /// Lets the page that sent a request read a response that none of these made.
    pub(super) fn share(&self, response: Response) -> Response {
        match self {
            Self::Service(_, decision) => decision.share(response),
            Self::Page(_) | Self::Api(_) | Self::Misdirected(_) | Self::Nothing => response,
        }
    }

    /// Returns what is known of further requests whose heads have the same bytes, and so the same client, if
    /// that is all there is to know of them.
    pub(super) fn cacheable(&self, client: Option<IpAddr>) -> Option<Known> {
        match self {
            Self::Service(service, decision) => Some(Known {
                service: Arc::clone(service),
                decision: decision.cacheable()?,
                client,
            }),
            Self::Page(_) | Self::Api(_) | Self::Misdirected(_) | Self::Nothing => None,
        }
    }
}

/// Who answers the requests whose heads are like one that was decided about.
#[derive(Debug)]
pub(super) struct Known {
    service: Arc<Service>,
    decision: Decision<'static>,
    client: Option<IpAddr>,
}

impl Known {
    /// Returns whose they are, if a proxy sends them.
    pub(super) fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// Tells whether it is of these routes, and not of those that were before.
    pub(super) fn is_in(&self, routes: &Routes) -> bool {
        let service = routes.service.as_ref();
        service.is_some_and(|service| Arc::ptr_eq(service, &self.service))
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    /// A page with this name at this path.
    #[derive(Debug)]
    struct Named {
        #[expect(dead_code, reason = "it is shown")]
        name: &'static str,
        path: &'static str,
    }

    impl Page for Named {
        fn is_at(&self, path: &str) -> bool {
            path == self.path
        }

        fn serve(&self, _: &Head) -> Response {
            Response::new(StatusCode::OK)
        }
    }

    fn found(routes: &Routes, text: &'static str) -> String {
        let text = Bytes::from_static(text.as_bytes());
        let mut headers = [httparse::EMPTY_HEADER; 4];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(&text).expect("a head");
        let head = Head::parsed(&request, &text).expect("a head");
        let route = routes.find(&head);
        assert!(route.cacheable(None).is_none());
        match route {
            Route::Page(page) => format!("{page:?}"),
            Route::Misdirected(_) => "misdirected".to_owned(),
            Route::Nothing => "nothing".to_owned(),
            Route::Api(_) | Route::Service(..) => panic!("there is none"),
        }
    }

    #[test]
    fn the_host_is_looked_at_before_the_first_pages_and_those_before_the_last() {
        let routes = Routes {
            hosts: Hosts::listed("http.hosts", &["h".to_owned()]),
            first: vec![Box::new(Named {
                name: "first",
                path: "/a",
            })],
            api: None,
            service: None,
            last: vec![
                Box::new(Named {
                    name: "last",
                    path: "/a",
                }),
                Box::new(Named {
                    name: "last",
                    path: "/b",
                }),
            ],
        };
        let cases = [
            (
                "GET /a?x HTTP/1.1\r\nHost: h\r\n\r\n",
                "Named { name: \"first\", path: \"/a\" }",
            ),
            (
                "PUT /b HTTP/1.1\r\nHost: H:80\r\n\r\n",
                "Named { name: \"last\", path: \"/b\" }",
            ),
            ("GET /b/ HTTP/1.1\r\nHost: h\r\n\r\n", "nothing"),
            ("GET /a HTTP/1.1\r\nHost: evil\r\n\r\n", "misdirected"),
            (
                "GET http://evil/a HTTP/1.1\r\nHost: h\r\n\r\n",
                "misdirected",
            ),
            (
                "GET /a HTTP/1.0\r\n\r\n",
                "Named { name: \"first\", path: \"/a\" }",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(found(&routes, text), expected, "{text}");
        }
    }
}
