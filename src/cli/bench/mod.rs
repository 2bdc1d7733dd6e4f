//! `mirant bench`: loads a Bayeux server and checks every delivery; uses no server code but the
//! frames of WebSocket.

mod client;
mod clock;
mod deliveries;
mod error;
mod fan_out;
mod fields;
mod fleet;
mod idle;
mod interruption;
mod latency;
mod load;
mod marker;
mod measured;
mod member;
mod pacer;
mod pairs;
mod process;
mod progress;
mod publisher;
mod reconnect;
mod report;
mod run;
mod storm;
mod subscriber;
mod tally;
mod transport;
mod who;

#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Subcommand;

pub use self::client::{Phase, Who};
pub use self::deliveries::Flaws;
pub use self::error::Error;
pub use crate::client::Fault;

use super::{EXIT_FAILURE, EXIT_USAGE, block_on, complain};

use self::interruption::Interruption;
use self::load::Load;
use self::process::Process;
use self::report::Report;
use self::run::{Run, Size};
use self::transport::Transport;

/// The exit code of a run that was interrupted, as shells have it for SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

/// Descriptors kept for the runtime, the publisher and the standard streams.
const SPARE_DESCRIPTORS: u64 = 64;

/// The command line of `mirant bench`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = fields::help())]
pub struct Args {
    /// What to measure; without one: fan-out
    #[command(subcommand)]
    scenario: Option<Scenario>,
    #[command(flatten)]
    load: Load,
}

/// What is measured.
#[derive(Debug, Clone, Subcommand)]
enum Scenario {
    /// Set clients up and let them park: set-up rate, memory a client, processor time at rest
    Idle(idle::Options),
    /// One publisher, one channel, in lockstep: publish, wait until all received and parked, repeat
    FanOut,
    /// One publisher, the clients spread over rooms, each message to those of one room
    Rooms(fan_out::Options),
    /// Every client has a partner: one asks, the other answers, and asks again when it has the answer
    Pairs,
    /// One publisher sending pipelined batches without waiting for the deliveries
    Storm(storm::Options),
    /// All clients are cut off and come back at once, while one publisher goes on
    Reconnect(reconnect::Options),
}

impl Scenario {
    /// The sockets of a client.
    fn sockets(&self, transport: Transport) -> u64 {
        match (self, transport) {
            (Self::Pairs, Transport::WebSocket) => 1,
            (Self::Pairs, _) => 2,
            _ => 1,
        }
    }

    /// How large the run is.
    fn size(&self, load: &Load) -> Size {
        let clients = load.clients.map(NonZeroUsize::get);
        let messages = load.messages();
        let (default, channels) = match self {
            Self::Idle(_) | Self::FanOut | Self::Reconnect(_) => (1000, 1),
            Self::Rooms(options) => (1000, options.rooms.get()),
            Self::Pairs => (1000, 1),
            Self::Storm(_) => (10, 1),
        };
        let mut clients = clients.unwrap_or(default);
        if let Self::Pairs = self {
            clients = (clients / 2).max(1) * 2;
        }
        let (channels, messages) = match self {
            Self::Idle(options) => (options.channels(clients), messages),
            Self::Pairs => (clients, messages.saturating_mul(clients / 2)),
            _ => (channels, messages),
        };
        Size {
            clients,
            channels,
            messages,
        }
    }
}

/// Runs the subcommand.
pub(super) fn main(args: &Args) -> ExitCode {
    let args = args.clone();
    // As a task it is on the threads of the clients: otherwise each lockstep wakes another thread.
    let ended = block_on(async { tokio::spawn(async move { run(&args).await }).await });
    let error = match ended.map_err(Error::Runtime) {
        Ok(Ok(Ok(()))) => return ExitCode::SUCCESS,
        Ok(Ok(Err(error))) | Err(error) => error,
        Ok(Err(panicked)) => Error::Task(panicked),
    };
    complain(&error);
    ExitCode::from(match error {
        Error::Misuse { .. } => EXIT_USAGE,
        Error::Interrupted => EXIT_INTERRUPTED,
        _ => EXIT_FAILURE,
    })
}

/// Runs one scenario, prints its result on standard output.
///
/// # Errors
///
/// When an option makes no sense, when a client fails, when the run is interrupted, when a wait exceeds `--timeout`, and, after printing the result, when a
/// delivery was lost, repeated or out of order.
pub async fn run(args: &Args) -> Result<(), Error> {
    let interruption = Interruption::of_signals()?;
    let report = execute_until(args, interruption).await?;
    report.print(args.load.json).map_err(Error::Print)?;
    match report.flaws {
        Some(flaws) => Err(Error::Flawed(flaws)),
        None if report.is_interrupted => Err(Error::Interrupted),
        None => Ok(()),
    }
}

#[cfg(test)]
async fn execute(args: &Args) -> Result<Report, Error> {
    execute_until(args, Interruption::default()).await
}

async fn execute_until(args: &Args, interruption: Interruption) -> Result<Report, Error> {
    let scenario = args.scenario.as_ref().unwrap_or(&Scenario::FanOut);
    args.load.check(scenario)?;
    let size = scenario.size(&args.load);
    raise_descriptors(size.clients, scenario.sockets(args.load.transport))?;
    let server = args.load.pid.map(Process::new);
    if let Some(server) = &server {
        server.cpu()?;
    }
    let run = Run::new(&args.load, size, interruption).await?;
    match scenario {
        Scenario::Idle(options) => idle::run(run, options, server).await,
        Scenario::FanOut => fan_out::run(run, "fan-out", server).await,
        Scenario::Rooms(_) => fan_out::run(run, "rooms", server).await,
        Scenario::Pairs => pairs::run(run, server).await,
        Scenario::Storm(options) => storm::run(run, options, server).await,
        Scenario::Reconnect(options) => reconnect::run(run, options, server).await,
    }
}

fn raise_descriptors(clients: usize, sockets: u64) -> Result<(), Error> {
    let needed = clients as u64 * sockets + SPARE_DESCRIPTORS;
    let limit = rlimit::increase_nofile_limit(needed).map_err(Error::Limit)?;
    if limit < needed {
        return Err(Error::Descriptors {
            clients,
            needed,
            limit,
            possible: limit.saturating_sub(SPARE_DESCRIPTORS) / sockets,
        });
    }
    Ok(())
}
