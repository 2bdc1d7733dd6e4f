//! The fan-out scenario: one message at a time to all clients, in lockstep.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Error;
use super::client::{Session, Who};
use super::fleet::{Fleet, Run};
use super::process::{Process, TICK};
use super::progress::Progress;
use super::report::Report;

/// Publishes message after message, each when all clients have the last and are parked again.
pub(super) async fn run(run: Arc<Run>, server: Option<Process>) -> Result<Report, Error> {
    let mut measured = Measured::launch(&run, server).await?;
    let mut published = 0;
    let mut is_complete = true;
    while is_complete && published < run.messages() {
        measured.publisher.publish(published..published + 1).await?;
        measured.publisher.acknowledged(1).await?;
        published += 1;
        let goal = published as u64 * run.clients as u64;
        is_complete = measured.fleet.arrived(goal).await?;
    }
    measured.report("fan-out", published, is_complete).await
}

/// Subscribers, a publisher, and what had been used when the first message was about to go.
pub(super) struct Measured {
    pub(super) fleet: Fleet,
    pub(super) publisher: Session,
    run: Arc<Run>,
    server: Option<Process>,
    setup: Duration,
    start: Instant,
    server_cpu: Option<Duration>,
    own_cpu: Duration,
    _progress: Progress,
}

impl Measured {
    /// Sets up the subscribers of the run's channel, then the publisher.
    pub(super) async fn launch(run: &Arc<Run>, server: Option<Process>) -> Result<Self, Error> {
        let start = Instant::now();
        let fleet = Fleet::launch(run, |_| run.channel.clone()).await?;
        let setup = start.elapsed();
        let publisher = Session::open(run, Who::Publisher).await?;
        let counted = Arc::clone(run);
        let total = run.messages() as u64 * run.clients as u64;
        Ok(Self {
            fleet,
            publisher,
            run: Arc::clone(run),
            server,
            setup,
            server_cpu: server.map(|process| process.cpu()).transpose()?,
            own_cpu: Process::current().cpu()?,
            _progress: Progress::start("deliveries", total, move || counted.arrived.count()),
            start: Instant::now(),
        })
    }

    /// Ends the measurement and tells what it found, `published` messages having been sent.
    pub(super) async fn report(
        mut self,
        scenario: &str,
        published: usize,
        is_complete: bool,
    ) -> Result<Report, Error> {
        // What ends a run early is a whole timeout without deliveries: no part of their rate.
        let waited = if is_complete {
            Duration::ZERO
        } else {
            self.run.timeout
        };
        let elapsed = self.start.elapsed().saturating_sub(waited);
        let server_cpu = self.server.map(|process| process.cpu()).transpose()?;
        let own_cpu = Process::current().cpu()?.saturating_sub(self.own_cpu);
        let flaws = self.fleet.flaws(published).await?;
        let run = &self.run;
        let deliveries = run.arrived.count();

        let mut report = Report::default();
        report.text("scenario", scenario);
        report.text("url", run.url.to_string());
        report.text("transport", run.transport.name());
        report.count("clients", run.clients as u64);
        report.measure(
            "setup_clients_per_s",
            run.clients as f64 / self.setup.as_secs_f64(),
        );
        report.count("payload_bytes", run.payload as u64);
        report.count("messages", published as u64);
        report.count("deliveries", deliveries);
        report.measure("elapsed_s", elapsed.as_secs_f64());
        report.measure(
            "deliveries_per_s",
            deliveries as f64 / elapsed.as_secs_f64(),
        );
        report.microseconds("latency_p50_us", run.latency.percentile(50));
        report.microseconds("latency_p90_us", run.latency.percentile(90));
        report.microseconds("latency_p99_us", run.latency.percentile(99));
        report.microseconds("latency_max_us", run.latency.max());
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / deliveries as f64;
        if let (Some(before), Some(after)) = (self.server_cpu, server_cpu) {
            let used = after.saturating_sub(before);
            report.measure("server_cpu_ms", used.as_secs_f64() * 1e3);
            report.measure("server_cpu_us_per_delivery", each(used));
        }
        report.measure("bench_cpu_us_per_delivery", each(own_cpu));
        report.measure("cpu_resolution_us_per_delivery", each(TICK));
        report.deliveries(flaws);
        if !is_complete {
            let missing = self.fleet.missing(published);
            let text = format!("no delivery for {:?}; {missing}", run.timeout);
            report.text("stopped", text);
        }
        Ok(report)
    }
}
