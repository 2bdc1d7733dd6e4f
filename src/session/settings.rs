//! What an operator sets about sessions: times, bounds, and delivery modes.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

pub use crate::bayeux::MaxQueuePolicy;

/// The settings of every session on this server.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// How long a `/meta/connect` is held when nothing happens.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// How long a client is advised to wait between two connects.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// How long a session without a connect lives, counted from the last connect's reply.
    #[serde(with = "humantime_serde")]
    pub max_interval: Duration,
    /// How long messages other than connects keep a session, counted from the last connect's reply,
    /// or the handshake's.
    #[serde(with = "humantime_serde")]
    pub max_unconnected: Duration,
    /// Clients that lose their sessions and come back in one second; more are told to wait.
    pub reconnect_rate: u32,
    /// How long they are told to wait at most; zero: they are not.
    #[serde(with = "humantime_serde")]
    pub max_reconnect_spread: Duration,
    /// The least that clients are told to wait, when the server stops, which do not see that nothing
    /// listens: those that poll by scripts.
    #[serde(with = "humantime_serde")]
    pub callback_reconnect_interval: Duration,
    /// How late a connect is answered at most that repeats the id of an unknown session; zero: it is
    /// not late.
    #[serde(with = "humantime_serde")]
    pub max_unknown_delay: Duration,
    /// The longest `interval` a client may ask for in its connect's advice.
    #[serde(with = "humantime_serde")]
    pub max_client_interval: Duration,
    /// How long a lazy event may wait for company.
    #[serde(with = "humantime_serde")]
    pub max_lazy_timeout: Duration,
    /// Events one session may have queued.
    pub max_queue: usize,
    /// Bytes of events one session may have queued.
    pub max_queue_bytes: ByteSize,
    /// What happens at `max_queue` and `max_queue_bytes`.
    pub max_queue_policy: MaxQueuePolicy,
    /// Events that one event stream keeps to repeat them to a client that lost some.
    pub max_replay: usize,
    /// Bytes of events one response may carry; the rest goes with the next one.
    pub max_response_size: ByteSize,
    /// Sessions on this server; a handshake above it is refused.
    pub max_sessions: usize,
    /// Sessions of one user.
    pub max_sessions_per_user: Option<usize>,
    /// Sessions of one address, of IPv6 one network of 64 bits.
    pub max_sessions_per_address: Option<usize>,
    /// How long a user may be refused at most.
    #[serde(with = "humantime_serde")]
    pub max_refusal: Duration,
    /// Users that may be refused at once.
    pub max_refused_users: usize,
    /// Channels and patterns one session may be subscribed to.
    pub max_subscriptions: usize,
    /// Held connects of one browser (one cookie); below zero: no bound; zero: none is held.
    pub max_sessions_per_browser: i32,
    /// The same for connects by HTTP/2, of which a connection carries many at once.
    pub http2_max_sessions_per_browser: i32,
    /// The interval advised to the tabs above these; zero stops them.
    #[serde(with = "humantime_serde")]
    pub multi_session_interval: Duration,
    /// Whether a client id is accepted without its session's cookie, even once that was returned.
    pub trust_client_session: bool,
    /// Whether events travel on connect replies only, which keeps them in order.
    pub meta_connect_deliver_only: bool,
    /// Whether the reply to a handshake carries what is queued for the new session.
    pub allow_message_delivery_during_handshake: bool,
    /// Whether connects by requests are never held: clients poll.
    pub polling: bool,
    /// The interval advised to a client that polls, after events.
    #[serde(with = "humantime_serde")]
    pub min_polling_interval: Duration,
    /// What that interval grows to while there are none, doubled from poll to poll.
    #[serde(with = "humantime_serde")]
    pub max_polling_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            interval: Duration::ZERO,
            max_interval: Duration::from_secs(10),
            max_unconnected: Duration::from_secs(120),
            reconnect_rate: 1000,
            max_reconnect_spread: Duration::from_secs(30),
            callback_reconnect_interval: Duration::from_secs(3),
            max_unknown_delay: Duration::from_secs(5),
            max_client_interval: Duration::from_secs(60),
            max_lazy_timeout: Duration::from_secs(5),
            max_queue: 10_000,
            max_queue_bytes: ByteSize::mib(4),
            max_queue_policy: MaxQueuePolicy::End,
            max_replay: 100,
            max_response_size: ByteSize::kib(900),
            max_sessions: 200_000,
            max_sessions_per_user: None,
            max_sessions_per_address: None,
            max_refusal: Duration::from_secs(24 * 3600),
            max_refused_users: 10_000,
            max_subscriptions: 1000,
            max_sessions_per_browser: 1,
            http2_max_sessions_per_browser: -1,
            multi_session_interval: Duration::from_secs(2),
            trust_client_session: false,
            meta_connect_deliver_only: false,
            allow_message_delivery_during_handshake: false,
            polling: false,
            min_polling_interval: Duration::from_secs(1),
            max_polling_interval: Duration::from_secs(30),
        }
    }
}
