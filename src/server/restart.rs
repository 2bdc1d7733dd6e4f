//! Sessions over a restart: a stop leaves them to a store, and the next start takes them up.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::BayeuxServer;
use super::core::clocks;
use crate::history::{Failed, Saved, Store};
use crate::metrics::Notice;
use crate::operations::Revived;
use crate::session::{EndReason, Record, Session, Unreadable};

/// What stands between a session's client id and by which configuration its client has shown who it is: with another
/// one it has to show that again.
const ACCOUNTS: &str = "@";

/// Sessions that are written or read at once, and bytes of them.
const MAX_SESSIONS: usize = 500;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Why sessions are not written.
#[derive(Debug, thiserror::Error)]
enum NotSaved {
    #[error(transparent)]
    Failed(#[from] Failed),
    #[error("the time is over (history.save_timeout)")]
    TimedOut,
}

/// Sessions that are to be written.
#[derive(Debug, Default)]
struct Batch {
    sessions: Vec<Saved>,
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.sessions.len() >= MAX_SESSIONS || self.bytes >= MAX_BYTES
    }

    /// Adds a session; false if it has ended.
    fn add(&mut self, session: &Session, accounts: &str) -> Result<bool, Unreadable> {
        let Some(record) = session.record(clocks())? else {
            return Ok(false);
        };
        let state = record.encode()?;
        self.bytes += state.len();
        let mut key = session.id().to_string();
        if record.identity.is_some() {
            key += ACCOUNTS;
            key += accounts;
        }
        self.sessions.push(Saved { key, state });
        Ok(true)
    }

    /// Writes them, and returns how many they were.
    async fn write(self, store: &dyn Store, end: Instant) -> Result<usize, NotSaved> {
        let count = self.sessions.len();
        if count > 0 {
            let saved = timeout_at(end, store.save_sessions(self.sessions)).await;
            saved.map_err(|_| NotSaved::TimedOut)??;
        }
        Ok(count)
    }
}

impl BayeuxServer {
    /// Returns where sessions outlive the process, if they do.
    fn outlasting(&self) -> Option<&Arc<dyn Store>> {
        let store = self.core.history.store();
        store.filter(|store| store.is_durable())
    }

    /// Tells whether sessions outlive the process.
    #[must_use]
    pub fn has_durable_sessions(&self) -> bool {
        self.outlasting().is_some()
    }

    /// Takes up the sessions that the process before has left: before any client is heard.
    pub async fn take_up_sessions(&self) {
        let Some(store) = self.outlasting() else {
            return;
        };
        let mut revived = Revived::default();
        loop {
            match store.take_sessions(MAX_SESSIONS, MAX_BYTES).await {
                Ok(batch) if batch.is_empty() => break,
                Ok(batch) => {
                    for saved in batch {
                        self.take_up(&saved, &mut revived);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "sessions of the last run cannot be read");
                    break;
                }
            }
        }
        let metrics = self.metrics();
        let restored = metrics.restored_sessions.value();
        let not_restored = metrics.not_restored_sessions.value();
        if restored + not_restored > 0 {
            tracing::info!(restored, not_restored, "sessions of the last run go on");
        }
    }

    fn take_up(&self, saved: &Saved, revived: &mut Revived) {
        let metrics = self.metrics();
        let accounts = saved.key.split_once(ACCOUNTS);
        if accounts.is_some_and(|(_, accounts)| accounts != &*self.identifying.get().accounts) {
            metrics.not_restored_sessions.increment();
            metrics.ended(EndReason::NotRestored);
            return;
        }
        let scope = self.core.scope(clocks().0);
        let taken = Record::decode(&saved.state).and_then(|record| scope.take_up(record, revived));
        match taken {
            Ok(true) => metrics.restored_sessions.increment(),
            Ok(false) => metrics.not_restored_sessions.increment(),
            Err(error) => {
                metrics.not_restored_sessions.increment();
                if let Some(permit) = metrics.may_log(Notice::Session) {
                    let suppressed = permit.suppressed;
                    tracing::warn!(
                        suppressed,
                        "a session of the last run is passed over: {error}"
                    );
                }
            }
        }
    }

    /// Does nothing more for clients, whose connections end: what is on its way to them comes back to their
    /// sessions.
    pub fn cut(&self) {
        self.core.shared.reconnects.cut();
        for session in self.core.sessions.all() {
            session.cut();
        }
    }

    /// Tells whether nothing more may be done for clients.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.core.shared.reconnects.is_cut()
    }

    /// Leaves the sessions to the next process, within `history.save_timeout`; to be called when no client is
    /// heard any more.
    pub async fn save_sessions(&self) {
        let Some(store) = self.outlasting() else {
            return;
        };
        let end = Instant::now() + self.core.history.settings().save_timeout;
        // What is kept is in the sessions then, as the next process does not send it.
        if timeout_at(end, self.core.sequence.settle()).await.is_err() {
            tracing::error!("messages that are kept did not reach the sessions in time");
        }
        let all = self.core.sessions.all();
        let mut tally = Tally {
            saved: 0,
            lost: all.len(),
        };
        let accounts = Arc::clone(&self.identifying.get().accounts);
        let outcome = tally.save(&all, &accounts, &**store, end).await;
        let Tally { saved, lost } = tally;
        match outcome {
            Ok(()) => tracing::info!(saved, lost, "the next start takes the sessions up"),
            Err(error) => tracing::error!(saved, lost, "sessions are lost: {error}"),
        }
    }
}

/// How many sessions are written, and how many are not.
#[derive(Debug)]
struct Tally {
    saved: usize,
    lost: usize,
}

impl Tally {
    async fn save(
        &mut self,
        sessions: &[Arc<Session>],
        accounts: &str,
        store: &dyn Store,
        end: Instant,
    ) -> Result<(), NotSaved> {
        let mut batch = Batch::default();
        for session in sessions {
            match batch.add(session, accounts) {
                Ok(true) => {}
                Ok(false) => self.lost -= 1,
                Err(error) => {
                    tracing::error!(client_id = ?session.id(), "a session is lost: {error}");
                }
            }
            if batch.is_full() {
                self.count(std::mem::take(&mut batch).write(store, end).await?);
            }
        }
        self.count(batch.write(store, end).await?);
        Ok(())
    }

    fn count(&mut self, saved: usize) {
        self.saved += saved;
        self.lost -= saved;
    }
}
