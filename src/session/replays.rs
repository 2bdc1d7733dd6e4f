//! Which sessions are to be given of the past: a queue of work for whoever reads the store.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::bayeux::{ChannelPattern, ClientId, NotRecovered};
use crate::history::Survey;

/// What is to be done.
#[derive(Debug)]
pub enum Job {
    /// A run has begun: from where on it reads is to be decided.
    Decide(Decision),
    /// A session has room for a page.
    Page(ClientId),
}

/// A run, and what it is for.
#[derive(Debug)]
pub struct Run {
    /// Its number.
    pub number: u64,
    /// What is asked for.
    pub asked: Vec<Asked>,
}

/// A subscribe that asks for the past.
#[derive(Debug)]
pub struct Decision {
    /// The session.
    pub session: ClientId,
    /// Its runs.
    pub runs: Vec<Run>,
    /// What was not subscribed to before, and is taken back if they cannot begin.
    pub new: Vec<ChannelPattern>,
    /// It is asked until the store answers: there is nobody who could ask again.
    pub insists: bool,
    /// Who waits for what was found, or for that it could not be found.
    pub done: oneshot::Sender<Decided>,
}

/// What a subscription asks for of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The channels.
    pub pattern: ChannelPattern,
    /// From where on.
    pub from: From,
    /// Whether a position that is not there any more is an error.
    pub fails: bool,
}

/// From where on a client asks for what it missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// New messages only.
    New,
    /// The last message of each channel, and new ones.
    Last,
    /// All that is kept.
    All,
    /// What comes after a number, of an epoch if the client knows it.
    After(u64, Option<Arc<str>>),
}

/// What became of the begin of a run.
#[derive(Debug)]
pub enum Decided {
    /// It has begun: for each of what was asked.
    Begun(Vec<Found>),
    /// One of the positions is not there any more: its number, and of what.
    Expired(ChannelPattern, u64),
    /// The store does not answer about one of them.
    Failed(ChannelPattern),
}

/// Waits for what becomes of it.
pub type Deciding = oneshot::Receiver<Decided>;

/// What was found of what was asked for.
#[derive(Debug)]
pub struct Found {
    /// The channels.
    pub pattern: ChannelPattern,
    /// Why not all of it can be had; nothing: it can.
    pub missing: Option<NotRecovered>,
    /// After which number it begins.
    pub after: u64,
    /// What is kept.
    pub survey: Survey,
}

/// The work that is to be done, in its order.
#[derive(Debug, Default)]
pub struct Replays {
    /// Up to this number all has been sent to whom it concerns.
    sent: AtomicU64,
    jobs: Mutex<VecDeque<Job>>,
    more: Notify,
}

impl Replays {
    /// Notes that all up to a number has been sent.
    pub fn note_sent(&self, id: u64) {
        self.sent.store(id, Release);
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Acquire)
    }

    /// Adds something. A session adds one page at a time, and a decision for a subscribe whose reply waits.
    pub fn add(&self, job: Job) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.push_back(job);
        drop(jobs);
        self.more.notify_one();
    }

    /// Has it decided from where on the runs of a subscribe read; returns what becomes of it.
    pub fn decide(&self, session: ClientId, runs: Vec<Run>, new: Vec<ChannelPattern>) -> Deciding {
        self.decided(session, runs, new, false)
    }

    /// Does so for a session that goes on: it is asked until the store answers.
    pub fn decide_in_any_case(&self, session: ClientId, runs: Vec<Run>) -> Deciding {
        self.decided(session, runs, Vec::new(), true)
    }

    fn decided(
        &self,
        session: ClientId,
        runs: Vec<Run>,
        new: Vec<ChannelPattern>,
        insists: bool,
    ) -> Deciding {
        let (done, decided) = oneshot::channel();
        self.add(Job::Decide(Decision {
            session,
            runs,
            new,
            insists,
            done,
        }));
        decided
    }

    /// Waits for something to do.
    pub async fn next(&self) -> Job {
        loop {
            if let Some(job) = self.take() {
                return job;
            }
            self.more.notified().await;
        }
    }

    fn take(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.pop_front()
    }
}
