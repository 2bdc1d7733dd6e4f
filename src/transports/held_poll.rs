//! A request whose connect is held: a socket, and a handle on the session.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, StatusCode};

use super::exchange::{Carried, Framing, array, now};
use super::{allow, legacy, vary};
use crate::bayeux::Reply;
use crate::server::HeldConnect;
use crate::session::{Resume, Session};
use crate::web::{Response, Socket};

/// A request whose connect is held.
#[derive(Debug)]
pub struct HeldPoll {
    connect: HeldConnect,
    framing: Framing,
    pub(super) origin: Option<HeaderValue>,
    displaced_status: u16,
}

/// How a held request goes on.
#[derive(Debug)]
pub enum Polled {
    /// It is answered.
    Answered(Response, Option<Carried>),
    /// Its client closed the connection, or its side of it. The response holds no events, which
    /// stay queued; it is for a client that still reads.
    Closed(Response),
}

impl HeldPoll {
    pub(super) fn new(connect: HeldConnect, framing: Framing, displaced_status: u16) -> Self {
        Self {
            connect,
            framing,
            origin: None,
            displaced_status,
        }
    }

    /// Waits for an event, the deadline, a newer connect, the session's or the client's end.
    ///
    /// The client's end is looked at first: events are not given to a socket known to be dead.
    pub async fn wait(mut self: Box<Self>, socket: &mut Socket) -> Polled {
        let resumed = poll_fn(|context| {
            if socket.poll_closed(context).is_ready() {
                return Poll::Ready(None);
            }
            self.poll_resumed(context).map(Some)
        })
        .await;
        match resumed {
            Some(resume) => {
                let (response, carried) = self.answer(resume);
                Polled::Answered(response, carried)
            }
            None => Polled::Closed(self.give_up()),
        }
    }

    pub(super) fn poll_resumed(&mut self, context: &mut Context<'_>) -> Poll<Resume> {
        self.connect.poll_resumed(now, context)
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        self.connect.session()
    }

    /// Gives the connect up, and returns a response for a client that may still read.
    pub(super) fn give_up(&mut self) -> Response {
        self.connect.release(now());
        self.unanswered()
    }

    /// A response without events, which stay queued.
    fn unanswered(&self) -> Response {
        let reply = self.dressed(self.connect.reply());
        self.finish(self.framing.response(array(&[], &[reply]), false))
    }

    /// Returns the response, and the events that leave by it.
    pub(super) fn answer(&self, resume: Resume) -> (Response, Option<Carried>) {
        let Some((taken, reply)) = self.connect.answer(resume) else {
            let status =
                StatusCode::from_u16(self.displaced_status).unwrap_or(StatusCode::CONFLICT);
            return (self.finish(self.framing.empty(status)), None);
        };
        let session = self.connect.session();
        let escapes = legacy::escapes_comment_end(session.marks());
        let json = array(&taken.events, &[self.dressed(reply)]);
        let response = self.framing.response(json, escapes);
        (
            self.finish(response),
            Carried::of(Some(Arc::clone(session)), taken.in_flight, taken.events),
        )
    }

    fn dressed<'a>(&self, reply: Reply<'a>) -> Reply<'a> {
        legacy::dress_connect(reply, self.connect.session().marks())
    }

    fn finish(&self, response: Response) -> Response {
        if matches!(self.framing, Framing::Embedded) {
            return response;
        }
        vary(allow(response, self.origin.as_ref()))
    }
}
