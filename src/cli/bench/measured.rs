//! The part of a run in which messages are delivered, and what it takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Error;
use super::fleet::Fleet;
use super::process::{Process, TICK};
use super::progress::Progress;
use super::report::Report;
use super::run::Run;

/// How the messages of a run came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// All have come.
    Complete,
    /// None came for the whole timeout.
    Silence,
    /// Someone ended the run.
    Interrupted,
}

impl Ending {
    /// The ending of a run whose messages all came, or did not, unless a client failed.
    pub(super) fn of(is_complete: Result<bool, Error>) -> Result<Self, Error> {
        match is_complete {
            Ok(true) => Ok(Self::Complete),
            Ok(false) => Ok(Self::Silence),
            Err(Error::Interrupted) => Ok(Self::Interrupted),
            Err(error) => Err(error),
        }
    }
}

/// Clients, and what had been used when the first message was about to go.
pub(super) struct Measured {
    pub(super) fleet: Fleet,
    run: Arc<Run>,
    server: Option<Process>,
    start: Instant,
    server_cpu: Option<Duration>,
    own_cpu: Duration,
    _progress: Progress,
}

impl Measured {
    /// Begins to measure, `deliveries` being expected.
    pub(super) fn begin(
        run: &Arc<Run>,
        fleet: Fleet,
        server: Option<Process>,
        deliveries: u64,
    ) -> Result<Self, Error> {
        let counted = Arc::clone(run);
        Ok(Self {
            fleet,
            run: Arc::clone(run),
            server,
            server_cpu: server.map(|process| process.cpu()).transpose()?,
            own_cpu: Process::current().cpu()?,
            _progress: Progress::start(run.told, "deliveries", deliveries, move || {
                counted.arrived.count()
            }),
            start: Instant::now(),
        })
    }

    /// Ends the measurement, and adds to the report what it found; of the `published` messages so
    /// many were `due` to each client.
    pub(super) async fn end(
        mut self,
        mut report: Report,
        published: usize,
        due: Vec<usize>,
        ending: Ending,
    ) -> Result<Report, Error> {
        // What ends a run early is a whole timeout without deliveries: no part of their rate.
        let waited = match ending {
            Ending::Silence => self.run.timeout,
            Ending::Complete | Ending::Interrupted => Duration::ZERO,
        };
        let elapsed = self.start.elapsed().saturating_sub(waited);
        let server_cpu = self.server.map(|process| process.cpu()).transpose()?;
        let own_cpu = Process::current().cpu()?.saturating_sub(self.own_cpu);
        let due = match ending {
            // What has not come yet is not lost.
            Ending::Interrupted => self.fleet.reached(),
            Ending::Complete | Ending::Silence => due,
        };
        let flaws = self.fleet.flaws(&due).await?;
        let run = &self.run;
        let deliveries = run.arrived.count() as f64;
        let seconds = elapsed.as_secs_f64();

        report.count("payload_bytes", run.payload as u64);
        report.count("messages_planned", run.messages() as u64);
        if let Some(rate) = run.rate {
            report.measure("rate_per_s", rate.per_second());
        }
        let setup = self.fleet.setup.as_secs_f64();
        report.measure("handshakes_per_s", run.clients as f64 / setup);
        report.count("messages", published as u64);
        report.count("deliveries", run.arrived.count());
        report.measure("elapsed_s", seconds);
        report.measure("messages_per_s", published as f64 / seconds);
        report.measure("deliveries_per_s", deliveries / seconds);
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / deliveries;
        if let (Some(before), Some(after)) = (self.server_cpu, server_cpu) {
            let used = after.saturating_sub(before);
            report.measure("server_cpu_ms", used.as_secs_f64() * 1e3);
            report.measure("server_cpu_us_per_delivery", each(used));
        }
        report.measure("bench_cpu_us_per_delivery", each(own_cpu));
        report.measure("cpu_resolution_us_per_delivery", each(TICK));
        if !run.lateness.is_empty() {
            report.microseconds("sent_late_p99_us", run.lateness.quantile(0.99));
            report.microseconds("sent_late_max_us", run.lateness.max());
        }
        report.deliveries(flaws);
        match ending {
            Ending::Complete => {}
            Ending::Silence => {
                let missing = self.fleet.missing(&due);
                let text = format!("no delivery for {:?}; {missing}", run.timeout);
                report.text("stopped", text);
            }
            Ending::Interrupted => {
                report.text("stopped", "interrupted");
                report.is_interrupted = true;
            }
        }
        Ok(report)
    }
}
