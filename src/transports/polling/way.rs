//! How a request's messages are answered: by one response, or by what their connect asks for.

use super::format::Format;
use crate::bayeux::Message;
use crate::transports::endpoint::Endpoint;
use crate::transports::error::Error;
use crate::transports::gate::Decision;
use crate::transports::message_http;
use crate::transports::settings::Transport;
use crate::transports::streaming::StreamKind;
use crate::web::script;

/// How a request's messages are answered, as its connect and its head ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By one response.
    Once,
    /// By a stream.
    Streamed(StreamKind),
    /// By responses in a response.
    Responses,
}

impl Way {
    pub(super) fn asked(
        batch: &[Message<'_>],
        decision: &Decision<'_>,
        format: &Format,
        endpoint: &Endpoint,
        marks_of: impl FnOnce(&Message<'_>) -> u8,
    ) -> Self {
        let has_responses = endpoint.gate.is_on(Transport::MessageHttp)
            && matches!(format, Format::Json | Format::Embedded)
            && message_http::is_asked(batch, decision);
        if has_responses {
            return Self::Responses;
        }
        match StreamKind::asked(batch, endpoint.gate.transports(), marks_of) {
            Some(kind) if !format.is_embedded() => Self::Streamed(kind),
            _ => Self::Once,
        }
    }

    /// A frame is a page of scripts, which call one function of the page that has it.
    pub(super) fn check(
        self,
        endpoint: &Endpoint,
        decision: &Decision<'_>,
        callback: Option<&str>,
    ) -> Result<(), Error> {
        if self != Self::Streamed(StreamKind::Iframe) {
            return Ok(());
        }
        endpoint.check_script(decision)?;
        if callback.is_some_and(|name| !script::is_identifier(name)) {
            return Err(Error::FrameCallback);
        }
        Ok(())
    }

    /// Returns the transport that its clients use.
    pub(super) fn transport(self, format: &Format) -> Transport {
        match (self, format) {
            (Self::Streamed(kind), _) => kind.transport(),
            (Self::Responses, _) | (_, Format::Embedded) => Transport::MessageHttp,
            (Self::Once, Format::Script(_)) => Transport::CallbackPolling,
            (Self::Once, _) => Transport::LongPolling,
        }
    }

    /// Tells whether its clients do not see that nothing listens any more: what a page loads for its
    /// scripts fails without a word, in many browsers and for most clients.
    pub(super) fn is_blind(self, format: &Format) -> bool {
        match self {
            Self::Once => matches!(format, Format::Script(_)),
            Self::Streamed(kind) => kind == StreamKind::Iframe,
            Self::Responses => false,
        }
    }
}
