//! The storm scenario: pipelined batches of publishes that do not wait for their deliveries.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::Error;
use super::client::Session;
use super::fan_out::Measured;
use super::fleet::Run;
use super::process::Process;
use super::report::Report;

/// The options of `storm`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// Messages in one request
    #[arg(long, default_value = "10")]
    batch: NonZeroUsize,
    /// Requests sent ahead of their replies, on the publisher's connection
    #[arg(long, default_value = "8")]
    pipeline: NonZeroUsize,
}

/// Publishes all messages as fast as the server takes them, then waits for the deliveries.
pub(super) async fn run(
    run: Arc<Run>,
    options: &Options,
    server: Option<Process>,
) -> Result<Report, Error> {
    let mut measured = Measured::launch(&run, server).await?;
    let messages = run.messages();
    let publish = publish_all(&mut measured.publisher, messages, options);
    measured.fleet.unless_failed(publish).await??;
    let goal = messages as u64 * run.clients as u64;
    let is_complete = measured.fleet.arrived(goal).await?;
    measured.report("storm", messages, is_complete).await
}

async fn publish_all(
    publisher: &mut Session,
    messages: usize,
    options: &Options,
) -> Result<(), Error> {
    let batch = options.batch.get();
    let mut acknowledged = 0;
    for first in (0..messages).step_by(batch) {
        if first - acknowledged >= batch.saturating_mul(options.pipeline.get()) {
            publisher.acknowledged(batch).await?;
            acknowledged += batch;
        }
        publisher
            .publish(first..messages.min(first + batch))
            .await?;
    }
    while acknowledged < messages {
        let count = batch.min(messages - acknowledged);
        publisher.acknowledged(count).await?;
        acknowledged += count;
    }
    Ok(())
}
