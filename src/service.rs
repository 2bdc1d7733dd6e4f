//! Who answers a request, as the gate has decided.

use std::sync::Arc;

use bytes::Bytes;
use http::{StatusCode, header};

use crate::api::{doctor, history, resources};
use crate::metrics::Metrics;
use crate::transports::answer::Answer;
use crate::transports::gate::{Decision, Gate, Purpose, Rejection, Sender, add};
use crate::transports::message_http::{self, AnswerEmbedded, Bounds};
use crate::transports::passing::Owner;
use crate::transports::polling::{self, callback_polling, long_polling};
use crate::transports::streaming::{self, event_source, multipart};
use crate::transports::{Endpoint, Error, websocket};
use crate::web::{Head, Request, Response, Socket, Transfer, cors};

/// All that is served beside pages: Bayeux, event streams, resources, and history.
#[derive(Debug)]
pub struct Service(Arc<Endpoint>);

impl Service {
    /// Makes the service of an endpoint.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self(Arc::new(endpoint))
    }

    /// Returns what answers the requests that other nodes of the cluster pass on.
    #[must_use]
    pub fn owner(&self) -> Owner {
        polling::owner(Arc::clone(&self.0))
    }

    /// Takes the place of another for the requests that other nodes pass on.
    pub fn renew(&self, owner: &Owner) {
        owner.renew(Arc::clone(&self.0));
    }

    /// Returns what decides about requests.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Answers a request whose body has arrived.
    pub fn serve(
        &self,
        decision: &Decision<'_>,
        head: &Head,
        body: Bytes,
        socket: &Socket,
    ) -> Answer {
        if self.0.server.is_cut() {
            return Response::stopped().into();
        }
        self.answer(decision, head, body, socket).shared(decision)
    }

    /// Answers a request of messages, of which the decision says all that there is to know.
    pub fn serve_messages(&self, decision: &Decision<'_>, body: Bytes, socket: &Socket) -> Answer {
        if self.0.server.is_cut() {
            return Response::stopped().into();
        }
        self.messages(decision, body, socket).shared(decision)
    }

    /// Answers a request whose body holds requests, and is read as these are answered.
    pub fn open(
        self: &Arc<Self>,
        decision: &Decision<'_>,
        body: Transfer,
        bounds: Bounds,
    ) -> Answer {
        let answer = match &decision.purpose {
            Purpose::Requests => {
                let answers = Arc::clone(self) as Arc<dyn AnswerEmbedded>;
                message_http::serve(answers, decision, body, bounds, &self.0.streaming)
            }
            Purpose::Refused(refusal) => self.refuse(refusal).into(),
            _ => Response::from(Rejection::NOTHING).into(),
        };
        answer.shared(decision)
    }

    fn answer(&self, decision: &Decision<'_>, head: &Head, body: Bytes, socket: &Socket) -> Answer {
        let endpoint = &self.0;
        // What is refused is not read.
        if let Purpose::Refused(refusal) = &decision.purpose {
            if refusal.is_of_origin {
                return self.refuse(refusal).into();
            }
            return explain(decision, Error::Gate((**refusal).clone()));
        }
        let body = match endpoint.decode(decision.coding, body) {
            Ok(body) => body,
            Err(error) => return Response::from(error).into(),
        };
        let answer = match &decision.purpose {
            Purpose::Messages => return self.messages(decision, body, socket),
            Purpose::Resource => {
                return resources::serve(endpoint, decision, head, &body, socket);
            }
            Purpose::History => return history::serve(endpoint, decision, head, socket),
            Purpose::Doctor => Ok(doctor::serve(head, socket).into()),
            Purpose::Preflight(methods) => return preflight(decision, head, methods).into(),
            Purpose::Script => callback_polling::serve(endpoint, decision, head, socket),
            Purpose::FrameOpening => Ok(streaming::opening_page().into()),
            Purpose::WebSocket => {
                websocket::serve(endpoint, decision, head).map_err(Error::Upgrade)
            }
            Purpose::EventStream => event_source::serve(endpoint, decision, head, socket),
            Purpose::SessionStream(id) => event_source::join(endpoint, decision, head, *id, socket),
            Purpose::Refused(_) | Purpose::Requests => Err(Error::Gate(Rejection::NOTHING)),
        };
        answer.unwrap_or_else(|error| explain(decision, error))
    }

    fn messages(&self, decision: &Decision<'_>, body: Bytes, socket: &Socket) -> Answer {
        long_polling::serve(&self.0, decision, body, socket)
            .unwrap_or_else(|error| explain(decision, error))
    }

    fn refuse(&self, refusal: &Rejection) -> Response {
        if refusal.is_of_origin {
            self.0.server.metrics().refused_origins.increment();
        }
        refusal.clone().into()
    }
}

impl AnswerEmbedded for Service {
    fn answer(&self, request: Request, outer: &Sender, socket: &Socket) -> Answer {
        let Request { head, body } = request;
        let decision = self.gate().decide_embedded(&head, outer);
        self.serve(&decision, &head, body, socket)
    }

    fn metrics(&self) -> &Metrics {
        self.0.server.metrics()
    }
}

/// Says why a request is not served: in a part, to a client that reads nothing else.
fn explain(decision: &Decision<'_>, error: Error) -> Answer {
    let response = Response::from(error);
    if decision.accepts_parts && !decision.is_embedded {
        multipart::wrap(&response).into()
    } else {
        response.into()
    }
}

/// Says what pages of other origins may do.
fn preflight(decision: &Decision<'_>, head: &Head, methods: &'static str) -> Response {
    let response = Response::new(StatusCode::NO_CONTENT).header("Allow", methods.as_bytes());
    if decision.origin.is_none() {
        return response;
    }
    let asked = head.headers.get(&header::ACCESS_CONTROL_REQUEST_HEADERS);
    add(response, cors::preflight_headers(methods, asked))
}
