//! What history costs a server, over sockets: a publish that is kept, in memory and on disk; a million messages read
//! again by one client; nine thousand clients that come back at once. A program of its own, which prints tables and
//! needs Linux.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use mirant::config::{Config, Sources};
use mirant::server::BayeuxServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What is published: 200 bytes.
const DATA: &str = r#"{"symbol":"MIRA","price":42.125,"change":-0.0313,"volume":123456,"filler":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#;
const MODES: [(&str, &[&str]); 5] = [
    ("off", &[]),
    ("memory", &[KEPT]),
    ("os", &[KEPT, "history.sync=os", DIRECTORY]),
    ("interval", &[KEPT, "history.sync=interval", DIRECTORY]),
    ("always", &[KEPT, "history.sync=always", DIRECTORY]),
];
const KEPT: &str = "channel=[{ pattern = '/kept/**', history = { messages = 2000000 } }]";
/// Replaced by a directory of its own for each server.
const DIRECTORY: &str = "history.directory=DIRECTORY";

fn main() {
    // Once, if this is run as a test.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (seconds, million, clients) = if is_test {
        (0.2, 2_000, 20)
    } else {
        // Each has two file descriptors here, of 20,000 that a process may mostly have.
        (5.0, 1_000_000, 9_000)
    };
    let runtime = Runtime::new().expect("a runtime");
    println!("publish, messages a second | 1 client | 64 clients | 64 clients, 100 a request");
    for (name, set) in MODES {
        let figures = [(1, 1), (64, 1), (64, 100)].map(|(publishers, batch)| {
            let server = Server::start(set);
            runtime.block_on(publish_rate(&server, publishers, batch, seconds))
        });
        println!(
            "{name} | {:.0} | {:.0} | {:.0}",
            figures[0], figures[1], figures[2]
        );
    }
    println!("a replay | messages | seconds | messages a second | memory it took at most, MB");
    for (name, set) in [MODES[1], MODES[4]] {
        let server = Server::start(set);
        let (took, memory) = runtime.block_on(replay_all(&server, million));
        let rate = million as f64 / took.as_secs_f64();
        println!(
            "{name} | {million} | {:.1} | {rate:.0} | {:.1}",
            took.as_secs_f64(),
            memory as f64 / 1e6
        );
    }
    println!("clients that come back at once, 100 messages each | seconds | memory a client, KB");
    for (name, set) in [MODES[1], MODES[4]] {
        let server = Server::start(set);
        let (took, memory) = runtime.block_on(come_back(&server, clients));
        println!(
            "{name}, {clients} | {:.1} | {:.1}",
            took.as_secs_f64(),
            memory as f64 / 1e3 / clients as f64
        );
    }
}

/// A server of this process, with threads of its own.
struct Server {
    address: SocketAddr,
    server: Arc<BayeuxServer>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    directory: std::path::PathBuf,
}

impl Server {
    fn start(set: &[&str]) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = format!("mirant-bench-{}-{number}", std::process::id());
        // Beside what is built, which is on a disk; the usual place may be memory.
        let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let set = set
            .iter()
            .map(|one| one.replace("DIRECTORY", &directory.display().to_string()));
        let always = [
            "http.listen=127.0.0.1:0",
            "http.max_connections=20000",
            "bayeux.publish_without_session=true",
            "bayeux.max_interval=10m",
            "bayeux.max_message_size=1MiB",
            "history.max_bytes=4GiB",
            "history.max_replay_messages=2000000",
        ];
        let sources = Sources {
            set: always.map(str::to_owned).into_iter().chain(set).collect(),
            ..Sources::default()
        };
        let config: Config = Config::load(&sources, []).expect("a configuration").config;
        let (send, started) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let bound = mirant::run::bind(config, false).expect("a server");
                let address = bound.addresses()[0].ip().expect("an address");
                let server = Arc::clone(bound.server());
                send.send((address, server)).expect("somebody waits");
                bound.run(async { drop(stopped.await) }).await;
            });
        });
        let (address, server) = started.recv().expect("a server");
        Self {
            address,
            server,
            stop: Some(stop),
            thread: Some(thread),
            directory,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A connection for requests, one after the other.
struct Http {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Http {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Posts messages; returns the body of the response.
    async fn post(&mut self, body: &str) -> String {
        let request = format!(
            "POST /cometd HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream
            .write_all(request.as_bytes())
            .await
            .expect("a server");
        loop {
            if let Some(body) = self.response() {
                return body;
            }
            let read = self
                .stream
                .read_buf(&mut self.buffer)
                .await
                .expect("a server");
            assert!(read > 0, "the connection ended");
        }
    }

    fn response(&mut self) -> Option<String> {
        let head = self
            .buffer
            .windows(4)
            .position(|part| part == b"\r\n\r\n")?
            + 4;
        let text = std::str::from_utf8(&self.buffer[..head]).expect("text");
        let (_, rest) = text.split_once("Content-Length: ").expect("a length");
        let length: usize = rest.split('\r').next()?.parse().ok()?;
        let end = head + length;
        (self.buffer.len() >= end).then(|| {
            let body = String::from_utf8_lossy(&self.buffer[head..end]).into_owned();
            self.buffer.drain(..end);
            body
        })
    }
}

/// A client that polls.
struct Client {
    http: Http,
    id: String,
}

impl Client {
    async fn new(address: SocketAddr) -> Self {
        let mut http = Http::open(address).await;
        let reply = http
            .post(r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#)
            .await;
        let (_, rest) = reply.split_once("\"clientId\":\"").expect("a handshake");
        let id = rest.split('"').next().expect("an id").to_owned();
        let mut client = Self { http, id };
        client.connect().await;
        client
    }

    async fn connect(&mut self) -> String {
        let id = &self.id;
        let connect = format!(
            r#"[{{"channel":"/meta/connect","clientId":"{id}","connectionType":"long-polling"}}]"#
        );
        self.http.post(&connect).await
    }

    /// Subscribes to all that is kept, and polls until so many messages have come.
    async fn read(&mut self, messages: usize) {
        let id = &self.id;
        let subscribe = format!(
            r#"[{{"channel":"/meta/subscribe","clientId":"{id}","subscription":"/kept/**","ext":{{"replay":-2}}}}]"#
        );
        let mut came = self
            .http
            .post(&subscribe)
            .await
            .matches("\"symbol\"")
            .count();
        while came < messages {
            came += self.connect().await.matches("\"symbol\"").count();
        }
        assert_eq!(came, messages);
    }
}

fn batch(messages: usize) -> String {
    let message = format!(r#"{{"channel":"/kept/a","data":{DATA}}}"#);
    format!("[{}]", vec![message; messages].join(","))
}

async fn publish_rate(server: &Server, publishers: usize, size: usize, seconds: f64) -> f64 {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for _ in 0..publishers {
        let (is_over, body, address) = (Arc::clone(&is_over), batch(size), server.address);
        tasks.spawn(async move {
            let mut http = Http::open(address).await;
            let mut published = 0;
            while !is_over.load(Relaxed) {
                let reply = http.post(&body).await;
                assert!(!reply.contains("\"error\""), "{reply}");
                published += size;
            }
            published
        });
    }
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    is_over.store(true, Relaxed);
    let published: usize = tasks.join_all().await.into_iter().sum();
    published as f64 / began.elapsed().as_secs_f64()
}

async fn fill(server: &Server, messages: usize) {
    let mut http = Http::open(server.address).await;
    let mut left = messages;
    while left > 0 {
        let size = left.min(1000);
        let reply = http.post(&batch(size)).await;
        assert!(!reply.contains("\"error\""), "{reply}");
        left -= size;
    }
}

/// Returns how much more memory was allocated at most while something went on.
async fn most_memory<T>(server: &Server, work: impl Future<Output = T>) -> (T, u64) {
    let allocated = || {
        tikv_jemalloc_ctl::epoch::advance().expect("jemalloc");
        tikv_jemalloc_ctl::stats::allocated::read().expect("jemalloc") as u64
    };
    let _ = server;
    let before = allocated();
    let mut most = before;
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return (done, most.max(allocated()) - before),
            () = tokio::time::sleep(Duration::from_millis(20)) => most = most.max(allocated()),
        }
    }
}

async fn replay_all(server: &Server, messages: usize) -> (Duration, u64) {
    fill(server, messages).await;
    let mut client = Client::new(server.address).await;
    let began = Instant::now();
    let ((), memory) = most_memory(server, client.read(messages)).await;
    (began.elapsed(), memory)
}

async fn come_back(server: &Server, clients: usize) -> (Duration, u64) {
    fill(server, 100).await;
    let ready = Arc::new(Barrier::new(clients + 1));
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (ready, address) = (Arc::clone(&ready), server.address);
        tasks.spawn(async move {
            let mut client = Client::new(address).await;
            ready.wait().await;
            client.read(100).await;
            client
        });
    }
    ready.wait().await;
    let began = Instant::now();
    let (all, memory) = most_memory(server, tasks.join_all()).await;
    let took = began.elapsed();
    let queued = server.server.metrics().delivered.value();
    assert_eq!(queued, 100 * clients as u64);
    drop(all);
    (took, memory)
}
