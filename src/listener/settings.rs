//! What an operator sets about HTTP: addresses, origins, and the bounds of a connection.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::address::ListenAddress;
use super::mode::Mode;
use crate::web::Patience;
use crate::web::forwarded::ForwardedHeader;

/// Connections the kernel keeps for a listener until they are accepted; it takes fewer if
/// `net.core.somaxconn` says so.
pub const BACKLOG: u32 = 4096;

/// The settings of the HTTP listeners.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// The addresses to listen on; port 0 takes a free one.
    pub listen: Vec<ListenAddress>,
    /// Who may connect to those that are Unix sockets.
    pub unix_mode: Mode,
    /// Whether another server may begin to listen there while this one does, to take over from it.
    pub reuse_port: bool,
    /// The hosts that are served, by the `Host` of requests; with none any is.
    pub hosts: Vec<String>,
    /// The origins whose pages may use this server from another site; `*` is any.
    pub allowed_origins: Vec<String>,
    /// The proxies that are trusted to name their clients: addresses, networks, or `unix`.
    pub trusted_proxies: Vec<String>,
    /// The header by which they do.
    pub forwarded_header: ForwardedHeader,
    /// Whether connections of these proxies begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Connections held at once; absent: what the file-descriptor limit allows.
    pub max_connections: Option<usize>,
    /// Connections of one address at once, of IPv6 of one /64; absent: nine tenths of all.
    pub max_connections_per_address: Option<usize>,
    /// How long a request's line and headers may take to arrive; above it: 408.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a request's body may take to arrive; above it: 408.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// How long a connection without a request is kept.
    #[serde(with = "humantime_serde")]
    pub keep_alive_timeout: Duration,
    /// How long a client may take nothing of what is written to it; above it the connection is
    /// closed.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// Bytes of a response that its client takes in a second at least, after `write_timeout`; below it
    /// the connection is closed.
    pub min_write_rate: ByteSize,
    /// Bytes that the kernel keeps for a client and has not sent.
    pub max_unsent: ByteSize,
    /// Bytes of a request's line and headers together; above it: 431 or 414.
    pub max_header_size: ByteSize,
    /// Number of headers of a request; above it: 431.
    pub max_headers: usize,
    /// Whether HTTP/2 is spoken with clients that ask for it by ALPN, over TLS.
    pub http2: bool,
    /// Whether it is with those that begin with it, without TLS.
    pub http2_prior_knowledge: bool,
    /// Requests of one connection by HTTP/2 at once; above it they are refused.
    pub http2_max_streams: u32,
    /// After which silence a client by HTTP/2 that waits for a response is asked whether it is there; zero: never.
    #[serde(with = "humantime_serde")]
    pub http2_ping_interval: Duration,
    /// How long it may take to answer that; above it the connection is closed.
    #[serde(with = "humantime_serde")]
    pub http2_ping_timeout: Duration,
    /// Bytes from which on the responses of polls are compressed for clients that read gzip; 0: never.
    pub gzip_threshold: ByteSize,
    /// How long a stopping server takes to send its clients away, one after the other.
    #[serde(with = "humantime_serde")]
    pub drain_time: Duration,
    /// How long a stopping server waits for responses to leave.
    #[serde(with = "humantime_serde")]
    pub shutdown_timeout: Duration,
}

impl Settings {
    /// Returns how slowly a client may read.
    #[must_use]
    pub fn patience(&self) -> Patience {
        Patience {
            stall: self.write_timeout,
            rate: self.min_write_rate.as_u64(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![([127, 0, 0, 1], 8080).into()],
            unix_mode: Mode::GROUP,
            reuse_port: false,
            hosts: Vec::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            proxy_protocol: false,
            max_connections: None,
            max_connections_per_address: None,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            min_write_rate: ByteSize::kib(1),
            max_unsent: ByteSize::kib(32),
            max_header_size: ByteSize::kib(32),
            max_headers: 100,
            http2: true,
            http2_prior_knowledge: false,
            http2_max_streams: 250,
            http2_ping_interval: Duration::from_secs(30),
            http2_ping_timeout: Duration::from_secs(20),
            gzip_threshold: ByteSize::kib(16),
            drain_time: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}
