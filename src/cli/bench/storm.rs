//! The storm scenario: pipelined batches of publishes that do not wait for their deliveries.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::Error;
use super::fleet::Fleet;
use super::measured::Measured;
use super::process::Process;
use super::publisher::{Ahead, Publisher};
use super::report::Report;
use super::run::Run;

/// The options of `storm`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// Messages in one request; at a rate: at most
    #[arg(long, default_value = "10")]
    batch: NonZeroUsize,
    /// Requests sent ahead of their replies, on the publisher's connection
    #[arg(long, default_value = "8")]
    pipeline: NonZeroUsize,
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
    let messages = run.messages();
    let publish = publisher.publish(0..messages, ahead);
    measured.fleet.unless_failed(publish).await??;
    let is_complete = measured.fleet.arrived(run.deliveries()).await?;

    let mut report = run.report("storm");
    report.count("batch", ahead.batch as u64);
    report.count("pipeline", ahead.pipeline as u64);
    let due = measured.fleet.due(messages);
    let mut report = measured.end(report, messages, &due, is_complete).await?;
    report.latency("latency", &run.latency);
    Ok(report)
}
