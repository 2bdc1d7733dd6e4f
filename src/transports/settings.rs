//! What an operator sets about transports: the path, which are on, and what each needs.

use std::time::Duration;

use bytesize::ByteSize;
use http::HeaderName;
use serde::{Deserialize, Serialize};

pub use crate::bayeux::Transport;

/// The names of the connection types that are on, as handshakes list them.
#[must_use]
pub fn connection_types(transports: &[Transport]) -> Vec<&'static str> {
    let names = transports.iter().flat_map(|transport| {
        // The second name is Faye's for the same transport from another origin.
        let second = (*transport == Transport::LongPolling).then_some("cross-origin-long-polling");
        [transport.name()].into_iter().chain(second)
    });
    names.collect()
}

/// What the gate asks heads for of who sent their requests.
#[derive(Debug, Clone, Default)]
pub struct Shows {
    /// Whether `Authorization: Bearer` holds a token.
    pub bearer: bool,
    /// The cookie that may hold one.
    pub cookie: Option<String>,
    /// The query parameter of event streams that may hold one.
    pub query_parameter: Option<String>,
    /// The headers that the webhook is told.
    pub headers: Vec<HeaderName>,
    /// The cookies that it is told.
    pub cookies: Vec<String>,
}

/// The settings of the Bayeux endpoint.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// Where the Bayeux endpoint is; everything below it is served alike.
    pub path: String,
    /// The transports that are on, in the order they are offered.
    pub transports: Vec<Transport>,
    /// The HTTP status of a held connect that a newer one displaced; 400 to 599.
    pub duplicate_meta_connect_status: u16,
    /// Whether scripts (callback-polling, iframe) are answers also to requests that do not say where
    /// they come from.
    pub callback_without_origin: bool,
    /// The browser cookie.
    #[serde(flatten)]
    pub browser_cookie: crate::web::cookies::Settings,
    /// What heads are asked for of who sent their requests; it is set elsewhere.
    #[serde(skip)]
    pub shows: Shows,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: "/cometd".to_owned(),
            transports: vec![
                Transport::WebSocket,
                Transport::EventSource,
                Transport::LongPolling,
                Transport::CallbackPolling,
                Transport::XhrStreaming,
                Transport::Multipart,
                Transport::MessageHttp,
                Transport::Iframe,
            ],
            duplicate_meta_connect_status: 409,
            callback_without_origin: false,
            browser_cookie: crate::web::cookies::Settings::default(),
            shows: Shows::default(),
        }
    }
}

/// The settings of WebSockets.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct WebSocketSettings {
    /// How long a client may be silent before it is pinged, and then until it counts as gone; zero:
    /// it is never pinged.
    #[serde(with = "humantime_serde")]
    pub ping_interval: Duration,
    /// Whether a connection serves only the sessions whose handshake came by it.
    pub require_handshake_per_connection: bool,
    /// Whether messages are deflated for clients that offer it (RFC 7692).
    pub permessage_deflate: bool,
    /// Bytes from which on a message is deflated.
    pub deflate_threshold: ByteSize,
}

impl Default for WebSocketSettings {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(20),
            require_handshake_per_connection: false,
            permessage_deflate: true,
            deflate_threshold: ByteSize::b(512),
        }
    }
}

/// The settings of event streams.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct EventSourceSettings {
    /// Where event streams are for those who speak no Bayeux.
    pub path: String,
    /// How long a stream may be silent before it carries a comment.
    #[serde(with = "humantime_serde")]
    pub heartbeat_interval: Duration,
    /// How long a client waits before it opens a stream again that was lost.
    #[serde(with = "humantime_serde")]
    pub retry: Duration,
}

impl Default for EventSourceSettings {
    fn default() -> Self {
        Self {
            path: "/events".to_owned(),
            heartbeat_interval: Duration::from_secs(20),
            retry: Duration::from_secs(1),
        }
    }
}

/// The settings of the transports whose connect's response is a stream.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct StreamingSettings {
    /// How long a stream lasts at most; then its connect is answered, and the next one opens another.
    #[serde(with = "humantime_serde")]
    pub lifetime: Duration,
    /// How long a stream may be silent before it carries something that means nothing.
    #[serde(with = "humantime_serde")]
    pub heartbeat_interval: Duration,
    /// Requests embedded in one request that wait at once; above it: 503.
    pub max_embedded_requests: usize,
}

impl Default for StreamingSettings {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(10),
            max_embedded_requests: 32,
        }
    }
}

/// The settings of resources over HTTP.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct ResourceSettings {
    /// Below which path the channels are that are resources.
    pub path: String,
    /// How long a request waits for a change.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for ResourceSettings {
    fn default() -> Self {
        Self {
            path: "/resources".to_owned(),
            timeout: Duration::from_secs(30),
        }
    }
}
