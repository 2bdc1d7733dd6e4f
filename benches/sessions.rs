//! Sessions that are idle: the memory of each, and the processor time of all.
//!
//! Every one has shaken hands, has subscribed to a channel, and has a connect that is held. Each number
//! of them is measured in a process of its own, so that none has memory of another. No sockets: those
//! and their tasks are what `mirant bench idle` measures.

use std::env;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use mirant::server::BayeuxServer;
use mirant::session::Settings;
use tokio::runtime::{Builder, Runtime};

mod support {
    pub(crate) mod clients;
    pub(crate) mod kernel;
}

use support::clients::{server, wait};
use support::kernel;

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const COUNTS: [usize; 6] = [10, 100, 1000, 10_000, 100_000, 1_000_000];

/// Sessions that are subscribed to the same channel.
const ROOM: usize = 10;

/// So long after its handshake the first timer of a session fires, and finds its connect held.
const FIRST_TIMER: Duration = Duration::from_secs(2);

const IDLE: Duration = Duration::from_secs(5);

/// What names the number of sessions to a process that measures them.
const CHILD: &str = "--sessions";

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let count = arguments.iter().position(|argument| argument == CHILD);
    if let Some(count) = count.and_then(|at| arguments.get(at + 1)) {
        measure(count.parse().expect("a number of sessions"));
        return;
    }
    println!(
        "{:>9} {:>10} {:>10} {:>12} {:>12} {:>12}",
        "sessions", "memory", "bytes each", "µs to begin", "µs a timer", "idle"
    );
    // As a test it only has to run.
    let is_measured = arguments.iter().any(|argument| argument == "--bench");
    let counts = if is_measured { &COUNTS } else { &COUNTS[..1] };
    for count in counts {
        let program = env::current_exe().expect("this program has a path");
        let mut child = Command::new(program);
        let ended = child.args([CHILD, &count.to_string()]).status();
        assert!(ended.expect("this program starts").success());
    }
}

/// Prints what so many sessions take.
fn measure(count: usize) {
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime without sockets");
    let server = server(Settings {
        timeout: Duration::from_secs(600),
        max_interval: FIRST_TIMER,
        ..Settings::default()
    });
    // What the first session takes for all of them is not counted.
    drop(wait(&server, "/first", Instant::now()));
    idle(&runtime, &server, FIRST_TIMER * 2);

    let mut connects = Vec::with_capacity(count);
    let memory = resident();
    let beginning = kernel::processor_of_thread();
    for number in 0..count {
        let channel = format!("/rooms/{}", number / ROOM);
        let (_, held) = wait(&server, &channel, Instant::now());
        connects.push(held);
    }
    let beginning = kernel::processor_of_thread() - beginning;
    let timers = idle(&runtime, &server, FIRST_TIMER * 2);
    let idle = idle(&runtime, &server, IDLE);
    let memory = resident().saturating_sub(memory);

    assert_eq!(
        usize::try_from(server.metrics().held_connects.value()),
        Ok(count)
    );
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    println!(
        "{count:>9} {:>6} KiB {:>10} {:>12.2} {:>12.2} {:>8.2} ms",
        memory / 1024,
        memory / count,
        micros(beginning),
        micros(timers),
        idle.as_secs_f64() * 1e3
    );
}

/// Lets the timers run for a while; returns the processor time.
fn idle(runtime: &Runtime, server: &BayeuxServer, time: Duration) -> Duration {
    let before = kernel::processor_of_thread();
    runtime.block_on(async {
        let swept = tokio::time::timeout(time, server.sweep()).await;
        swept.expect_err("timers are fired for ever");
    });
    kernel::processor_of_thread() - before
}

/// Returns the bytes of memory that this process occupies.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has a /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    let kibibytes = kibibytes.and_then(|number| number.parse::<usize>().ok());
    kibibytes.expect("the kernel says how much memory is resident") * 1024
}
