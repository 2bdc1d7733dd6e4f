//! Loads nchan as `mirant bench` loads a Bayeux server: fan-out, rooms and idle.
//!
//! It reports the same figures under the same names, and checks that each message comes once.

mod durations;
mod fleet;
mod http;
mod nchan;
mod options;
mod pacer;
mod process;
mod publisher;
mod report;
mod subscriber;

use std::error::Error;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::Fleet;
use crate::options::{Options, Scenario};
use crate::process::Process;
use crate::report::Report;

/// Time for the server to read the last requests before its memory is looked at.
const SETTLE: Duration = Duration::from_millis(250);

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_arguments(std::env::args().skip(1))?;
    let report = match options.scenario {
        Scenario::FanOut => deliver(&options, "fan-out")?,
        Scenario::Rooms => deliver(&options, "rooms")?,
        Scenario::Idle => idle(&options)?,
    };
    println!("{}", report.json());
    if report.is_flawed {
        return Err("deliveries are not exactly once".into());
    }
    Ok(())
}

/// Publishes message after message, each when its subscribers have the last and wait again; or, at a
/// rate, when it is due.
fn deliver(options: &Options, scenario: &str) -> io::Result<Report> {
    let mut fleet = Fleet::launch(options)?;
    let server = Process::of(options.pid);
    let (server_cpu, own_cpu) = (server.cpu()?, Process::own().cpu()?);
    let start = Instant::now();
    match options.rate {
        Some(rate) => fleet.publish_at(rate, options.messages)?,
        None => (0..options.messages).try_for_each(|number| fleet.publish_and_wait(number))?,
    }
    let elapsed = start.elapsed().as_secs_f64();
    let used = server.cpu()?.saturating_sub(server_cpu);
    let own = Process::own().cpu()?.saturating_sub(own_cpu);

    let deliveries = fleet.deliveries() as f64;
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / deliveries;
    let mut report = Report::new(scenario, options);
    report.add("channels", options.rooms as f64);
    report.add("messages", options.messages as f64);
    report.add("deliveries", deliveries);
    report.add("elapsed_s", elapsed);
    report.add("deliveries_per_s", deliveries / elapsed);
    for (name, percent) in [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)] {
        let latency = fleet.latencies.percentile(percent);
        report.add(&format!("latency_{name}_us"), latency);
    }
    if let Some(rate) = options.rate {
        report.add("rate_per_s", rate);
        report.add("sent_late_p99_us", fleet.lateness.percentile(99));
    }
    report.add("server_cpu_ms", used.as_secs_f64() * 1e3);
    report.add("server_cpu_us_per_delivery", each(used));
    report.add("bench_cpu_us_per_delivery", each(own));
    report.flaws(fleet.flaws()?);
    Ok(report)
}

/// Sets the subscribers up, watches them for a while and reports.
fn idle(options: &Options) -> io::Result<Report> {
    let server = Process::of(options.pid);
    let before = server.resident()?;
    let start = Instant::now();
    let _fleet = Fleet::launch(options)?;
    let setup = start.elapsed().as_secs_f64();
    thread::sleep(SETTLE);
    let (parked, cpu) = (server.resident()?, server.cpu()?);
    thread::sleep(options.idle);
    let used = server.cpu()?.saturating_sub(cpu);

    let mut report = Report::new("idle", options);
    report.add("setup_s", setup);
    report.add("server_resident_before_bytes", before as f64);
    report.add("server_resident_parked_bytes", parked as f64);
    let grown = parked as f64 - before as f64;
    report.add(
        "server_resident_bytes_per_client",
        grown / options.clients as f64,
    );
    report.add("server_idle_cpu_ms", used.as_secs_f64() * 1e3);
    report.add("idle_s", options.idle.as_secs_f64());
    Ok(report)
}
