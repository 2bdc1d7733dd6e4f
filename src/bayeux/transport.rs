//! The transports by the names that clients ask for them with: the connection types (specification section 6).

use serde::{Deserialize, Serialize};

/// A transport a client may ask for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// One connection for all messages, both ways.
    #[serde(rename = "websocket")]
    WebSocket,
    /// Events by `text/event-stream`, messages by POST requests.
    #[serde(rename = "eventsource")]
    EventSource,
    /// POST requests, the connect held until there is something to say.
    LongPolling,
    /// The same over script elements (JSONP).
    CallbackPolling,
    /// A connect's response is a growing text of arrays.
    XhrStreaming,
    /// A connect's response has an array in each of its parts.
    Multipart,
    /// A connect's response has responses in it; a resource's too, and a request may hold requests.
    MessageHttp,
    /// A connect's response is a page that never ends, in a frame.
    Iframe,
    /// What Dojo 0.4 knows as multipart. Its clients take it before all others.
    MimeMessageBlock,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::WebSocket,
        Self::EventSource,
        Self::LongPolling,
        Self::CallbackPolling,
        Self::XhrStreaming,
        Self::Multipart,
        Self::MessageHttp,
        Self::Iframe,
        Self::MimeMessageBlock,
    ];

    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::EventSource => "eventsource",
            Self::LongPolling => "long-polling",
            Self::CallbackPolling => "callback-polling",
            Self::XhrStreaming => "xhr-streaming",
            Self::Multipart => "multipart",
            Self::MessageHttp => "message-http",
            Self::Iframe => "iframe",
            Self::MimeMessageBlock => "mime-message-block",
        }
    }

    /// Returns the one of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Tells whether its clients send messages by POST.
    #[must_use]
    pub fn posts(self) -> bool {
        !matches!(self, Self::WebSocket | Self::CallbackPolling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_and_clients_use_the_same_names() {
        for transport in Transport::ALL {
            let name = transport.name();
            assert_eq!(serde_json::to_value(transport).expect("JSON"), name);
            assert_eq!(Transport::named(name), Some(transport));
        }
        assert_eq!(Transport::named("cross-origin-long-polling"), None);
    }
}
