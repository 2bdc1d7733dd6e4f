//! All subscribers of a run: what they share, how they are set up, and waiting for them.

use std::future::Future;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::lookup_host;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::client::lock;
use super::deliveries::{Flaws, Ledger};
use super::latency::Latency;
use super::messages::Marker;
use super::progress::Progress;
use super::subscriber;
use super::transport::{ConnectionType, Transport};
use super::url::Url;
use super::{Error, Load};

/// How long a run listens after its last delivery, for messages that come once too often.
const LINGER: Duration = Duration::from_millis(200);
/// How many clients that miss a message are named.
const NAMED: usize = 5;

/// What every client of a run knows and counts.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) url: Url,
    pub(super) transport: Transport,
    /// How the sessions speak, the publisher's at least.
    pub(super) connection_type: ConnectionType,
    /// Where event streams are.
    pub(super) events_path: String,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) clients: usize,
    pub(super) concurrency: usize,
    pub(super) timeout: Duration,
    pub(super) payload: usize,
    /// The channel that is published to; its name is this run's own.
    pub(super) channel: String,
    pub(super) marker: Marker,
    /// Clients whose first held connect has been sent, or whose event stream has begun.
    pub(super) parked: Tally,
    /// Messages new to their client, counted when that client is parked again.
    pub(super) arrived: Tally,
    /// Connects sent after the first held one.
    pub(super) reconnects: Tally,
    pub(super) latency: Latency,
    start: Instant,
    /// When each message was published, in nanoseconds since `start`; 0 is never.
    published: Box<[AtomicU64]>,
}

impl Run {
    /// Resolves the host and names the run.
    pub(super) async fn new(load: &Load, clients: usize) -> Result<Arc<Self>, Error> {
        let host = &load.url.authority;
        let unresolved = |source| Error::Resolve {
            host: host.clone(),
            source,
        };
        let addresses: Vec<_> = lookup_host(host).await.map_err(unresolved)?.collect();
        let random = getrandom::u64().map_err(|error| unresolved(std::io::Error::other(error)))?;
        let name = format!("{random:016x}");
        Ok(Arc::new(Self {
            url: load.url.clone(),
            transport: load.transport,
            connection_type: load.transport.connection_type(),
            events_path: load.events_path.clone(),
            addresses,
            clients,
            concurrency: load.concurrency.get(),
            timeout: load.timeout,
            payload: load.payload,
            channel: format!("/bench/{name}"),
            marker: Marker::new(&name, load.payload),
            parked: Tally::default(),
            arrived: Tally::default(),
            reconnects: Tally::default(),
            latency: Latency::new(),
            start: Instant::now(),
            published: (0..load.messages.get())
                .map(|_| AtomicU64::new(0))
                .collect(),
        }))
    }

    /// How many messages are to be published.
    pub(super) fn messages(&self) -> usize {
        self.published.len()
    }

    /// Nanoseconds since the run began; never 0.
    pub(super) fn elapsed(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).map_or(u64::MAX, |nanos| nanos.max(1))
    }

    /// Notes that messages are being published now.
    pub(super) fn note_published(&self, numbers: Range<usize>) {
        let now = self.elapsed();
        for published in &self.published[numbers] {
            published.store(now, Ordering::Release);
        }
    }

    /// When a message was published, on the clock of `elapsed`; nothing if it was not.
    pub(super) fn published_at(&self, number: usize) -> Option<u64> {
        let at = self.published.get(number)?.load(Ordering::Acquire);
        (at != 0).then_some(at)
    }
}

/// A count that many raise and one may await.
#[derive(Debug, Default)]
pub(super) struct Tally {
    count: AtomicU64,
    goal: AtomicU64,
    reached: Notify,
}

impl Tally {
    /// Raises the count.
    pub(super) fn add(&self, more: u64) {
        let before = self.count.fetch_add(more, Ordering::SeqCst);
        let goal = self.goal.load(Ordering::SeqCst);
        if before < goal && goal <= before + more {
            self.reached.notify_one();
        }
    }

    /// The count.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until the count is `goal` or more.
    async fn reach(&self, goal: u64) {
        self.goal.store(goal, Ordering::SeqCst);
        while self.count() < goal {
            self.reached.notified().await;
        }
    }
}

/// The running subscribers; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Fleet {
    run: Arc<Run>,
    tasks: JoinSet<Error>,
    ledgers: Vec<Arc<Mutex<Ledger>>>,
}

impl Fleet {
    /// Sets all clients up, each on the channel that is named for it, and returns when all are parked.
    pub(super) async fn launch(
        run: &Arc<Run>,
        channel: impl Fn(usize) -> String,
    ) -> Result<Self, Error> {
        let gate = Arc::new(Semaphore::new(run.concurrency.min(Semaphore::MAX_PERMITS)));
        let counted = Arc::clone(run);
        let _progress = Progress::start("clients parked", run.clients as u64, move || {
            counted.parked.count()
        });
        let mut fleet = Self {
            run: Arc::clone(run),
            tasks: JoinSet::new(),
            ledgers: Vec::with_capacity(run.clients),
        };
        for number in 0..run.clients {
            let permit = fleet
                .unless_failed(Arc::clone(&gate).acquire_owned())
                .await?;
            let permit = permit.expect("the gate is never closed");
            let ledger = Arc::new(Mutex::new(Ledger::default()));
            fleet.ledgers.push(Arc::clone(&ledger));
            let run = Arc::clone(run);
            fleet.tasks.spawn(subscriber::live(
                run,
                number,
                channel(number),
                ledger,
                permit,
            ));
        }
        // Not bounded as a whole: each step of each client is, and one that fails ends the wait.
        fleet
            .unless_failed(run.parked.reach(run.clients as u64))
            .await?;
        Ok(fleet)
    }

    /// Awaits a future, or the first failure of a client.
    pub(super) async fn unless_failed<T>(
        &mut self,
        future: impl Future<Output = T>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            Some(ended) = self.tasks.join_next() => Err(ended.unwrap_or_else(Error::Task)),
            value = future => Ok(value),
        }
    }

    /// Waits until `goal` deliveries have arrived; false when none came for the whole timeout.
    pub(super) async fn arrived(&mut self, goal: u64) -> Result<bool, Error> {
        let run = Arc::clone(&self.run);
        loop {
            let before = run.arrived.count();
            let wait = tokio::time::timeout(run.timeout, run.arrived.reach(goal));
            if self.unless_failed(wait).await?.is_ok() {
                return Ok(true);
            }
            if run.arrived.count() == before {
                return Ok(false);
            }
        }
    }

    /// Listens a little longer, then says what was wrong with the deliveries of `published` messages.
    pub(super) async fn flaws(&mut self, published: usize) -> Result<Flaws, Error> {
        self.unless_failed(tokio::time::sleep(LINGER)).await?;
        let mut total = Flaws::default();
        for ledger in &self.ledgers {
            total += lock(ledger).flaws(published);
        }
        Ok(total)
    }

    /// Names some clients that miss a message below `published`, and the first message each misses.
    pub(super) fn missing(&self, published: usize) -> String {
        let first_missing = |ledger: &Mutex<Ledger>| {
            let ledger = lock(ledger);
            (0..published).find(|&number| !ledger.has(number))
        };
        let all: Vec<_> = (0..)
            .zip(&self.ledgers)
            .filter_map(|(client, ledger): (usize, _)| Some((client, first_missing(ledger)?)))
            .collect();
        let named: Vec<_> = all
            .iter()
            .take(NAMED)
            .map(|(client, number)| format!("client {client} misses message {number}"))
            .collect();
        let more = if all.len() > NAMED { ", ..." } else { "" };
        format!(
            "{} of {}: {}{more}",
            all.len(),
            self.ledgers.len(),
            named.join(", ")
        )
    }
}
