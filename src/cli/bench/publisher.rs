//! The one publisher of a run: in lockstep, as fast as the server takes it, or at a rate.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::Error;
use super::client::{Session, Who};
use super::pacer::{Due, Pacer, Rate, Schedule};
use super::run::Run;

/// How much is sent ahead of its replies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    /// Messages in one request, at most.
    pub(super) batch: usize,
    /// Requests without a reply, at most.
    pub(super) pipeline: usize,
}

/// What a publisher sends that is not measured by it: whatever is due leaves.
pub(super) const FREELY: Ahead = Ahead {
    batch: 100,
    pipeline: 64,
};

/// A session that publishes to the run's channels in turns.
#[derive(Debug)]
pub(super) struct Publisher {
    run: Arc<Run>,
    session: Session,
    /// How many messages are in each request that has no reply yet.
    unanswered: Vec<usize>,
}

impl Publisher {
    /// Opens the session.
    pub(super) async fn open(run: &Arc<Run>) -> Result<Self, Error> {
        Ok(Self {
            run: Arc::clone(run),
            session: Session::open(run, Who::Publisher).await?,
            unanswered: Vec::new(),
        })
    }

    /// Publishes messages as the run's rate says, or else as fast as the server takes them; then all
    /// are acknowledged.
    pub(super) async fn publish(
        &mut self,
        numbers: Range<usize>,
        ahead: Ahead,
    ) -> Result<(), Error> {
        match self.run.rate {
            Some(rate) => self.pace(numbers, ahead, rate).await?,
            None => self.flood(numbers, ahead).await?,
        }
        while !self.unanswered.is_empty() {
            self.acknowledged().await?;
        }
        Ok(())
    }

    /// Publishes nothing for a while, all that was being acknowledged.
    pub(super) async fn rest(&mut self, time: Duration) -> Result<(), Error> {
        self.session.keep_during(tokio::time::sleep(time)).await
    }

    async fn flood(&mut self, numbers: Range<usize>, ahead: Ahead) -> Result<(), Error> {
        for first in numbers.clone().step_by(ahead.batch) {
            if self.unanswered.len() >= ahead.pipeline {
                self.acknowledged().await?;
            }
            let batch = first..numbers.end.min(first.saturating_add(ahead.batch));
            self.send(batch, None).await?;
        }
        Ok(())
    }

    async fn pace(&mut self, numbers: Range<usize>, ahead: Ahead, rate: Rate) -> Result<(), Error> {
        let clock = self.run.clock;
        let schedule = Schedule::new(numbers.start, clock.elapsed(), rate);
        let due = Arc::new(Due::default());
        let announced = Arc::clone(&due);
        let _pacer = Pacer::start(clock, schedule, numbers.clone(), move |_| announced.add())?;
        let mut next = numbers.start;
        while next < numbers.end {
            let ready = numbers.start + due.count();
            if self.unanswered.len() >= ahead.pipeline {
                self.acknowledged().await?;
            } else if ready > next {
                let batch = next..ready.min(next.saturating_add(ahead.batch));
                next = batch.end;
                self.send(batch, Some(schedule)).await?;
            } else if self.unanswered.is_empty() {
                self.session.keep_during(due.more()).await?;
            } else {
                // A reply is read whole or not at all.
                tokio::select! {
                    () = due.more() => {}
                    acknowledged = self.acknowledged() => acknowledged?,
                }
            }
        }
        Ok(())
    }

    /// Sends messages in one request; without a schedule they are due when they leave.
    async fn send(
        &mut self,
        numbers: Range<usize>,
        schedule: Option<Schedule>,
    ) -> Result<(), Error> {
        let run = &self.run;
        let messages = numbers.clone().map(|number| (number, run.channel(number)));
        let note = || {
            let now = run.clock.elapsed();
            for number in numbers.clone() {
                let due = schedule.map_or(now, |schedule| schedule.at(number));
                if schedule.is_some() {
                    run.lateness.record(now.saturating_sub(due));
                }
                run.note_published(number, due);
            }
        };
        self.session.publish(messages, note).await?;
        self.unanswered.push(numbers.len());
        Ok(())
    }

    /// Awaits the reply to a request that has none; nothing is lost if this is dropped.
    async fn acknowledged(&mut self) -> Result<(), Error> {
        self.session.acknowledged(&mut self.unanswered).await
    }
}
