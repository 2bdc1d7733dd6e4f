//! The edge's side: a request waits until its session is found, and its owner has answered.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Sleep;

use super::request::{PassedFormat, PassedRequest};
use super::response::{Answered, decode};
use crate::bayeux::{ClientId, Message, meta};
use crate::cluster::wire::{Pass, Wire};
use crate::cluster::{CallFailed, NodeId};
use crate::server::Located;
use crate::transports::answer::{Answer, Carried, PendingAnswer, Step};
use crate::transports::endpoint::Endpoint;
use crate::transports::runtime::now;
use crate::web::{Response, Socket};

/// How long it is tried to find the session of a request, and to reach its owner.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long after the first attempt the second comes, and the longest that lies between two.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// So many nodes in a row may say that they do not have the session.
const MAX_MOVES: u32 = 3;

/// What was found of a session, for a request that is then answered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is here now.
    Here,
    /// There is none.
    Gone,
    /// Its client is one whose connect is answered by a stream, as these marks say.
    Streams(u8),
    /// It could not be found, or its owner not be reached.
    Away,
}

/// A request that waits for the owner of its session. `R` answers it here, if that is what it comes to.
pub struct PassedOn<R> {
    endpoint: Arc<Endpoint>,
    wire: Arc<Wire>,
    session: ClientId,
    request: Bytes,
    messages: Messages,
    /// It is embedded in another request: the end of its client may not be known yet.
    is_embedded: bool,
    answer_here: Option<R>,
    state: State,
    /// When it came.
    begun: Instant,
    /// Since when it is tried in vain, but for the time in which its owner had it.
    since: Instant,
    attempts: u32,
    moves: u32,
    is_stopping: bool,
    /// Its client has closed its side of the connection.
    is_closed: bool,
}

/// What has to be known of its messages.
#[derive(Debug, Clone, Copy)]
pub struct Messages {
    /// They are one connect.
    is_connect: bool,
    /// It does no harm if the owner gets them twice.
    are_repeatable: bool,
}

impl Messages {
    /// Looks at the messages of a request.
    #[must_use]
    pub fn of(batch: &[Message<'_>]) -> Self {
        let is_repeatable = |message: &Message<'_>| {
            let mut channels = [meta::CONNECT, meta::SUBSCRIBE, meta::UNSUBSCRIBE].into_iter();
            channels.any(|channel| message.is_on(channel))
        };
        Self {
            is_connect: matches!(batch, [message] if message.is_on(meta::CONNECT)),
            are_repeatable: batch.iter().all(is_repeatable),
        }
    }
}

enum State {
    Locating(BoxFuture<'static, Located>),
    /// A node has it since then.
    Asking(Pass, NodeId, Instant),
    Pausing(Pin<Box<Sleep>>),
}

impl<R> PassedOn<R>
where
    R: FnOnce(Found, &Socket) -> Answer + Send + 'static,
{
    /// Makes one for a session that is not here.
    pub fn new(
        endpoint: &Arc<Endpoint>,
        wire: &Arc<Wire>,
        session: ClientId,
        messages: Messages,
        request: &PassedRequest,
        answer_here: R,
    ) -> Self {
        Self {
            state: State::Locating(locating(endpoint, session, None)),
            endpoint: Arc::clone(endpoint),
            wire: Arc::clone(wire),
            session,
            request: request.encode(),
            messages,
            is_embedded: request.format == PassedFormat::Embedded,
            answer_here: Some(answer_here),
            begun: now(),
            since: now(),
            attempts: 0,
            moves: 0,
            is_stopping: false,
            is_closed: false,
        }
    }

    /// Answers it here, and with that ends the wait.
    fn here(&mut self, found: Found, socket: &Socket) -> Step {
        match self.answer_here.take() {
            Some(answer) => Step::Instead(answer(found, socket)),
            None => Step::End,
        }
    }

    /// Goes on with what was found; returns what ends the wait.
    fn located(&mut self, located: Located, socket: &Socket) -> Option<Step> {
        match located {
            Located::Here => Some(self.here(Found::Here, socket)),
            Located::Gone => Some(self.here(Found::Gone, socket)),
            Located::At(node) => {
                let pass = self.wire.pass(node, self.request.clone());
                // Its client is not to wait much longer than for one poll.
                if self.is_stopping || now() >= self.begun + PATIENCE {
                    pass.hasten();
                }
                if self.is_closed {
                    pass.note_closed();
                }
                self.state = State::Asking(pass, node, now());
                None
            }
            Located::Unknown => self.pause(socket),
        }
    }

    /// Goes on with what the owner said.
    fn answered(
        &mut self,
        answered: Option<&Answered>,
        by: NodeId,
        socket: &Socket,
    ) -> Option<Step> {
        match answered {
            Some(Answered::Streams(marks)) => Some(self.here(Found::Streams(*marks), socket)),
            Some(Answered::NotHere) if self.moves < MAX_MOVES => {
                self.moves += 1;
                self.state = State::Locating(locating(&self.endpoint, self.session, Some(by)));
                None
            }
            Some(Answered::NotHere) => self.pause(socket),
            Some(Answered::Response(..)) | None => Some(self.here(Found::Away, socket)),
        }
    }

    fn failed(&mut self, failed: &CallFailed, asked: Instant, socket: &Socket) -> Option<Step> {
        tracing::debug!(%failed, "a request could not be passed on");
        self.since += now().saturating_duration_since(asked);
        match failed {
            CallFailed::Unreachable(_) => self.pause(socket),
            CallFailed::NoAnswer(_) if self.messages.are_repeatable => self.pause(socket),
            CallFailed::NoAnswer(_) | CallFailed::Refused(_) => {
                Some(self.here(Found::Away, socket))
            }
        }
    }

    /// Waits for a while before the session is looked for again, unless that was done long enough.
    fn pause(&mut self, socket: &Socket) -> Option<Step> {
        if self.is_stopping || self.is_closed || now() >= self.since + PATIENCE {
            return Some(self.here(Found::Away, socket));
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.attempts.min(8));
        self.attempts += 1;
        self.moves = 0;
        let sleep = tokio::time::sleep(pause.min(LONGEST_PAUSE));
        self.state = State::Pausing(Box::pin(sleep));
        None
    }
}

fn locating(
    endpoint: &Endpoint,
    session: ClientId,
    but: Option<NodeId>,
) -> BoxFuture<'static, Located> {
    Box::pin(endpoint.server.locate(session, but))
}

impl<R> PendingAnswer for PassedOn<R>
where
    R: FnOnce(Found, &Socket) -> Answer + Send + 'static,
{
    fn poll(&mut self, socket: &Socket, context: &mut Context<'_>) -> Poll<Step> {
        if self.messages.is_connect && !self.is_closed && socket.has_closed() {
            self.is_closed = true;
            if let State::Asking(pass, ..) = &self.state {
                pass.note_closed();
            }
        }
        loop {
            let step = match &mut self.state {
                State::Locating(locating) => {
                    let located = ready!(locating.as_mut().poll(context));
                    self.located(located, socket)
                }
                State::Asking(pass, node, asked) => {
                    let (node, asked) = (*node, *asked);
                    match ready!(Pin::new(pass).poll(context)) {
                        // What its client is known not to get goes back.
                        Ok(_) if self.is_embedded && socket.has_closed() => Some(Step::Lost),
                        Ok((bytes, receipt)) => match decode(bytes) {
                            // Nor what it may not get.
                            Some(Answered::Response(_, true)) if self.is_closed => Some(Step::Lost),
                            Some(Answered::Response(response, _)) => {
                                Some(Step::Last(response, Some(Carried::elsewhere(receipt))))
                            }
                            other => {
                                receipt.written();
                                self.answered(other.as_ref(), node, socket)
                            }
                        },
                        Err(failed) => self.failed(&failed, asked, socket),
                    }
                }
                State::Pausing(_) if self.is_stopping => Some(self.here(Found::Away, socket)),
                State::Pausing(sleep) => {
                    ready!(sleep.as_mut().poll(context));
                    self.state = State::Locating(locating(&self.endpoint, self.session, None));
                    None
                }
            };
            if let Some(step) = step {
                return Poll::Ready(step);
            }
        }
    }

    fn stop(&mut self) {
        self.is_stopping = true;
        if let State::Asking(pass, ..) = &self.state {
            pass.hasten();
        }
    }

    /// The owner hears that the client is gone when this is dropped.
    fn give_up(&mut self) -> Option<Response> {
        None
    }

    fn keeps_order(&self) -> bool {
        !self.messages.is_connect
    }

    /// The owner is to answer what is held.
    fn survives_half_close(&self) -> bool {
        true
    }
}

impl<R> fmt::Debug for PassedOn<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("PassedOn");
        shown
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
