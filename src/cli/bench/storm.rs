//! The storm scenario: pipelined batches of publishes that do not wait for their deliveries.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::Error;
use super::fleet::Fleet;
use super::measured::{Ending, Measured};
use super::process::Process;
use super::publisher::{Ahead, Publisher};
use super::report::Report;
use super::run::Run;

/// The options of `storm`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// Messages in one request; at a rate: at most
    #[arg(long, value_name = "COUNT", default_value = "10")]
    batch: NonZeroUsize,
    /// Requests sent ahead of their replies, on the publisher's connection
    #[arg(long, value_name = "COUNT", default_value = "8")]
    pub(super) pipeline: NonZeroUsize,
}

/// Publishes all messages as fast as the server takes them, or at a rate, then waits for the
/// deliveries.
pub(super) async fn run(
    run: Arc<Run>,
    options: &Options,
    server: Option<Process>,
) -> Result<Report, Error> {
    let ahead = Ahead {
        batch: options.batch.get(),
        pipeline: options.pipeline.get(),
    };
    let fleet = Fleet::launch(&run).await?;
    let mut publisher = Publisher::open(&run).await?;
    let mut measured = Measured::begin(&run, fleet, server, run.deliveries())?;
    let is_complete = async {
        let publish = publisher.publish(0..run.messages(), ahead);
        measured.fleet.unless_failed(publish).await??;
        measured.fleet.arrived(run.deliveries()).await
    };
    let ending = Ending::of(is_complete.await)?;
    let published = run.count_published();

    let mut report = run.report("storm");
    report.count("batch", ahead.batch as u64);
    report.count("pipeline", ahead.pipeline as u64);
    let due = measured.fleet.due(published);
    let mut report = measured.end(report, published, due, ending).await?;
    report.latency("latency", &run.latency);
    Ok(report)
}
