//! The owner's side: a request that another node has passed on is answered as if its client were connected here.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;

use super::request::PassedRequest;
use super::response::{encode, not_here};
use super::unsettled::{Given, Unsettled};
use crate::cluster::NodeId;
use crate::cluster::wire::{self, Passed, PassedAnswer, Passing};
use crate::live::Live;
use crate::peer::Peer;
use crate::session::BeingWritten;
use crate::transports::answer::{Answer, Carried, Pending, Step};
use crate::transports::endpoint::Endpoint;
use crate::web::{Io, Response, Socket};

/// Answers a request whose client is connected to another node.
type Answers = fn(&Arc<Endpoint>, PassedRequest, &Socket) -> Answer;

/// What answers the requests that other nodes pass on.
#[derive(Clone)]
pub struct Owner {
    endpoint: Arc<Live<Endpoint>>,
    answers: Answers,
    unsettled: Arc<Unsettled>,
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").finish_non_exhaustive()
    }
}

impl Owner {
    /// Makes one that has them answered so.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, answers: Answers) -> Self {
        Self {
            endpoint: Arc::new(Live::new(endpoint)),
            answers,
            unsettled: Arc::default(),
        }
    }

    /// Has them answered by another endpoint from now on.
    pub fn renew(&self, endpoint: Arc<Endpoint>) {
        self.endpoint.set(endpoint);
    }
}

impl Passing for Owner {
    fn begin(&self, from: NodeId, request: Bytes) -> Box<dyn Passed> {
        let request = PassedRequest::decode(request);
        let number = request.as_ref().and_then(|request| request.number);
        let key = number.map(|number| (from, number));
        if let Some(key) = key {
            self.unsettled.comes_again(key);
        }
        let client = request.as_ref().and_then(|request| request.client);
        let peer = client.map_or(Peer::Unix(None), Peer::Behind);
        let socket = Socket::new(Io::Elsewhere, peer);
        let endpoint = self.endpoint.shared();
        let answer = match request {
            _ if endpoint.server.is_cut() => not_here().into(),
            Some(request) => (self.answers)(&endpoint, request, &socket),
            None => {
                let reason = "the other node passes requests on in another form";
                Response::error(StatusCode::BAD_REQUEST, reason).into()
            }
        };
        Box::new(Answering {
            socket,
            state: State::Is(answer),
            unsettled: Arc::clone(&self.unsettled),
            key,
        })
    }
}

/// A request that is being answered.
struct Answering {
    socket: Socket,
    state: State,
    unsettled: Arc<Unsettled>,
    /// Which request of its client it is.
    key: Option<(NodeId, u64)>,
}

enum State {
    Is(Answer),
    Waits(Box<Pending>),
    Over,
}

impl Passed for Answering {
    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<PassedAnswer> {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Over) {
                State::Is(Answer::Now(response, carried)) => {
                    return Poll::Ready(self.answered(response, carried));
                }
                State::Is(Answer::Later(pending)) => State::Waits(pending),
                State::Waits(mut pending) => match pending.wait().poll(&self.socket, context) {
                    Poll::Pending => {
                        self.state = State::Waits(pending);
                        return Poll::Pending;
                    }
                    Poll::Ready(Step::Last(response, carried)) => {
                        State::Is(Answer::Now(response, carried))
                    }
                    Poll::Ready(Step::Instead(answer)) => State::Is(answer),
                    Poll::Ready(Step::Next(..) | Step::End | Step::Lost) => impossible(),
                },
                // Who would be answered by a stream was told before that is opened.
                State::Is(Answer::Stream(..)) | State::Over => impossible(),
            };
        }
    }

    fn hasten(&mut self) {
        match &mut self.state {
            State::Is(Answer::Later(pending)) | State::Waits(pending) => pending.wait().hasten(),
            State::Is(_) | State::Over => {}
        }
    }

    /// What is done for messages goes on, as on a connection.
    fn note_closed(&mut self) {
        if let State::Is(Answer::Later(pending)) | State::Waits(pending) = &mut self.state
            && !pending.wait().survives_half_close()
            && let Some(response) = pending.wait().give_up()
        {
            self.state = State::Is(Answer::Now(response, None));
        }
    }
}

/// The answer to what no request that is passed on leads to.
fn impossible() -> State {
    State::Is(Response::error(StatusCode::INTERNAL_SERVER_ERROR, "there is no such answer").into())
}

impl Answering {
    fn answered(&self, response: Response, carried: Option<Carried>) -> PassedAnswer {
        let delivery = carried.map(|carried| {
            Box::new(Delivery {
                _writing: carried.writing(),
                given: self.unsettled.give(carried, self.key),
            }) as Box<dyn wire::Delivery>
        });
        PassedAnswer {
            bytes: encode(response, delivery.is_some()),
            delivery,
        }
    }
}

/// What has to hear whether the other node has written a response. Its session lives meanwhile, but not for one of which
/// nobody says it.
struct Delivery {
    given: Given,
    _writing: Option<BeingWritten>,
}

impl wire::Delivery for Delivery {
    fn lost(self: Box<Self>) {
        self.given.lost();
    }

    fn poll_useless(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.given.poll_useless(context)
    }

    fn written(self: Box<Self>) {
        self.given.written();
    }
}
