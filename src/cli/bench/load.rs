//! The options that all scenarios share.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use humantime_serde::re::humantime;
use tokio_rustls::rustls::RootCertStore;

use super::pacer::Rate;
use super::transport::Transport;
use super::{Error, Scenario};
use crate::cli::authorities::authorities;
use crate::cli::secret::secret;
use crate::client::transport::ConnectionType;
use crate::client::url::{self, Url};
use crate::client::{Credentials, Secret};

/// The options every scenario shares.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Load {
    /// Where the server listens: http://host:port/path, or the same with https; given more than once, the clients
    /// are spread over these, one after the other, and each that comes back comes to the next
    #[arg(
        long = "url",
        global = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080/cometd"
    )]
    pub(super) urls: Vec<Url>,
    /// How the clients speak to the server
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(super) transport: Transport,
    /// Long-polling over HTTP/2, a connection for each client: over https as TLS agrees on it, over http from the
    /// first byte on
    #[arg(long, global = true)]
    pub(super) http2: bool,
    /// Where event streams are on the host of --url [default: /events]
    #[arg(long, global = true, value_name = "PATH", value_parser = url::parse_path)]
    events_path: Option<String>,
    /// Simulated clients, a TCP connection each; of pairs, an even number [default: 1000; storm: 10]
    #[arg(long, global = true, value_name = "COUNT")]
    pub(super) clients: Option<NonZeroUsize>,
    /// Messages to publish; pairs: questions of each pair [default: 100]
    #[arg(long, global = true, value_name = "COUNT")]
    messages: Option<NonZeroUsize>,
    /// Bytes of each message's `data`, as JSON, never fewer than its number needs [default: 100]
    #[arg(long, global = true, value_name = "BYTES")]
    payload: Option<usize>,
    /// Messages in a second, each at its time whatever became of those before; latencies count from
    /// then [default: the next when all have the last; storm: as fast as the server takes them]
    #[arg(long, global = true, value_name = "PER_SECOND")]
    pub(super) rate: Option<Rate>,
    /// A token that all handshakes show, of a server that wants one; event streams show none
    #[arg(long, global = true, value_name = "TOKEN|@FILE", env = "MIRANT_TOKEN", hide_env_values = true,
          value_parser = secret)]
    token: Option<Secret>,
    /// Trust the certificate authorities in this file (PEM) instead of the system's
    #[arg(long, global = true, value_name = "FILE", value_parser = authorities)]
    pub(super) ca: Option<Arc<RootCertStore>>,
    /// Process of the server, on this host, whose processor time and memory are read from /proc
    #[arg(long, global = true, value_name = "PROCESS_ID")]
    pub(super) pid: Option<u32>,
    /// Clients being set up at the same time
    #[arg(long, global = true, value_name = "COUNT", default_value = "100")]
    pub(super) concurrency: NonZeroUsize,
    /// The longest wait for one reply, or for the next delivery
    #[arg(long, global = true, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
    /// Print the result as one JSON object; its fields are listed below
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Report progress on standard error even if that is not a terminal
    #[arg(long, global = true)]
    pub(super) progress: bool,
}

impl Load {
    /// How many messages there are to be.
    pub(super) fn messages(&self) -> usize {
        self.messages.map_or(100, NonZeroUsize::get)
    }

    /// How long their data is.
    pub(super) fn payload(&self) -> usize {
        self.payload.unwrap_or(100)
    }

    /// Where event streams are.
    pub(super) fn events_path(&self) -> &str {
        self.events_path.as_deref().unwrap_or("/events")
    }

    /// How the sessions of the run speak.
    pub(super) fn connection_type(&self) -> ConnectionType {
        match self.http2 {
            true => ConnectionType::LongPollingByHttp2,
            false => self.transport.connection_type(),
        }
    }

    /// What handshakes show.
    pub(super) fn credentials(&self) -> Credentials {
        let token = self.token.clone();
        token.map_or(Credentials::None, Credentials::Token)
    }

    /// Tells whether one client may have several requests with messages on their way.
    fn sends_at_once(&self, scenario: &Scenario) -> bool {
        let is_ahead = match scenario {
            Scenario::Storm(options) => options.pipeline.get() > 1,
            Scenario::Reconnect(_) => true,
            Scenario::Idle(_) | Scenario::FanOut | Scenario::Rooms(_) | Scenario::Pairs => false,
        };
        is_ahead || self.rate.is_some()
    }

    /// Refuses what has no effect, as who gives it expects one.
    pub(super) fn check(&self, scenario: &Scenario) -> Result<(), Error> {
        let idle = "idle publishes nothing: leave it out, or choose another scenario";
        let is_idle = matches!(scenario, Scenario::Idle(_));
        let is_event_source = self.transport == Transport::EventSource;
        let refused = [
            ("--rate", is_idle && self.rate.is_some(), idle),
            ("--messages", is_idle && self.messages.is_some(), idle),
            ("--payload", is_idle && self.payload.is_some(), idle),
            (
                "--http2",
                self.http2 && self.transport != Transport::LongPolling,
                "it is for --transport long-polling",
            ),
            (
                "--http2",
                self.http2 && self.sends_at_once(scenario),
                "by HTTP/2 requests on their way at once keep no order: leave out --rate, give storm --pipeline 1, or \
                 choose another scenario than reconnect",
            ),
            (
                "--events-path",
                !is_event_source && self.events_path.is_some(),
                "it needs --transport eventsource",
            ),
        ];
        match refused.into_iter().find(|(_, is_refused, _)| *is_refused) {
            Some((option, _, reason)) => Err(Error::Misuse { option, reason }),
            None => Ok(()),
        }
    }
}
