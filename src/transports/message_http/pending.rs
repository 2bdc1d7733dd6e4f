//! A request whose response, or the last of its responses, is yet to come.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Sleep;

use super::super::connect_stream::{Coming, ConnectStream};
use super::super::exchange::{Carried, EMBEDDED_HEAD, array};
use super::super::held_poll::HeldPoll;
use super::super::resources::{self, Waiting};
use crate::bayeux::Event;
use crate::resources::{Watch, Woken};
use crate::session::{Resume, Stream};
use crate::web::{Response, Socket};

/// What is waited for on behalf of one request.
#[derive(Debug)]
pub(super) struct Pending {
    /// The request's target, as it was sent.
    pub(super) location: Box<str>,
    /// It was a HEAD.
    pub(super) omits_body: bool,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// A connect, whose events are responses too.
    Connect(ConnectStream),
    /// A connect that has one response.
    Poll(Box<HeldPoll>),
    /// The changes of a resource, each a response.
    Watch(Watch),
    /// The next change of a resource, or none.
    Waiting(Box<Waiting>),
    /// A response that is kept back for a while.
    Delayed(Option<Response>, Pin<Box<Sleep>>),
}

/// What comes of it.
#[derive(Debug)]
pub(super) enum Step {
    /// A response, after which there are others; and the events of its stream that it holds.
    Next(Response, Vec<Arc<Event>>),
    /// The last response.
    Last(Response, Option<Carried>),
    /// There is no last response.
    End,
    /// The client is gone.
    Lost,
}

impl Pending {
    pub(super) fn new(location: Box<str>, omits_body: bool, what: What) -> Self {
        Self {
            location,
            omits_body,
            what,
        }
    }

    /// Waits for the next step. The socket is asked whether the client is gone before events are
    /// taken for it.
    pub(super) fn poll(&mut self, socket: &Socket, context: &mut Context<'_>) -> Poll<Step> {
        match &mut self.what {
            What::Connect(connect) => connect.poll(context).map(|coming| match coming {
                Coming::Events(events) => Step::Next(messages(array(&events, &[])), events),
                Coming::Last(json, carried) => Step::Last(messages(json), carried),
                Coming::End => Step::End,
            }),
            What::Poll(held) => held.poll_resumed(context).map(|resume| match resume {
                Resume::Answer { .. } if socket.has_closed() => Step::Lost,
                resume => {
                    let (response, carried) = held.answer(resume);
                    Step::Last(response, carried)
                }
            }),
            What::Watch(watch) => watch.poll_changed(context).map(|woken| match woken {
                Woken::Stopped => Step::End,
                changed @ Woken::Changed(..) => Step::Next(resources::changed(changed), Vec::new()),
            }),
            What::Waiting(waiting) => waiting
                .poll_answered(context)
                .map(|response| Step::Last(response, None)),
            What::Delayed(response, sleep) => {
                let waited = sleep.as_mut().poll(context);
                waited.map(|()| match response.take() {
                    Some(response) => Step::Last(response, None),
                    None => Step::End,
                })
            }
        }
    }

    /// Has it end soon, because the server stops. Waits for resources end by themselves.
    pub(super) fn stop(&mut self) {
        match &mut self.what {
            What::Connect(connect) => {
                if let Some(session) = connect.session() {
                    session.stop_holding();
                }
            }
            What::Poll(held) => held.session().stop_holding(),
            What::Delayed(_, sleep) => sleep.set(tokio::time::sleep(Duration::ZERO)),
            What::Watch(_) | What::Waiting(_) => {}
        }
    }

    /// Gives it up, and returns a last response for a client that may still read.
    pub(super) fn give_up(&mut self) -> Option<Response> {
        match &mut self.what {
            What::Connect(connect) => connect.give_up().map(messages),
            What::Poll(held) => Some(held.give_up()),
            What::Waiting(_) => Some(resources::unchanged()),
            What::Delayed(response, _) => response.take(),
            What::Watch(_) => None,
        }
    }

    /// Returns the stream its events come by, if they do.
    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        match &mut self.what {
            What::Connect(connect) => Some(connect.stream()),
            What::Poll(_) | What::Watch(_) | What::Waiting(_) | What::Delayed(..) => None,
        }
    }
}

/// A response with an array of messages, made now.
pub(super) fn messages(json: Vec<u8>) -> Response {
    Response::with_raw_head(StatusCode::OK, EMBEDDED_HEAD, json).modified_now()
}
