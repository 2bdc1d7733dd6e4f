//! All subscribers of a run: how they are set up, what they have received, and waiting for them.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Error;
use super::deliveries::{Flaws, Lane};
use super::member::{Place, SharedLedger, live};
use super::progress::Progress;
use super::run::Run;

/// How long a run listens after its last delivery, for messages that come once too often.
const LINGER: Duration = Duration::from_millis(200);
/// How many clients that miss a message are named.
const NAMED: usize = 5;

/// The running subscribers; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Fleet {
    run: Arc<Run>,
    tasks: JoinSet<Error>,
    ledgers: Vec<Arc<SharedLedger>>,
    /// How long it took to set all up.
    pub(super) setup: Duration,
}

impl Fleet {
    /// Sets up all clients of a run that has one publisher, and returns when all are parked.
    pub(super) async fn launch(run: &Arc<Run>) -> Result<Self, Error> {
        let channels = run.channels.len();
        Self::launch_with(run, |client| Lane::of(client % channels, channels), live).await
    }

    /// Sets up clients that get the messages of a lane each, and live in a way of their own.
    pub(super) async fn launch_with<F>(
        run: &Arc<Run>,
        lane: impl Fn(usize) -> Lane,
        live: impl Fn(Place) -> F,
    ) -> Result<Self, Error>
    where
        F: Future<Output = Error> + Send + 'static,
    {
        let start = Instant::now();
        let gate = Arc::new(Semaphore::new(run.concurrency.min(Semaphore::MAX_PERMITS)));
        let counted = Arc::clone(run);
        let _progress =
            Progress::start(run.told, "clients parked", run.clients as u64, move || {
                counted.parked.count()
            });
        let mut fleet = Self {
            run: Arc::clone(run),
            tasks: JoinSet::new(),
            ledgers: Vec::with_capacity(run.clients),
            setup: Duration::ZERO,
        };
        for number in 0..run.clients {
            let permit = fleet
                .unless_failed(Arc::clone(&gate).acquire_owned())
                .await?;
            let ledger = Arc::new(SharedLedger::new(lane(number)));
            fleet.ledgers.push(Arc::clone(&ledger));
            fleet.tasks.spawn(live(Place {
                run: Arc::clone(run),
                number,
                ledger,
                permit: permit.expect("the gate is never closed"),
            }));
        }
        // Not bounded as a whole: each step of each client is, and one that fails ends the wait.
        fleet
            .unless_failed(run.parked.reach(run.clients as u64))
            .await?;
        fleet.setup = start.elapsed();
        Ok(fleet)
    }

    /// Awaits a future, or the first failure of a client, or that the run is interrupted.
    pub(super) async fn unless_failed<T>(
        &mut self,
        future: impl Future<Output = T>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.run.interruption.wait() => Err(Error::Interrupted),
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

    /// How many messages each client was to get when the run's first `published` were published.
    pub(super) fn due(&self, published: usize) -> Vec<usize> {
        let ledgers = self.ledgers.iter();
        ledgers.map(|ledger| ledger.due(published)).collect()
    }

    /// How many messages each client has got so far, or got later ones than.
    pub(super) fn reached(&self) -> Vec<usize> {
        self.ledgers.iter().map(|ledger| ledger.reached()).collect()
    }

    /// Listens a little longer, then says what was wrong with the deliveries, so many messages being
    /// `due` to each client.
    pub(super) async fn flaws(&mut self, due: &[usize]) -> Result<Flaws, Error> {
        self.linger().await?;
        let mut total = Flaws::default();
        for (ledger, &due) in self.ledgers.iter().zip(due) {
            total += ledger.flaws(due);
        }
        Ok(total)
    }

    async fn linger(&mut self) -> Result<(), Error> {
        match self.unless_failed(tokio::time::sleep(LINGER)).await {
            Err(Error::Interrupted) => Ok(()),
            lingered => lingered,
        }
    }

    /// Names some clients that miss a message, and the first message each misses.
    pub(super) fn missing(&self, due: &[usize]) -> String {
        let clients = self.ledgers.iter().zip(due).enumerate();
        let all: Vec<_> = clients
            .filter_map(|(client, (ledger, &due))| Some((client, ledger.first_missing(due)?)))
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
