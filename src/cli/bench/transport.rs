//! `--transport`: how the simulated clients of a run speak to the server.

use crate::client::transport::ConnectionType;

/// How the simulated clients speak to the server.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Transport {
    /// HTTP requests: one is held until there are events, and then sent again
    #[default]
    LongPolling,
    /// A WebSocket: events come by themselves, and a connect is held beside
    #[value(name = "websocket")]
    WebSocket,
    /// An event stream, which takes no handshake; the publisher speaks long-polling
    #[value(name = "eventsource")]
    EventSource,
    /// HTTP requests: the response to one goes on, with events as they come
    XhrStreaming,
}

impl Transport {
    /// The name of the transport, as `--transport` takes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::EventSource => "eventsource",
            _ => self.connection_type().name(),
        }
    }

    /// How the sessions of a run speak: nothing can be published over an event stream.
    pub(super) fn connection_type(self) -> ConnectionType {
        match self {
            Self::LongPolling | Self::EventSource => ConnectionType::LongPolling,
            Self::WebSocket => ConnectionType::WebSocket,
            Self::XhrStreaming => ConnectionType::XhrStreaming,
        }
    }
}
