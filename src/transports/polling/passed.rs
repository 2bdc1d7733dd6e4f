//! Requests whose sessions other nodes of the cluster have: as they are passed on, and as those answer them.

use std::sync::Arc;

use http::Version;

use super::exchange::{Exchange, Place, Source};
use super::format::Format;
use super::way::Way;
use crate::bayeux::ClientId;
use crate::cluster::wire::Wire;
use crate::server::Verdicts;
use crate::transports::answer::{Answer, Deferred};
use crate::transports::arrays::array;
use crate::transports::endpoint::Endpoint;
use crate::transports::gate::Decision;
use crate::transports::passing::{
    Found, Messages, Owner, PassedFormat, PassedOn, PassedRequest, not_here,
};
use crate::transports::runtime::now;
use crate::web::{Response, Socket};

/// Returns what answers the requests that other nodes pass on.
#[must_use]
pub fn owner(endpoint: Arc<Endpoint>) -> Owner {
    Owner::new(endpoint, answer)
}

/// Answers a request whose client is connected to another node.
fn answer(endpoint: &Arc<Endpoint>, passed: PassedRequest, socket: &Socket) -> Answer {
    let version = match passed.by_http2 {
        true => Version::HTTP_2,
        false => Version::HTTP_11,
    };
    let decision = Decision::of_another_node(version, passed.cookies, passed.shown);
    let format = match passed.format {
        PassedFormat::Json => Format::Json,
        PassedFormat::Embedded => Format::Embedded,
        PassedFormat::Script => Format::Script(passed.callback.clone().unwrap_or_default()),
    };
    let source = if passed.are_fields {
        Source::Fields
    } else {
        Source::Body
    };
    let exchange = Exchange {
        place: Place::Owner,
        ..Exchange::new(passed.texts, source, passed.callback, format)
    };
    let answer = exchange.run(endpoint, &decision, socket, Verdicts::default());
    answer.unwrap_or_else(|error| Response::from(error).into())
}

impl Exchange {
    /// Has the messages answered by the node that has their session.
    pub(super) fn pass_on(
        self,
        session: ClientId,
        messages: Messages,
        endpoint: &Arc<Endpoint>,
        wire: &Arc<Wire>,
        decision: &Decision<'_>,
        socket: &Socket,
    ) -> Answer {
        let request = PassedRequest {
            number: Some(wire.number()),
            texts: self.texts.clone(),
            are_fields: self.source == Source::Fields,
            format: match &self.format {
                Format::Script(_) => PassedFormat::Script,
                Format::Embedded => PassedFormat::Embedded,
                Format::Json | Format::Streamed(_) => PassedFormat::Json,
            },
            callback: self.callback.clone(),
            client: socket.peer().ip(),
            cookies: decision.cookies.clone(),
            shown: decision.shown.clone(),
            by_http2: decision.is_http2(),
        };
        let at = Arc::clone(endpoint);
        let decision = decision.clone().into_owned();
        let here = move |found, socket: &Socket| {
            let answer = self.answer_here(found, &at, &decision, socket);
            answer.shared(&decision)
        };
        Answer::later(PassedOn::new(
            endpoint, wire, session, messages, &request, here,
        ))
    }

    /// Answers messages that were passed on for a session which is not here: once it is known where it goes, if it is
    /// on its way.
    pub(super) fn not_here(
        self,
        session: ClientId,
        endpoint: &Arc<Endpoint>,
        decision: &Decision<'_>,
    ) -> Answer {
        let Some(arriving) = endpoint.server.arriving(session) else {
            return not_here().into();
        };
        let endpoint = Arc::clone(endpoint);
        let decision = decision.clone().into_owned();
        let arriving = Box::pin(arriving);
        Answer::later(Deferred::before(arriving, move |is_over, socket| {
            if !is_over {
                return not_here().into();
            }
            self.run(&endpoint, &decision, socket, Verdicts::default())
                .unwrap_or_else(|error| Response::from(error).into())
        }))
    }

    /// Answers the messages by what was found of their session.
    fn answer_here(
        mut self,
        found: Found,
        endpoint: &Arc<Endpoint>,
        decision: &Decision<'_>,
        socket: &Socket,
    ) -> Answer {
        self.place = match found {
            // It may have gone again.
            Found::Here => Place::Edge,
            Found::Gone => Place::Settled(0),
            Found::Streams(marks) => Place::Settled(marks),
            Found::Away => return self.unreachable(endpoint).into(),
        };
        self.run(endpoint, decision, socket, Verdicts::default())
            .unwrap_or_else(|error| Response::from(error).into())
    }

    /// Tells the client to try again, and that its session is not lost.
    fn unreachable(&self, endpoint: &Endpoint) -> Response {
        let is_blind = Way::Once.is_blind(&self.format);
        let batch = self.parse(endpoint).unwrap_or_default();
        let replies = endpoint.server.unreachable(&batch, is_blind, now());
        self.format.response(array(&[], &replies), false)
    }
}
