//! What it costs to keep messages: appends by how many publishers wait, the start after `kill -9`, and what is on
//! disk, beside another embedded store. A program of its own, which prints tables and needs Linux.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use bytesize::ByteSize;
use futures_util::future::BoxFuture;
use hdrhistogram::Histogram;
use mirant::bayeux::{ChannelName, ChannelPattern, Limits};
use mirant::history::{
    Body, Entry, MemoryStore, Policy, Query, Retention, Selection, Settings, SqliteStore, Store,
    Sync, Want,
};
use tokio::sync::{mpsc, oneshot};

#[path = "support/redb_store.rs"]
mod redb_store;

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Channels, in turns.
const CHANNELS: usize = 1000;
/// Bytes of a message.
const MESSAGE: usize = 200;
/// Publishers that wait, each for its message.
const IN_FLIGHT: [usize; 3] = [1, 64, 1024];
/// Messages that are committed together, at most.
const MAX_BATCH: usize = 4096;

/// What messages are kept in.
pub(crate) trait Keeper: Send + std::marker::Sync {
    /// Keeps some, until they are safe.
    fn keep(&self, batch: Vec<Entry>) -> BoxFuture<'_, ()>;
}

/// How long it is measured, and how much is there before a process is killed.
struct Scale {
    time: Duration,
    bytes: u64,
    retained: u64,
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let Some(place) = arguments.iter().position(|argument| argument == "fill") {
        return fill(
            &arguments[place + 1],
            Path::new(&arguments[place + 2]),
            &arguments[place + 3],
        );
    }
    // Once, if this is run as a test.
    let is_test = !arguments.iter().any(|argument| argument == "--bench");
    let scale = if is_test {
        Scale {
            time: Duration::from_millis(50),
            bytes: 2_000_000,
            retained: 1_000_000,
        }
    } else {
        Scale {
            time: Duration::from_secs(8),
            bytes: 1_000_000_000,
            retained: 200_000_000,
        }
    };
    let only = arguments
        .iter()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let runs = |name: &str| only.is_none_or(|only| name.contains(only.as_str()));
    if runs("appends") {
        appends(&scale);
    }
    if runs("start") {
        start(&scale);
    }
    if runs("retention") {
        retention(&scale);
    }
}

/// A directory of its own, below the one for temporary files of the build.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("history-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn size(&self) -> u64 {
        let files = fs::read_dir(&self.0).expect("a directory");
        files
            .map(|file| file.expect("a file").metadata().expect("a size").len())
            .sum()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(directory: &Path, sync: Sync, retention: Retention) -> SqliteStore {
    let settings = Settings {
        sync,
        max_bytes: ByteSize::gib(8),
        ..Settings::default()
    };
    let policy = Policy::new(move |_| retention);
    SqliteStore::open(directory, &settings, policy, Arc::default()).expect("a store")
}

fn all() -> Retention {
    Retention {
        messages: Some(u64::MAX),
        ..Retention::default()
    }
}

impl<T: Store> Keeper for T {
    fn keep(&self, batch: Vec<Entry>) -> BoxFuture<'_, ()> {
        Box::pin(async { drop(self.append(batch).await.expect("kept")) })
    }
}

/// What is published.
struct Source {
    channels: Vec<ChannelName>,
    data: Bytes,
}

impl Source {
    fn new() -> Self {
        let name =
            |number| ChannelName::parse(&format!("/bench/channel/{number}"), &Limits::default());
        let text = "x".repeat(MESSAGE - 2);
        Self {
            channels: (0..CHANNELS)
                .map(|number| name(number).expect("a name"))
                .collect(),
            data: format!("\"{text}\"").into(),
        }
    }

    fn entry(&self, number: usize) -> Entry {
        Entry {
            // As if at random, each as often as any other.
            channel: self.channels[number.wrapping_mul(7919) % CHANNELS].clone(),
            at: SystemTime::now(),
            body: Body {
                data: self.data.clone(),
                ext: None,
                custom: None,
            },
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

/// Has publishers wait, each for its message, while one task commits what has come.
fn load(keeper: &Arc<dyn Keeper>, in_flight: usize, time: Duration) -> (f64, Histogram<u64>) {
    runtime().block_on(async {
        let (send, mut queue) = mpsc::channel::<(Entry, oneshot::Sender<()>)>(in_flight);
        let source = Arc::new(Source::new());
        let started = Instant::now();
        let publishers: Vec<_> = (0..in_flight)
            .map(|first| {
                let (send, source) = (send.clone(), Arc::clone(&source));
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    let mut number = first;
                    while started.elapsed() < time {
                        let began = Instant::now();
                        let (reply, kept) = oneshot::channel();
                        let sent = send.send((source.entry(number), reply)).await;
                        sent.expect("somebody keeps it");
                        kept.await.expect("kept");
                        times.push(began.elapsed());
                        number += in_flight;
                    }
                    times
                })
            })
            .collect();
        drop(send);
        let mut waiting = Vec::new();
        while queue.recv_many(&mut waiting, MAX_BATCH).await > 0 {
            let (batch, replies): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
            keeper.keep(batch).await;
            for reply in replies {
                let _ = reply.send(());
            }
        }
        let taken = started.elapsed();
        let mut histogram = Histogram::new(3).expect("three digits");
        for publisher in publishers {
            for time in publisher.await.expect("a publisher") {
                let micros = u64::try_from(time.as_micros()).expect("not that long");
                histogram.record(micros).expect("any value");
            }
        }
        (histogram.len() as f64 / taken.as_secs_f64(), histogram)
    })
}

fn appends(scale: &Scale) {
    println!(
        "appends | in flight | a second | p50, ms | p99, ms | longest, ms | disk / data | written / data"
    );
    for in_flight in IN_FLIGHT {
        for name in ["memory", "always", "interval", "os", "redb"] {
            let scratch = Scratch::new("appends");
            let keeper = keeper(name, &scratch.0);
            let before = written();
            let (rate, times) = load(&keeper, in_flight, scale.time);
            drop(keeper);
            let data = times.len() * MESSAGE as u64;
            let ms = |value: u64| value as f64 / 1000.0;
            println!(
                "{name} | {in_flight} | {rate:.0} | {:.2} | {:.2} | {:.1} | {:.2} | {:.1}",
                ms(times.value_at_quantile(0.5)),
                ms(times.value_at_quantile(0.99)),
                ms(times.max()),
                scratch.size() as f64 / data as f64,
                (written() - before) as f64 / data as f64,
            );
        }
    }
}

/// Returns how many bytes this process has had written to disk.
fn written() -> u64 {
    let text = fs::read_to_string("/proc/self/io").expect("Linux");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|number| number.parse().ok())
        .expect("a number")
}

fn keeper(name: &str, directory: &Path) -> Arc<dyn Keeper> {
    let policy = || Policy::new(|_| all());
    match name {
        "memory" => Arc::new(MemoryStore::new(
            ByteSize::gib(8),
            100_000,
            policy(),
            Arc::default(),
        )),
        "always" => Arc::new(open(directory, Sync::Always, all())),
        "interval" => Arc::new(open(directory, Sync::Interval, all())),
        "os" => Arc::new(open(directory, Sync::Os, all())),
        _ => Arc::new(redb_store::Redb::open(directory)),
    }
}

/// Appends until so many bytes are there, says so, and waits to be killed.
fn fill(name: &str, directory: &Path, bytes: &str) {
    let bytes: usize = bytes.parse().expect("a number");
    let keeper = keeper(name, directory);
    let source = Source::new();
    runtime().block_on(async {
        for start in (0..bytes / MESSAGE).step_by(1024) {
            let batch = (start..start + 1024).map(|number| source.entry(number));
            keeper.keep(batch.collect()).await;
        }
    });
    println!("done");
    std::thread::park();
}

fn start(scale: &Scale) {
    println!("start after kill -9 | data, MB | files, MB | ready after, ms");
    for name in ["always", "redb"] {
        let scratch = Scratch::new("start");
        let program = std::env::current_exe().expect("a program");
        let mut child = Command::new(program)
            .args(["fill", name])
            .arg(&scratch.0)
            .arg(scale.bytes.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = child.stdout.take().expect("its output");
        let line = BufReader::new(output).lines().next();
        line.expect("a line").expect("text");
        child.kill().expect("killed");
        child.wait().expect("ended");
        let size = scratch.size();
        let started = Instant::now();
        if name == "redb" {
            redb_store::Redb::open(&scratch.0);
        } else {
            let store = open(&scratch.0, Sync::Always, all());
            let page = runtime().block_on(store.read(query("/**", 10)));
            assert_eq!(page.expect("a page").messages.len(), 10);
        }
        let taken = started.elapsed().as_secs_f64() * 1000.0;
        let (data, size) = (scale.bytes / 1_000_000, size / 1_000_000);
        println!("{name} | {data} | {size} | {taken:.0}");
    }
}

fn query(pattern: &str, max_messages: usize) -> Query {
    Query {
        wants: vec![Want {
            pattern: ChannelPattern::parse(pattern, &Limits::default()).expect("a pattern"),
            after: 0,
        }],
        selection: Selection::All,
        position: 0,
        max_messages,
        max_bytes: usize::MAX,
    }
}

/// Appends while the oldest of each channel go, and looks what is left on disk, once it is in order.
fn retention(scale: &Scale) {
    let kept = 100;
    let scratch = Scratch::new("retention");
    let retention = Retention {
        messages: Some(kept),
        ..Retention::default()
    };
    let store = open(&scratch.0, Sync::Always, retention);
    let source = Source::new();
    runtime().block_on(async {
        let started = Instant::now();
        let mut largest = Duration::ZERO;
        let mut count = 0;
        let mut trimmed = Instant::now();
        for start in (0..scale.retained as usize / MESSAGE).step_by(64) {
            let batch = (start..start + 64).map(|number| source.entry(number)).collect();
            let began = Instant::now();
            store.append(batch).await.expect("kept");
            largest = largest.max(began.elapsed());
            count += 64;
            if trimmed.elapsed() > Duration::from_secs(1) {
                store.trim(SystemTime::now()).await.expect("trimmed");
                trimmed = Instant::now();
            }
        }
        let rate = f64::from(count) / started.elapsed().as_secs_f64();
        store.close().await;
        let figures = store.figures();
        println!("retention of {kept} of each | appended, MB | kept, MB | files, MB | a second | longest, ms");
        println!(
            "always, 64 at once | {} | {:.1} | {:.1} | {rate:.0} | {:.1}",
            scale.retained / 1_000_000,
            figures.messages as f64 * MESSAGE as f64 / 1e6,
            scratch.size() as f64 / 1e6,
            largest.as_secs_f64() * 1000.0,
        );
    });
}
