//! `mirant bench`: loads a Bayeux server and checks every delivery; uses no server code but the
//! frames of WebSocket.

mod client;
mod deliveries;
mod fan_out;
mod fault;
mod fields;
mod fleet;
mod idle;
mod latency;
mod measured;
mod member;
mod messages;
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
mod transport;
mod url;

#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use humantime_serde::re::humantime;

pub use self::client::{Phase, Who};
pub use self::deliveries::Flaws;
pub use self::fault::Fault;

use super::{block_on, complain};

use self::pacer::Rate;
use self::process::Process;
use self::report::Report;
use self::run::{Run, Size};
use self::transport::Transport;
use self::url::Url;

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

/// The options every scenario shares.
#[derive(Debug, Clone, clap::Args)]
struct Load {
    /// Where the server listens: http://host:port/path and nothing else
    #[arg(long, global = true, default_value = "http://127.0.0.1:8080/cometd")]
    url: Url,
    /// How the clients speak to the server
    #[arg(long, global = true, value_enum, default_value_t)]
    transport: Transport,
    /// Where event streams are on the host of --url
    #[arg(long, global = true, default_value = "/events", value_parser = url::parse_path)]
    events_path: String,
    /// Simulated clients, a TCP connection each [default: 1000; storm: 10]
    #[arg(long, global = true)]
    clients: Option<NonZeroUsize>,
    /// Messages to publish; pairs: questions of each pair
    #[arg(long, global = true, default_value = "100")]
    messages: NonZeroUsize,
    /// Bytes of each message's `data`, as JSON (never fewer than its sequence number needs)
    #[arg(long, global = true, default_value = "100")]
    payload: usize,
    /// Messages in a second, each at its time whatever became of those before; latencies count from
    /// then [default: the next when all have the last; storm: as fast as the server takes them]
    #[arg(long, global = true)]
    rate: Option<Rate>,
    /// Process of the server, on this host, whose processor time and memory are read from /proc
    #[arg(long, global = true)]
    pid: Option<u32>,
    /// Clients being set up at the same time
    #[arg(long, global = true, default_value = "100")]
    concurrency: NonZeroUsize,
    /// The longest wait for one reply, or for the next delivery
    #[arg(long, global = true, default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Print the result as one JSON object; its fields are listed below
    #[arg(long, global = true)]
    json: bool,
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
        let messages = load.messages.get();
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

/// Why a run did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host part of `--url` has no address.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The host and port that were looked up.
        host: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// More clients were asked for than this process may open sockets.
    #[error(
        "--clients {clients} needs {needed} file descriptors and this process may open {limit}: \
         raise the hard limit (ulimit -Hn) or ask for at most {} clients",
        possible
    )]
    Descriptors {
        /// The value of `--clients`.
        clients: usize,
        /// The descriptors that takes.
        needed: u64,
        /// The descriptors there are.
        limit: u64,
        /// The clients that there are enough for.
        possible: u64,
    },
    /// The limit of open files could not be read or set.
    #[error("cannot raise the limit of open files")]
    Limit(#[source] std::io::Error),
    /// A file below /proc could not be read or understood.
    #[error("cannot read {path} (is --pid the server's, and on this host?)")]
    Process {
        /// The file.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// One client could not go on.
    #[error("{who} failed while {phase}")]
    Client {
        /// Which client.
        who: Who,
        /// What it was doing.
        phase: Phase,
        /// What the server answered, or that it did not.
        source: Fault,
    },
    /// A client's task panicked.
    #[error("a simulated client panicked")]
    Task(#[from] tokio::task::JoinError),
    /// The run ended and its deliveries were not exactly once and in order.
    #[error("deliveries are not exactly once and in order: {0}")]
    Flawed(Flaws),
    /// The operating system gives no threads.
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
    /// The result could not be printed.
    #[error("cannot print the result")]
    Print(#[source] std::io::Error),
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
    ExitCode::FAILURE
}

/// Runs one scenario, prints its result on standard output.
///
/// # Errors
///
/// When a client fails, when a wait exceeds `--timeout`, and, after printing the result, when a
/// delivery was lost, repeated or out of order.
pub async fn run(args: &Args) -> Result<(), Error> {
    let report = execute(args).await?;
    report.print(args.load.json).map_err(Error::Print)?;
    match report.flaws {
        Some(flaws) => Err(Error::Flawed(flaws)),
        None => Ok(()),
    }
}

async fn execute(args: &Args) -> Result<Report, Error> {
    let scenario = args.scenario.as_ref().unwrap_or(&Scenario::FanOut);
    let size = scenario.size(&args.load);
    raise_descriptors(size.clients, scenario.sockets(args.load.transport))?;
    let server = args.load.pid.map(Process::new);
    if let Some(server) = &server {
        server.cpu()?;
    }
    let run = Run::new(&args.load, size).await?;
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
