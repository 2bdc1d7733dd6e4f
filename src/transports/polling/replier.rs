//! What becomes of a batch that was processed: a response, a held connect, or a stream.

use super::format::Format;
use super::held_poll::HeldPoll;
use super::way::Way;
use crate::bayeux::Message;
use crate::server::{HeldConnect, Outcome};
use crate::session::Stream;
use crate::transports::answer::{Answer, Carried, Delay};
use crate::transports::arrays::array_of;
use crate::transports::endpoint::Endpoint;
use crate::transports::gate::Decision;
use crate::transports::legacy;
use crate::transports::message_http::{self, ConnectResponses};
use crate::transports::streaming;
use crate::web::script;

/// What replies are made into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replier<'r> {
    pub(super) endpoint: &'r Endpoint,
    pub(super) decision: &'r Decision<'r>,
    pub(super) way: Way,
}

impl Replier<'_> {
    /// Answers a batch with its replies.
    pub(super) fn answer(
        self,
        batch: &[Message<'_>],
        mut outcome: Outcome<'_>,
        format: &Format,
        callback: Option<&str>,
    ) -> Answer {
        let session = outcome.session.as_ref();
        let marks = session.map_or(0, |session| session.marks());
        legacy::dress(&mut outcome.replies, batch, marks);
        let json = array_of(&outcome);
        let mut response = match self.way {
            Way::Once => format.response(json, legacy::escapes_comment_end(marks)),
            Way::Streamed(kind) => {
                let format = Format::Streamed(kind.wrapping(callback, marks));
                format.response(json, legacy::escapes_comment_end(marks))
            }
            Way::Responses if legacy::escapes_comment_end(marks) => {
                let json = script::escape_comment_end(&json).into_owned();
                message_http::whole(self.decision, json)
            }
            Way::Responses => message_http::whole(self.decision, json),
        };
        if let Some(cookie) = outcome.new_cookie {
            let settings = &self.endpoint.settings.browser_cookie;
            let value = settings.set_cookie(&cookie.to_string());
            response = response.header("Set-Cookie", value.as_bytes());
        }
        let delay = legacy::delay(batch, &outcome.replies).max(outcome.delay);
        if let Some(delay) = delay {
            return Answer::later(Delay::new(response, delay));
        }
        let carried = Carried::of(outcome.session, outcome.in_flight, outcome.events);
        Answer::Now(response, carried)
    }

    /// Holds a connect, or lets its events leave as they come.
    pub(super) fn hold(
        self,
        connect: HeldConnect,
        stream: Stream,
        format: Format,
        callback: Option<&str>,
    ) -> Answer {
        let settings = &self.endpoint.streaming;
        match self.way {
            Way::Once => {
                let status = self.endpoint.settings.duplicate_meta_connect_status;
                Answer::later(HeldPoll::new(connect, format, status))
            }
            Way::Streamed(kind) => {
                let version = self.decision.persistence.version;
                let marks = connect.session().marks();
                let wrapping = kind.wrapping(callback, marks);
                streaming::open(wrapping, connect, stream, settings, version)
            }
            Way::Responses => {
                let responses = ConnectResponses::new(connect, stream);
                if self.decision.is_embedded {
                    Answer::later(responses)
                } else {
                    message_http::open(self.decision, responses, settings)
                }
            }
        }
    }
}
