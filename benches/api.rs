//! What a publish by the HTTP API costs beside one by Bayeux: the processor time of the server's only thread, for
//! the same data over kept connections. A program of its own, which prints a table and needs Linux.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use mirant::config::{Config, Sources};
use mirant::run::BoundAddress;

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A key, and what `printf %s KEY | sha256sum` prints for it.
const KEY: &str = "mirant_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const HASH: &str = "sha256:a85ffefcbd8759ae6ce337e1d392ab2d461ff5e5fc3d1e4c7184a5044f2425e5";
/// What is published: as long as a chat message.
const DATA: &str = r#"{"from":"alice","text":"as long as a message of a chat is, which is not long at all","at":1700000000}"#;
/// Messages in a request.
const BATCHES: [usize; 4] = [1, 10, 100, 1000];
/// Messages in a round, and how many rounds of each kind follow each other in turns.
const ROUND: usize = 20_000;
const ROUNDS: usize = 15;

fn main() {
    // Once, if this is run as a test.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (messages, rounds) = if is_test { (1000, 1) } else { (ROUND, ROUNDS) };
    let server = Server::start();
    let client_id = handshake(server.address);
    println!("messages a request | by Bayeux, µs a message | by the API | ratio");
    for batch in BATCHES {
        let mut bayeux = Way::new(server.address, &bayeux(&client_id, batch));
        let mut api = Way::new(server.api, &by_api(batch));
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            one.push(server.cost(|| bayeux.send(messages / batch)) / messages as f64);
            other.push(server.cost(|| api.send(messages / batch)) / messages as f64);
        }
        let (one, other) = (median(one), median(other));
        println!("{batch} | {one:.2} | {other:.2} | {:.2}", other / one);
    }
}

/// A server with a thread of its own.
struct Server {
    address: SocketAddr,
    api: SocketAddr,
    /// The file that says how long its thread has run.
    times: String,
}

impl Server {
    fn start() -> Self {
        let (send, started) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let bound = mirant::run::bind(config(), false).expect("a server");
                let ip = |addresses: Vec<BoundAddress>| addresses[0].ip().expect("an address");
                let thread = std::fs::read_link("/proc/thread-self").expect("Linux");
                let server = Self {
                    address: ip(bound.addresses()),
                    api: ip(bound.api_addresses()),
                    times: format!("/proc/{}/schedstat", thread.display()),
                };
                send.send(server).expect("somebody waits");
                bound.run(std::future::pending()).await;
            });
        });
        started.recv().expect("a server")
    }

    /// Returns the processor time that something takes, in microseconds.
    fn cost(&self, work: impl FnOnce()) -> f64 {
        let before = self.time();
        work();
        (self.time() - before).as_secs_f64() * 1e6
    }

    fn time(&self) -> Duration {
        let text = std::fs::read_to_string(&self.times).expect("a thread");
        let first = text.split(' ').next().and_then(|time| time.parse().ok());
        Duration::from_nanos(first.expect("a time"))
    }
}

fn config() -> Config {
    let key = format!("api.key=[{{ name = 'bench', hash = '{HASH}', allow = ['publish'] }}]");
    let set = [
        "http.listen=127.0.0.1:0",
        "api.listen=127.0.0.1:0",
        "bayeux.max_unconnected=1h",
        "bayeux.max_message_size=1MiB",
        &key,
    ];
    let sources = Sources {
        set: set.map(str::to_owned).to_vec(),
        ..Sources::default()
    };
    Config::load(&sources, []).expect("a configuration").config
}

/// A connection, and the request that is sent by it again and again.
struct Way {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Way {
    fn new(address: SocketAddr, request: &str) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            request: request.as_bytes().to_vec(),
            buffer: vec![0; 1 << 20],
        }
    }

    fn send(&mut self, times: usize) {
        for _ in 0..times {
            let response = self.exchange();
            assert!(response.starts_with("HTTP/1.1 200"), "{response}");
            assert!(!response.contains("false,\"error\""), "{response}");
        }
    }

    fn exchange(&mut self) -> &str {
        self.stream.write_all(&self.request).expect("a server");
        let mut length = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[length..]);
            length += read.ok().filter(|read| *read > 0).expect("a response");
            let text = std::str::from_utf8(&self.buffer[..length]).expect("text");
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let (_, rest) = head.split_once("Content-Length: ").expect("a length");
                let digits = rest
                    .split('\r')
                    .next()
                    .and_then(|digits| digits.parse().ok());
                if body.len() == digits.unwrap_or(0) {
                    break;
                }
            }
        }
        std::str::from_utf8(&self.buffer[..length]).expect("text")
    }
}

fn handshake(address: SocketAddr) -> String {
    let body = r#"{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}"#;
    let mut way = Way::new(address, &request("/cometd", "", body));
    let (_, rest) = way
        .exchange()
        .split_once("\"clientId\":\"")
        .expect("a reply");
    rest.split('"').next().expect("an id").to_owned()
}

fn request(path: &str, header: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{header}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn bayeux(client_id: &str, batch: usize) -> String {
    let message = |number| {
        format!(r#"{{"channel":"/bench","data":{DATA},"clientId":"{client_id}","id":"{number}"}}"#)
    };
    request("/cometd", "", &list((0..batch).map(message)))
}

fn by_api(batch: usize) -> String {
    let message = |_| format!(r#"{{"channel":"/bench","data":{DATA}}}"#);
    let key = format!("Authorization: Bearer {KEY}\r\n");
    request("/api/v1/publish", &key, &list((0..batch).map(message)))
}

fn list(messages: impl Iterator<Item = String>) -> String {
    let mut list = String::new();
    for message in messages {
        let comma = if list.is_empty() { "[" } else { "," };
        write!(list, "{comma}{message}").expect("a String takes every write");
    }
    list + "]"
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
