//! A connect that is held while the events of its session leave as they come; knows no response.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::bayeux::{BayeuxError, Event};
use crate::server::HeldConnect;
use crate::session::{Session, Stream, StreamStep, Taken};
use crate::transports::answer::{Carried, MAX_WRITE};
use crate::transports::arrays::array;
use crate::transports::legacy;
use crate::transports::runtime::now;

/// A held connect and its stream.
#[derive(Debug)]
pub struct ConnectStream {
    /// Dropped before the stream, so that it counts as lost and not as resumed.
    held: Option<HeldConnect>,
    stream: Stream,
    /// The connect's reply has been written; only its failure, or advice, is told at the end.
    has_replied: bool,
}

/// What comes of a connect.
#[derive(Debug)]
pub enum Coming {
    /// Events, which left by the stream.
    Events(Vec<Arc<Event>>),
    /// The last array: the reply, behind events that came with it.
    Last(Vec<u8>, Option<Carried>),
    /// Nothing more.
    End,
}

impl ConnectStream {
    /// Makes one of a connect and the stream that it came by; `has_replied` if its reply was written.
    pub fn new(held: HeldConnect, stream: Stream, has_replied: bool) -> Self {
        Self {
            held: Some(held),
            stream,
            has_replied,
        }
    }

    /// Returns the session.
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.stream.session()
    }

    /// Returns the stream.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Waits for what is to be written next.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Coming> {
        match self.stream.poll(MAX_WRITE as u64, context) {
            // First: what a client that reads on has to see of them is before the reply.
            Poll::Ready(StreamStep::Events { events, .. }) => Poll::Ready(Coming::Events(events)),
            Poll::Ready(StreamStep::Displaced) => Poll::Ready(self.displaced()),
            // The connect says why.
            Poll::Ready(StreamStep::Ended(_)) | Poll::Pending => self.poll_reply(context),
        }
    }

    fn poll_reply(&mut self, context: &mut Context<'_>) -> Poll<Coming> {
        let Some(held) = &mut self.held else {
            return Poll::Pending;
        };
        let Poll::Ready(resume) = held.poll_resumed(now, context) else {
            return Poll::Pending;
        };
        let Some(held) = self.held.take() else {
            return Poll::Pending;
        };
        let marks = held.session().marks();
        let session = Arc::clone(held.session());
        let carried = |taken: Taken| Carried::of(Some(session), taken.in_flight, taken.events);
        Poll::Ready(match held.answer(resume) {
            Some((taken, reply)) if self.has_replied && reply.is_plain_success() => {
                if taken.events.is_empty() {
                    return Poll::Ready(Coming::End);
                }
                let json = array(&taken.events, &[]);
                Coming::Last(json, carried(taken))
            }
            Some((taken, reply)) => Coming::Last(
                array(&taken.events, &[legacy::dress_connect(reply, marks)]),
                carried(taken),
            ),
            None => {
                let reply = held.reply().failed(BayeuxError::ConnectDisplaced);
                Coming::Last(array(&[], &[reply]), None)
            }
        })
    }

    /// Another connection took the session over.
    fn displaced(&mut self) -> Coming {
        let Some(mut held) = self.held.take() else {
            return Coming::End;
        };
        held.release(now());
        let reply = held.reply().failed(BayeuxError::ConnectDisplaced);
        Coming::Last(array(&[], &[reply]), None)
    }

    /// Gives the connect and the session up, and returns a last array for a client that may still read.
    pub fn give_up(&mut self) -> Option<Vec<u8>> {
        let mut held = self.held.take()?;
        held.release(now());
        self.stream = Stream::default();
        let marks = held.session().marks();
        Some(array(&[], &[legacy::dress_connect(held.reply(), marks)]))
    }
}
