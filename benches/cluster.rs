//! What a publish through Redis costs: how many there are in a second, one after the other and many in flight, and the
//! processor time of Redis for each; beside a bare PUBLISH in the same run. A program of its own, which prints a table,
//! starts `redis-server`, and needs Linux.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mirant::bayeux::{ChannelName, ChannelPattern, Limits};
use mirant::cluster::{Backplane, Feed, Interest, Outgoing, Redis, Settings};
use mirant::history::{self, Body, Entry, Policy, Retention};

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Channels, in turns: three segments each, so five forms.
const CHANNELS: usize = 1000;
/// Bytes of `data`.
const MESSAGE: usize = 200;
/// Messages that are sent together.
const IN_FLIGHT: [usize; 3] = [1, 64, 512];
/// How many messages are kept of each channel that has history.
const KEPT: u64 = 20;

/// A Redis of its own.
struct Server {
    directory: PathBuf,
    process: Child,
}

impl Server {
    fn start() -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-cluster");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory");
        let mut process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(directory.join("socket"))
            .arg("--dir")
            .arg(&directory)
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is installed");
        let mut lines = BufReader::new(process.stdout.take().expect("it writes")).lines();
        let is_ready = lines.any(|line| line.is_ok_and(|line| line.contains("ready to accept")));
        assert!(is_ready, "redis-server does not start");
        std::thread::spawn(move || lines.for_each(drop));
        Self { directory, process }
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.directory.join("socket").display())
    }

    /// Returns its processor time.
    fn processor(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()));
        let stat = stat.expect("it is there");
        let fields = stat.rsplit_once(')').expect("a name").1;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks
            .map(|field| field.parse::<u64>().expect("ticks"))
            .sum();
        Duration::from_millis(10 * ticks)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn channel(root: &str, number: usize) -> ChannelName {
    let text = format!("/{root}/{}/x", number % CHANNELS);
    ChannelName::parse(&text, &Limits::default()).expect("a channel")
}

fn outgoing(root: &str, number: usize) -> Outgoing {
    Outgoing {
        entry: Entry {
            channel: channel(root, number),
            at: SystemTime::UNIX_EPOCH,
            body: Body {
                data: format!("\"{}\"", "x".repeat(MESSAGE - 2)).into(),
                ext: None,
                custom: None,
            },
        },
        publisher: None,
        expected: None,
        once: None,
    }
}

/// Makes batches for some time, and prints what each message has cost.
async fn measure(
    name: &str,
    server: &Server,
    time: Duration,
    in_flight: usize,
    mut batch: impl AsyncFnMut(usize),
) {
    let (start, before) = (Instant::now(), server.processor());
    let mut count = 0;
    while start.elapsed() < time {
        batch(count).await;
        count += in_flight;
    }
    let (taken, used) = (start.elapsed(), server.processor() - before);
    let (rate, cost) = (
        count as f64 / taken.as_secs_f64(),
        used.as_secs_f64() * 1e6 / count as f64,
    );
    println!("{name:<32} {in_flight:>5} in flight  {rate:>9.0}/s  Redis {cost:>6.1} us each");
}

async fn floor(server: &Server, time: Duration, forms: usize) {
    let client = redis::Client::open(server.url()).expect("a URL");
    let connecting = client.get_multiplexed_async_connection();
    let mut connection = connecting.await.expect("it is there");
    let data = "x".repeat(MESSAGE + 60);
    for in_flight in IN_FLIGHT {
        let name = format!("bare PUBLISH, {forms} a message");
        measure(&name, server, time, in_flight, async |first| {
            let mut pipeline = redis::pipe();
            for number in first..first + in_flight {
                for form in 0..forms {
                    let channel = format!("c:/bare/{}/{form}", number % CHANNELS);
                    pipeline.cmd("PUBLISH").arg(channel).arg(&data).ignore();
                }
            }
            let published = pipeline.exec_async(&mut connection).await;
            published.expect("published");
        })
        .await;
    }
}

async fn node(server: &Server, patterns: &[&str]) -> Arc<Redis> {
    let interest = Arc::<Interest>::default();
    for text in patterns {
        interest.add(&ChannelPattern::parse(text, &Limits::default()).expect("a pattern"));
    }
    let settings = Settings {
        redis: Some(server.url()),
        ..Settings::default()
    };
    let policy = Policy::new(|channel| Retention {
        messages: channel.as_str().starts_with("/kept").then_some(KEPT),
        ..Retention::default()
    });
    let history = history::Settings::default();
    let redis =
        Redis::new(&settings, &history, None, policy, interest, &Arc::default()).expect("a URL");
    redis.start().await.expect("it is there");
    assert!(matches!(redis.next().await, Feed::Up(_)));
    redis
}

async fn run(time: Duration) {
    let server = Server::start();
    for forms in [1, 5] {
        floor(&server, time, forms).await;
    }
    let redis = node(&server, &[]).await;
    for (name, root) in [("without history", "live"), ("with history", "kept")] {
        for in_flight in IN_FLIGHT {
            measure(name, &server, time, in_flight, async |first| {
                let batch = first..first + in_flight;
                let batch = batch.map(|number| outgoing(root, number)).collect();
                let places = redis.publish(batch).await.expect("published");
                assert_eq!(places.len(), in_flight);
            })
            .await;
        }
    }
    // Nodes that are interested get each, the others cost nothing.
    for count in [1, 3] {
        let mut nodes = Vec::new();
        for _ in 0..count {
            let node = node(&server, &["/live/**"]).await;
            nodes.push(tokio::spawn(async move {
                loop {
                    node.next().await;
                }
            }));
        }
        let name = format!("without history, {count} interested");
        measure(&name, &server, time, 64, async |first| {
            let batch = (first..first + 64).map(|number| outgoing("live", number));
            redis.publish(batch.collect()).await.expect("published");
        })
        .await;
        for node in nodes {
            node.abort();
        }
    }
}

fn main() {
    // Once, if this is run as a test.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let time = Duration::from_millis(if is_test { 50 } else { 3000 });
    let runtime = tokio::runtime::Runtime::new().expect("the system has threads");
    runtime.block_on(run(time));
}
