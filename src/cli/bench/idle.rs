//! The idle scenario: what a client costs the server to set up and to keep parked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use humantime_serde::re::humantime;

use super::Error;
use super::fleet::Fleet;
use super::measured::Ending;
use super::process::Process;
use super::report::Report;
use super::run::Run;

/// Time for the server to read the last connects before its memory is looked at.
const SETTLE: Duration = Duration::from_millis(250);

/// The options of `idle`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// Give each client a channel of its own instead of one for all
    #[arg(long)]
    own_channels: bool,
    /// How long the parked clients are watched
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    idle: Duration,
}

impl Options {
    /// How many channels so many clients have.
    pub(super) fn channels(&self, clients: usize) -> usize {
        if self.own_channels { clients } else { 1 }
    }
}

/// Memory and processor time at one moment.
struct Reading {
    resident: u64,
    cpu: Duration,
}

impl Reading {
    fn of(process: Option<Process>) -> Result<Option<Self>, Error> {
        let read = |process: Process| {
            Ok(Self {
                resident: process.resident()?,
                cpu: process.cpu()?,
            })
        };
        process.map(read).transpose()
    }
}

/// Sets the clients up, watches them for a while and reports.
pub(super) async fn run(
    run: Arc<Run>,
    options: &Options,
    server: Option<Process>,
) -> Result<Report, Error> {
    let before = Reading::of(server)?;
    let own = Process::current();
    let own_before = own.cpu()?;
    let mut fleet = Fleet::launch(&run).await?;
    let own_setup = own.cpu()?.saturating_sub(own_before);
    fleet.unless_failed(tokio::time::sleep(SETTLE)).await?;
    let parked = Reading::of(server)?;
    let reconnects = run.reconnects.count();
    let begin = Instant::now();
    let watched = fleet.unless_failed(tokio::time::sleep(options.idle)).await;
    let ending = Ending::of(watched.map(|()| true))?;
    let idle = begin.elapsed().min(options.idle);
    let after = Reading::of(server)?;

    let clients = run.clients as f64;
    let setup = fleet.setup.as_secs_f64();
    let mut report = run.report("idle");
    report.count("channels", run.channels.len() as u64);
    report.measure("setup_s", setup);
    report.measure("handshakes_per_s", clients / setup);
    if let (Some(before), Some(parked), Some(after)) = (before, parked, after) {
        let cpu = parked.cpu.saturating_sub(before.cpu);
        report.microseconds("server_setup_cpu_us_per_client", cpu.div_f64(clients));
        report.count("server_resident_before_bytes", before.resident);
        report.count("server_resident_parked_bytes", parked.resident);
        let grown = parked.resident as f64 - before.resident as f64;
        report.measure("server_resident_bytes_per_client", grown / clients);
        let cpu = after.cpu.saturating_sub(parked.cpu);
        report.measure("server_idle_cpu_ms", cpu.as_secs_f64() * 1e3);
        let percent = 100.0 * cpu.as_secs_f64() / idle.as_secs_f64();
        report.measure("server_idle_cpu_percent", percent);
    }
    report.microseconds("bench_setup_cpu_us_per_client", own_setup.div_f64(clients));
    report.measure("idle_s", idle.as_secs_f64());
    report.count("idle_reconnects", run.reconnects.count() - reconnects);
    if ending == Ending::Interrupted {
        report.text("stopped", "interrupted");
        report.is_interrupted = true;
    }
    Ok(report)
}
