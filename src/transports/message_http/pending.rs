//! A request whose response, or the last of its responses, is yet to come.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::super::connect_stream::{Coming, ConnectStream};
use super::super::exchange::{Carried, EMBEDDED_HEAD};
use crate::bayeux::Event;
use crate::session::Stream;
use crate::web::Response;

/// What is waited for on behalf of one request.
#[derive(Debug)]
pub(super) struct Pending {
    /// The request's target.
    pub(super) location: Box<str>,
    what: What,
}

#[derive(Debug)]
enum What {
    /// A connect, whose events are responses too.
    Connect(ConnectStream),
}

/// What comes of it.
#[derive(Debug)]
pub(super) enum Step {
    /// A response with events of its stream.
    Events(Response, Vec<Arc<Event>>),
    /// The last response.
    Last(Response, Option<Carried>),
    /// There is no last response.
    End,
}

impl Pending {
    pub(super) fn connect(location: Box<str>, connect: ConnectStream) -> Self {
        let what = What::Connect(connect);
        Self { location, what }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        match &mut self.what {
            What::Connect(connect) => connect.poll(context).map(|coming| match coming {
                Coming::Events(events) => {
                    let json = super::super::exchange::array(&events, &[]);
                    Step::Events(messages(json), events)
                }
                Coming::Last(json, carried) => Step::Last(messages(json), carried),
                Coming::End => Step::End,
            }),
        }
    }

    /// Has it end soon, because the server stops.
    pub(super) fn stop(&self) {
        match &self.what {
            What::Connect(connect) => {
                if let Some(session) = connect.session() {
                    session.stop_holding();
                }
            }
        }
    }

    /// Returns the stream its events come by, if they do.
    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        match &mut self.what {
            What::Connect(connect) => Some(connect.stream()),
        }
    }

    /// Lets go of its session.
    pub(super) fn let_go(&mut self) {
        match &mut self.what {
            What::Connect(connect) => connect.let_go(),
        }
    }
}

/// A response with an array of messages, made now.
pub(super) fn messages(json: Vec<u8>) -> Response {
    Response::with_raw_head(http::StatusCode::OK, EMBEDDED_HEAD, json).modified_now()
}
