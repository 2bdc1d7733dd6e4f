//! The pairs scenario: every client has a partner, and one of the two asks while the other answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::Error;
use super::client::{Phase, Session, Who, failed};
use super::deliveries::Lane;
use super::fleet::Fleet;
use super::measured::{Ending, Measured};
use super::member::{Member, Place};
use super::pacer::{Due, Pacer, Schedule};
use super::process::Process;
use super::report::Report;
use super::run::Run;
use super::transport::Transport;
use crate::client::{Fault, KEEP};

/// What the clients of a run share. Those of pair 3 are 6, who asks, and 7, who answers; its messages
/// are every `pairs`th from 3 on, and an answer has the number of its question.
#[derive(Debug)]
struct Pairs {
    /// How many questions each pair is to have asked by now.
    due: Box<[Due]>,
    /// How many messages each client has sent.
    sent: Box<[AtomicUsize]>,
    /// The questions are asked at a rate, and noted as published when they are due.
    is_paced: bool,
}

/// Has all pairs ask and answer, and reports.
pub(super) async fn run(run: Arc<Run>, server: Option<Process>) -> Result<Report, Error> {
    let count = run.clients / 2;
    let pairs = Arc::new(Pairs {
        due: (0..count).map(|_| Due::default()).collect(),
        sent: (0..run.clients).map(|_| AtomicUsize::new(0)).collect(),
        is_paced: run.rate.is_some(),
    });
    let shared = Arc::clone(&pairs);
    let live = move |place| live(place, Arc::clone(&shared));
    let fleet = Fleet::launch_with(&run, |client| Lane::of(client / 2, count), live).await?;
    let questions = run.messages();
    let goal = 2 * questions as u64;
    let mut measured = Measured::begin(&run, fleet, server, goal)?;
    let _pacer = match run.rate {
        Some(rate) => {
            let schedule = Schedule::new(0, run.clock.elapsed(), rate);
            let (pairs, noted) = (Arc::clone(&pairs), Arc::clone(&run));
            let announce = move |number| {
                noted.note_published(number, schedule.at(number));
                pairs.due[number % count].add();
            };
            Some(Pacer::start(run.clock, schedule, 0..questions, announce)?)
        }
        None => {
            pairs.due.iter().for_each(Due::add);
            None
        }
    };
    let ending = Ending::of(measured.fleet.arrived(goal).await)?;
    let sent = |client: usize| pairs.sent[client].load(Ordering::SeqCst);
    let due: Vec<_> = (0..run.clients).map(|client| sent(client ^ 1)).collect();
    let published = (0..run.clients).map(sent).sum();
    let mut report = run.report("pairs");
    report.count("pairs", count as u64);
    let mut report = measured.end(report, published, due, ending).await?;
    report.latency("round_trip", &run.latency);
    Ok(report)
}

/// Lives as one of a pair until something fails.
async fn live(place: Place, pairs: Arc<Pairs>) -> Error {
    let lived = async {
        let (member, permit) = place.subscribe().await?;
        let voice = voice(&member).await?;
        let run = Arc::clone(&member.run);
        drop(permit);
        run.parked.add(1);
        let partner = Partner {
            run,
            client: member.number,
            member,
            voice,
            has_spoken: false,
            silence: ticks(),
            pairs,
        };
        if partner.client.is_multiple_of(2) {
            partner.ask().await
        } else {
            partner.answer().await
        }
    };
    match lived.await {
        Err(error) => error,
    }
}

/// When to look whether a voice is silent.
fn ticks() -> Interval {
    // One that spoke right after a tick is looked at with the next but one.
    let period = KEEP / 2;
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// What a client publishes by, if not by the connection that it receives by: a session of its own, as
/// the replies to its publishes would else carry events that are to be received.
async fn voice(member: &Member) -> Result<Option<Session>, Error> {
    let (run, who) = (&member.run, Who::Client(member.number));
    match run.transport {
        Transport::WebSocket => Ok(None),
        _ => Session::open(run, who).await.map(Some),
    }
}

/// A client of a pair.
struct Partner {
    run: Arc<Run>,
    client: usize,
    member: Member,
    voice: Option<Session>,
    /// It has spoken since the last tick.
    has_spoken: bool,
    silence: Interval,
    pairs: Arc<Pairs>,
}

impl Partner {
    /// Asks what is due; unless questions come at a rate, an answer makes the next one due.
    async fn ask(mut self) -> Result<Infallible, Error> {
        let pairs = Arc::clone(&self.pairs);
        let run = Arc::clone(&self.run);
        let count = pairs.due.len();
        let due = &pairs.due[self.client / 2];
        let mut asked = 0;
        loop {
            let ready = due.count().min(run.messages() / count);
            if asked < ready {
                let numbers = (asked..ready).map(|index| self.client / 2 + index * count);
                let numbers: Vec<_> = numbers.collect();
                self.say(&numbers, !pairs.is_paced).await?;
                asked = ready;
            }
            tokio::select! {
                waited = self.member.subscriber.wait() => self.check(waited)?,
                () = due.more() => continue,
                _ = self.silence.tick() => {
                    self.keep_voice().await?;
                    continue;
                }
            }
            let is_new = |_| {
                if !pairs.is_paced {
                    due.add();
                }
            };
            self.member.take_with(Some(&run.latency), is_new).await?;
        }
    }

    /// Answers every question, once.
    async fn answer(mut self) -> Result<Infallible, Error> {
        let mut numbers = Vec::new();
        loop {
            tokio::select! {
                biased;
                waited = self.member.subscriber.wait() => self.check(waited)?,
                _ = self.silence.tick() => {
                    self.keep_voice().await?;
                    continue;
                }
            }
            numbers.clear();
            let is_new = |number| numbers.push(number);
            self.member.take_with(None, is_new).await?;
            if !numbers.is_empty() {
                self.say(&numbers, false).await?;
            }
        }
    }

    /// Publishes messages to the partner's channel, which may be noted as published now.
    async fn say(&mut self, numbers: &[usize], is_noted: bool) -> Result<(), Error> {
        self.pairs.sent[self.client].fetch_add(numbers.len(), Ordering::SeqCst);
        let run = &self.run;
        let channel = run.channel(self.client ^ 1);
        let messages = numbers.iter().map(|&number| (number, channel));
        let note = || {
            for &number in numbers.iter().filter(|_| is_noted) {
                run.note_published(number, run.clock.elapsed());
            }
        };
        match (&mut self.voice, self.member.subscriber.session()) {
            (Some(voice), _) => {
                self.has_spoken = true;
                voice.publish(messages, note).await?;
                voice.acknowledged(&mut vec![numbers.len()]).await
            }
            // The reply comes among what is received.
            (None, Some(session)) => session.publish(messages, note).await,
            (None, None) => unreachable!("an event stream has a voice beside it"),
        }
    }

    /// Keeps the session of the voice, if that has been silent for a while.
    async fn keep_voice(&mut self) -> Result<(), Error> {
        let has_spoken = std::mem::take(&mut self.has_spoken);
        match &mut self.voice {
            Some(voice) if !has_spoken => voice.keep().await,
            _ => Ok(()),
        }
    }

    fn check(&self, waited: Result<(), Fault>) -> Result<(), Error> {
        waited.map_err(failed(Who::Client(self.client), Phase::Parked))
    }
}
