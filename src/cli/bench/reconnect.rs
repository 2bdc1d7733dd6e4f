//! The reconnect scenario: all clients are cut off, and come back at once.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use humantime_serde::re::humantime;
use tokio::sync::watch;

use super::Error;
use super::deliveries::Lane;
use super::fleet::Fleet;
use super::latency::Latency;
use super::measured::{Ending, Measured};
use super::member::{Member, Place};
use super::process::Process;
use super::publisher::{FREELY, Publisher};
use super::report::Report;
use super::run::Run;
use super::tally::Tally;

/// The options of `reconnect`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// How often all clients are cut off; the messages are shared out among these times
    #[arg(long, value_name = "COUNT", default_value = "3")]
    cuts: NonZeroUsize,
    /// How long the clients stay away; the server must keep their sessions for longer
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = humantime::parse_duration)]
    away: Duration,
}

/// Where all clients are meant to be: with the server if it is even, away if it is odd.
type Stage = usize;

/// What the clients of a run are told, and count.
#[derive(Debug)]
struct Storm {
    stage: watch::Sender<Stage>,
    /// Times that clients have gone, and that they have come back.
    gone: Tally,
    back: Tally,
    /// When they were last told to come back, on the run's clock, and how long each took from then.
    recalled: AtomicU64,
    returns: Latency,
}

/// Cuts all clients off again and again, and reports.
pub(super) async fn run(
    run: Arc<Run>,
    options: &Options,
    server: Option<Process>,
) -> Result<Report, Error> {
    let storm = Arc::new(Storm {
        stage: watch::Sender::new(0),
        gone: Tally::default(),
        back: Tally::default(),
        recalled: AtomicU64::new(0),
        returns: Latency::new(),
    });
    let told = Arc::clone(&storm);
    let live = move |place| live(place, Arc::clone(&told));
    let fleet = Fleet::launch_with(&run, |_| Lane::of(0, 1), live).await?;
    let mut publisher = Publisher::open(&run).await?;
    let mut measured = Measured::begin(&run, fleet, server, run.deliveries())?;
    let mut course = Course::default();
    let is_complete = course
        .take(&run, options, &storm, &mut publisher, &mut measured.fleet)
        .await;
    let ending = Ending::of(is_complete)?;
    let published = run.count_published();
    let mut report = run.report("reconnect");
    report.count("cuts", course.cuts as u64);
    report.measure("away_s", options.away.as_secs_f64());
    report.measure("all_back_ms", course.longest.as_secs_f64() * 1e3);
    let due = measured.fleet.due(published);
    let mut report = measured.end(report, published, due, ending).await?;
    report.latency("return", &storm.returns);
    Ok(report)
}

/// What has come of the cuts.
#[derive(Debug, Default)]
struct Course {
    cuts: usize,
    /// The longest that it took until all were back.
    longest: Duration,
}

impl Course {
    /// Cuts all clients off, and has them come back, again and again; false when messages did not
    /// come for the whole timeout.
    async fn take(
        &mut self,
        run: &Run,
        options: &Options,
        storm: &Storm,
        publisher: &mut Publisher,
        fleet: &mut Fleet,
    ) -> Result<bool, Error> {
        let (cuts, messages) = (options.cuts.get(), run.messages());
        for cut in 0..cuts {
            let (first, end) = (messages * cut / cuts, messages * (cut + 1) / cuts);
            let all = ((cut + 1) * run.clients) as u64;
            storm.stage.send_replace(2 * cut + 1);
            fleet.unless_failed(storm.gone.reach(all)).await?;
            let away = publisher.rest(options.away);
            fleet.unless_failed(away).await??;
            // Half of the messages while all are away, half while they come back.
            let half = first + (end - first).div_ceil(2);
            let publish = publisher.publish(first..half, FREELY);
            fleet.unless_failed(publish).await??;
            let start = run.clock.elapsed();
            storm.recalled.store(start, Ordering::SeqCst);
            storm.stage.send_replace(2 * cut + 2);
            let returned = async {
                storm.back.reach(all).await;
                Duration::from_nanos(run.clock.elapsed() - start)
            };
            let both = async { tokio::join!(returned, publisher.publish(half..end, FREELY)) };
            let (took, publish) = fleet.unless_failed(both).await?;
            publish?;
            self.longest = self.longest.max(took);
            self.cuts += 1;
            if !fleet.arrived((end * run.clients) as u64).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Lives as a subscriber that goes and comes back as it is told, until something fails.
async fn live(place: Place, storm: Arc<Storm>) -> Error {
    let lived = async {
        let mut stage = storm.stage.subscribe();
        let mut member = place.set_up().await?;
        for round in 0.. {
            let is_to_go = stage.wait_for(|&stage| stage > 2 * round);
            tokio::select! {
                stayed = member.stay() => return stayed,
                _ = is_to_go => {}
            }
            member = leave_and_return(member, &storm, &mut stage, 2 * round + 1).await?;
        }
        unreachable!("there is always another round");
    };
    match lived.await {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

async fn leave_and_return(
    member: Member,
    storm: &Storm,
    stage: &mut watch::Receiver<Stage>,
    away: Stage,
) -> Result<Member, Error> {
    let absence = member.cut();
    storm.gone.add(1);
    // The sender lives as long as the storm.
    let _ = stage.wait_for(|&stage| stage > away).await;
    let member = absence.come_back().await?;
    let recalled = storm.recalled.load(Ordering::SeqCst);
    storm.returns.record(member.run.clock.elapsed() - recalled);
    storm.back.add(1);
    Ok(member)
}
