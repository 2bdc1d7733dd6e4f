//! A request whose connect is held: a handle on the session, and how messages stand in the response.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::StatusCode;

use super::format::Format;
use crate::bayeux::Reply;
use crate::server::HeldConnect;
use crate::session::Resume;
use crate::transports::answer::{Carried, PendingAnswer, Step};
use crate::transports::arrays::array;
use crate::transports::legacy;
use crate::transports::runtime::now;
use crate::web::{Response, Socket};

/// A request whose connect is held: until an event, the deadline, a newer connect, the session's or the
/// client's end.
#[derive(Debug)]
pub(super) struct HeldPoll {
    connect: HeldConnect,
    format: Format,
    displaced_status: u16,
}

impl HeldPoll {
    pub(super) fn new(connect: HeldConnect, format: Format, displaced_status: u16) -> Self {
        Self {
            connect,
            format,
            displaced_status,
        }
    }

    /// Returns the response, and the events that leave by it.
    fn answer(&self, resume: Resume) -> (Response, Option<Carried>) {
        let Some((taken, reply)) = self.connect.answer(resume) else {
            let status =
                StatusCode::from_u16(self.displaced_status).unwrap_or(StatusCode::CONFLICT);
            return (self.format.empty(status), None);
        };
        let session = self.connect.session();
        let escapes = legacy::escapes_comment_end(session.marks());
        let json = array(&taken.events, &[self.dressed(reply)]);
        let response = self.format.response(json, escapes);
        let carried = Carried::of(Some(Arc::clone(session)), taken.in_flight, taken.events);
        (response, carried)
    }

    fn dressed<'a>(&self, reply: Reply<'a>) -> Reply<'a> {
        legacy::dress_connect(reply, self.connect.session().marks())
    }
}

impl PendingAnswer for HeldPoll {
    fn poll(&mut self, socket: &Socket, context: &mut Context<'_>) -> Poll<Step> {
        self.connect
            .poll_resumed(now, context)
            .map(|resume| match resume {
                // Others read from such a connection too, so its end may not be known yet.
                Resume::Answer { .. } if self.format.is_embedded() && socket.has_closed() => {
                    Step::Lost
                }
                resume => {
                    let (response, carried) = self.answer(resume);
                    Step::Last(response, carried)
                }
            })
    }

    fn stop(&mut self) {
        self.connect.session().stop_holding();
    }

    /// The session goes on being held, by way of other nodes.
    fn hasten(&mut self) {
        self.connect.resume();
    }

    /// The response is one without events, which stay queued.
    fn give_up(&mut self) -> Option<Response> {
        self.connect.release(now());
        let reply = self.dressed(self.connect.reply());
        Some(self.format.response(array(&[], &[reply]), false))
    }
}
