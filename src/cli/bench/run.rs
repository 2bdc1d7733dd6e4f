//! What every client of a run knows and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Error;
use super::clock::Clock;
use super::interruption::Interruption;
use super::latency::Latency;
use super::load::Load;
use super::marker::Marker;
use super::pacer::Rate;
use super::progress::Audience;
use super::report::Report;
use super::tally::Tally;
use super::transport::Transport;
use super::who::Who;
use crate::client::Server;
use crate::client::transport::ConnectionType;

/// How large a run is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Clients that receive.
    pub(super) clients: usize,
    /// Channels that they are spread over, in turns.
    pub(super) channels: usize,
    /// Messages that are to be published.
    pub(super) messages: usize,
}

/// What every client of a run knows and counts.
#[derive(Debug)]
pub(super) struct Run {
    /// Where they are, and how the sessions speak, the publisher's at least.
    servers: Box<[Arc<Server>]>,
    /// How long one may take to answer.
    pub(super) timeout: Duration,
    pub(super) transport: Transport,
    /// Where event streams are.
    pub(super) events_path: String,
    pub(super) clients: usize,
    pub(super) concurrency: usize,
    pub(super) payload: usize,
    /// How often something is published; without it, when all that was published has arrived.
    pub(super) rate: Option<Rate>,
    /// When to end before all is done.
    pub(super) interruption: Interruption,
    /// Who is told how far the run has come.
    pub(super) told: Audience,
    /// The channels that are published to; their names are this run's own.
    pub(super) channels: Box<[String]>,
    pub(super) marker: Marker,
    /// Clients whose first held connect has been sent, or whose event stream has begun.
    pub(super) parked: Tally,
    /// Messages new to their client, counted when that client is parked again.
    pub(super) arrived: Tally,
    /// Connects sent after the first held one.
    pub(super) reconnects: Tally,
    /// How long messages took from when they were published, or were due to be.
    pub(super) latency: Latency,
    /// How long after they were due messages were published.
    pub(super) lateness: Latency,
    pub(super) clock: Clock,
    /// When each message was published, on the clock; 0 is never.
    published: Box<[AtomicU64]>,
}

impl Run {
    /// Resolves the hosts and names the run.
    pub(super) async fn new(
        load: &Load,
        size: Size,
        interruption: Interruption,
    ) -> Result<Arc<Self>, Error> {
        let mut servers = Vec::with_capacity(load.urls.len());
        for url in &load.urls {
            let server = Server::find(
                url.clone(),
                load.connection_type(),
                load.credentials(),
                load.timeout,
                load.ca.clone(),
            );
            servers.push(Arc::new(server.await.map_err(Error::Server)?));
        }
        let random =
            getrandom::u64().map_err(|error| Error::Runtime(std::io::Error::other(error)))?;
        let name = format!("{random:016x}");
        let channels = match size.channels {
            1 => [format!("/bench/{name}")].into(),
            several => (0..several)
                .map(|number| format!("/bench/{name}/{number}"))
                .collect(),
        };
        Ok(Arc::new(Self {
            servers: servers.into(),
            timeout: load.timeout,
            transport: load.transport,
            events_path: load.events_path().to_owned(),
            clients: size.clients,
            concurrency: load.concurrency.get(),
            payload: load.payload(),
            rate: load.rate,
            interruption,
            told: Audience::of_stderr(load.progress),
            channels,
            marker: Marker::new(&name, load.payload()),
            parked: Tally::default(),
            arrived: Tally::default(),
            reconnects: Tally::default(),
            latency: Latency::new(),
            lateness: Latency::new(),
            clock: Clock::start(),
            published: (0..size.messages).map(|_| AtomicU64::new(0)).collect(),
        }))
    }

    /// Where a client is, the publisher with the first of them; each time that it comes back it is with the next.
    pub(super) fn server(&self, who: Who, turn: usize) -> &Arc<Server> {
        let first = match who {
            Who::Client(number) => number,
            Who::Publisher => 0,
        };
        &self.servers[(first + turn) % self.servers.len()]
    }

    /// How many messages are to be published.
    pub(super) fn messages(&self) -> usize {
        self.published.len()
    }

    /// The channel that belongs to a number, of a client or of a message.
    pub(super) fn channel(&self, number: usize) -> &str {
        &self.channels[number % self.channels.len()]
    }

    /// How many clients are subscribed to the channel of a message.
    pub(super) fn audience(&self, number: usize) -> u64 {
        let channels = self.channels.len();
        let is_larger = number % channels < self.clients % channels;
        (self.clients / channels + usize::from(is_larger)) as u64
    }

    /// How many deliveries there are of all messages.
    pub(super) fn deliveries(&self) -> u64 {
        (0..self.messages())
            .map(|number| self.audience(number))
            .sum()
    }

    /// Notes when a message is published, or was due to be.
    pub(super) fn note_published(&self, number: usize, at: u64) {
        self.published[number].store(at, Ordering::Release);
    }

    /// When a message was published; nothing if it was not.
    pub(super) fn published_at(&self, number: usize) -> Option<u64> {
        let at = self.published.get(number)?.load(Ordering::Acquire);
        (at != 0).then_some(at)
    }

    /// How many messages were published, if that is done in the order of their numbers.
    pub(super) fn count_published(&self) -> usize {
        self.published
            .partition_point(|at| at.load(Ordering::Acquire) != 0)
    }

    /// A report that begins with what was asked for.
    pub(super) fn report(&self, scenario: &str) -> Report {
        let mut report = Report::default();
        report.text("scenario", scenario);
        let urls: Vec<_> = self
            .servers
            .iter()
            .map(|server| server.url.to_string())
            .collect();
        report.text("url", urls.join(" "));
        report.text("transport", self.transport.name());
        if self.servers[0].connection_type == ConnectionType::LongPollingByHttp2 {
            report.text("http", "2");
        }
        report.count("clients", self.clients as u64);
        report.count("concurrency", self.concurrency as u64);
        report.measure("timeout_s", self.timeout.as_secs_f64());
        report
    }
}
