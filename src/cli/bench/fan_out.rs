//! The fan-out and rooms scenarios: to all clients, or to those of a room, in lockstep or at a rate.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::Error;
use super::fleet::Fleet;
use super::measured::{Ending, Measured};
use super::process::Process;
use super::publisher::{Ahead, FREELY, Publisher};
use super::report::Report;
use super::run::Run;

/// The options of `rooms`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// Channels that the clients are spread over; messages go to one after the other
    #[arg(long, value_name = "COUNT", default_value = "100")]
    pub(super) rooms: NonZeroUsize,
}

/// One message in a request, and the next when it has a reply.
const SINGLY: Ahead = Ahead {
    batch: 1,
    pipeline: 1,
};

/// Publishes message after message, each when its clients have the last and are parked again; or, at
/// a rate, when it is due.
pub(super) async fn run(
    run: Arc<Run>,
    scenario: &str,
    server: Option<Process>,
) -> Result<Report, Error> {
    let fleet = Fleet::launch(&run).await?;
    let mut publisher = Publisher::open(&run).await?;
    let mut measured = Measured::begin(&run, fleet, server, run.deliveries())?;
    let is_complete = publish(&run, &mut publisher, &mut measured.fleet).await;
    let ending = Ending::of(is_complete)?;
    let published = run.count_published();
    let mut report = run.report(scenario);
    report.count("channels", run.channels.len() as u64);
    let due = measured.fleet.due(published);
    let mut report = measured.end(report, published, due, ending).await?;
    report.latency("latency", &run.latency);
    Ok(report)
}

/// Publishes all messages; false when one did not come for the whole timeout.
async fn publish(run: &Run, publisher: &mut Publisher, fleet: &mut Fleet) -> Result<bool, Error> {
    if run.rate.is_some() {
        let publish = publisher.publish(0..run.messages(), FREELY);
        fleet.unless_failed(publish).await??;
        return fleet.arrived(run.deliveries()).await;
    }
    let mut goal = 0;
    for number in 0..run.messages() {
        let publish = publisher.publish(number..number + 1, SINGLY);
        fleet.unless_failed(publish).await??;
        goal += run.audience(number);
        if !fleet.arrived(goal).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
