//! One simulated subscriber of a run: its place, its life, and what it has received.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

use super::Error;
use super::client::{Phase, Who, failed};
use super::deliveries::{Flaws, Lane, Ledger};
use super::latency::Latency;
use super::run::Run;
use super::subscriber::{Absent, Subscriber};
use crate::client::Fault;
use crate::client::transport::Arrival;

/// A client that is to be set up.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) run: Arc<Run>,
    pub(super) number: usize,
    /// What it receives.
    pub(super) ledger: Arc<SharedLedger>,
    /// Held while it is being set up.
    pub(super) permit: OwnedSemaphorePermit,
}

impl Place {
    /// Subscribes to the channel of the client's number, and parks.
    pub(super) async fn set_up(self) -> Result<Member, Error> {
        let (member, permit) = self.subscribe().await?;
        drop(permit);
        member.run.parked.add(1);
        Ok(member)
    }

    /// Subscribes to the channel of the client's number, and gets as far as waiting for messages;
    /// the permit is to be held until all is set up.
    pub(super) async fn subscribe(self) -> Result<(Member, OwnedSemaphorePermit), Error> {
        let (who, channel) = (Who::Client(self.number), self.run.channel(self.number));
        let subscriber = Subscriber::set_up(&self.run, who, channel).await?;
        let member = Member {
            run: self.run,
            number: self.number,
            ledger: self.ledger,
            turn: 0,
            subscriber,
        };
        Ok((member, self.permit))
    }
}

/// A client that is set up.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) run: Arc<Run>,
    pub(super) number: usize,
    pub(super) ledger: Arc<SharedLedger>,
    /// How often it has come back.
    turn: usize,
    pub(super) subscriber: Subscriber,
}

impl Member {
    /// Closes the connection without a word.
    pub(super) fn cut(self) -> Absence {
        Absence {
            run: self.run,
            number: self.number,
            ledger: self.ledger,
            turn: self.turn + 1,
            absent: self.subscriber.cut(),
        }
    }

    /// Receives what is published, for ever.
    pub(super) async fn stay(&mut self) -> Result<Infallible, Error> {
        let run = Arc::clone(&self.run);
        loop {
            let waited = self.subscriber.wait().await;
            waited.map_err(failed(Who::Client(self.number), Phase::Parked))?;
            self.take_with(Some(&run.latency), |_| {}).await?;
        }
    }

    /// Enters what was waited for into the ledger and how long it took, and waits on; tells which
    /// messages are new.
    pub(super) async fn take_with(
        &mut self,
        latency: Option<&Latency>,
        mut is_new: impl FnMut(usize),
    ) -> Result<(), Error> {
        let mut fresh = 0;
        let mut note = |arrival: Arrival<'_>| {
            let noted = self.ledger.note(&self.run, arrival, latency, &mut is_new)?;
            fresh += noted.fresh;
            Ok(noted.all)
        };
        let taken = self.subscriber.take(&mut note).await;
        taken.map_err(failed(Who::Client(self.number), Phase::Parked))?;
        self.run.arrived.add(fresh);
        Ok(())
    }
}

/// A client that was cut off.
#[derive(Debug)]
pub(super) struct Absence {
    run: Arc<Run>,
    number: usize,
    ledger: Arc<SharedLedger>,
    /// Which time it is that it comes back.
    turn: usize,
    absent: Absent,
}

impl Absence {
    /// Connects again.
    pub(super) async fn come_back(self) -> Result<Member, Error> {
        let Self {
            run,
            number,
            ledger,
            turn,
            absent,
        } = self;
        let mut fresh = 0;
        let mut note = |arrival: Arrival<'_>| {
            let noted = ledger.note(&run, arrival, Some(&run.latency), |_| {})?;
            fresh += noted.fresh;
            Ok(noted.all)
        };
        let who = Who::Client(number);
        let returned = absent.come_back(&run, who, turn, run.channel(number), &mut note);
        let subscriber = returned.await?;
        run.arrived.add(fresh);
        Ok(Member {
            run,
            number,
            ledger,
            turn,
            subscriber,
        })
    }
}

/// Lives as a subscriber of one channel until something fails.
pub(super) async fn live(place: Place) -> Error {
    let lived = async { place.set_up().await?.stay().await };
    match lived.await {
        Err(error) => error,
    }
}

/// How many messages were in a batch.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Those of this run.
    pub(super) all: usize,
    /// Those among them that the client did not have.
    pub(super) fresh: u64,
}

/// The ledger of one client and the messages that belong into it.
#[derive(Debug)]
pub(super) struct SharedLedger {
    lane: Lane,
    ledger: Mutex<Ledger>,
}

impl SharedLedger {
    /// A ledger for the messages of a lane.
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            lane,
            ledger: Mutex::default(),
        }
    }

    /// Enters the messages of a batch, and how long they took; tells how many are new, and which.
    pub(super) fn note(
        &self,
        run: &Run,
        arrival: Arrival<'_>,
        latency: Option<&Latency>,
        mut is_new: impl FnMut(usize),
    ) -> Result<Noted, Fault> {
        let mut noted = Noted::default();
        let mut numbers = run.marker.sequences(arrival.batch).peekable();
        if numbers.peek().is_none() {
            return Ok(noted);
        }
        let now = run.clock.at(arrival.at);
        let mut ledger = self.lock();
        for number in numbers {
            let (Some(published), Some(index)) =
                (run.published_at(number), self.lane.index(number))
            else {
                let text = format!("message {number}, which was never published to this client");
                return Err(Fault::Malformed(text));
            };
            if let Some(latency) = latency {
                latency.record(now.saturating_sub(published));
            }
            noted.all += 1;
            if ledger.note(index) {
                noted.fresh += 1;
                is_new(number);
            }
        }
        Ok(noted)
    }

    /// How many messages belong into it when the run's first `published` were published.
    pub(super) fn due(&self, published: usize) -> usize {
        self.lane.count(published)
    }

    /// How many messages have come, or were passed over.
    pub(super) fn reached(&self) -> usize {
        self.lock().reached()
    }

    /// What is wrong when so many messages belong into it and no more will come.
    pub(super) fn flaws(&self, due: usize) -> Flaws {
        self.lock().flaws(due)
    }

    /// The first message below the lane's `count`th that has not come.
    pub(super) fn first_missing(&self, count: usize) -> Option<usize> {
        let ledger = self.lock();
        let missing = (0..count).find(|&index| !ledger.has(index))?;
        Some(self.lane.number(missing))
    }

    /// A ledger stays valid whatever its holder did, as each entry is one step.
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
