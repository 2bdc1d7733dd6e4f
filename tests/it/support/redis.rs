//! A Redis of a test's own, which can be killed, paused, and started again.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Folder, PATIENCE, free_port, within};

/// How often a start is tried: what is a free port may be taken until Redis has it.
const ATTEMPTS: usize = 5;

/// A running `redis-server` on a port of its own; it ends when this is dropped.
pub(crate) struct TestRedis {
    pub(crate) address: SocketAddr,
    options: Vec<String>,
    folder: Folder,
    child: Option<Child>,
}

impl TestRedis {
    /// Starts one that keeps nothing.
    pub(crate) async fn start() -> Self {
        Self::start_with(&["--appendonly", "no"]).await
    }

    /// Starts one that keeps all that it has acknowledged.
    pub(crate) async fn start_keeping() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    /// Starts one with options of its command line.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
        let mut redis = Self {
            address: ([127, 0, 0, 1], 0).into(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            folder: Folder::new("redis"),
            child: None,
        };
        for _ in 0..ATTEMPTS {
            redis.address.set_port(free_port());
            if redis.launch().await {
                return redis;
            }
        }
        panic!("redis-server does not start: {}", redis.said());
    }

    /// What `cluster.redis` is to be.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again where it was, with what it has kept. Nothing keeps its port for it meanwhile, so it is tried as
    /// long as that is taken.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let again = async {
            while !self.launch().await {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let is_there = tokio::time::timeout(PATIENCE, again).await.is_ok();
        assert!(is_there, "it does not start again: {}", self.said());
    }

    /// What it has said since it was started last.
    fn said(&self) -> String {
        std::fs::read_to_string(self.folder.file("log")).unwrap_or_default()
    }

    /// Sends it a signal by its name, such as `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.unwrap().success());
    }

    /// Has a command carried out; its answer as the protocol has it.
    pub(crate) async fn ask(&self, words: &[&str]) -> String {
        let mut stream = within(TcpStream::connect(self.address)).await.unwrap();
        let answer = asked(&mut stream, words);
        within(answer).await.expect("an answer")
    }

    async fn launch(&mut self) -> bool {
        let port = self.address.port().to_string();
        let log = std::fs::File::create(self.folder.file("log")).unwrap();
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
            ])
            .arg(self.folder.path())
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn();
        let child = child.expect("redis-server, which tests/install --packages installs");
        self.child = Some(child);
        let is_there = within(self.answers()).await;
        if !is_there {
            self.kill();
        }
        is_there
    }

    /// Waits until it answers; false if it has ended instead.
    async fn answers(&mut self) -> bool {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(10));
        loop {
            ticks.tick().await;
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                return false;
            }
            let Ok(mut stream) = TcpStream::connect(self.address).await else {
                continue;
            };
            // A socket that is given the very port it asks for connects to itself.
            let is_itself = stream.local_addr().unwrap() == self.address;
            // While it loads what it has kept it answers with an error.
            let answer = asked(&mut stream, &["PING"]).await;
            if !is_itself && answer.is_some_and(|answer| answer.starts_with("+PONG")) {
                return true;
            }
        }
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A Sentinel that looks after one master, and names its replica in its place after half a second without it; it ends
/// when this is dropped.
pub(crate) struct TestSentinel {
    pub(crate) address: SocketAddr,
    _folder: Folder,
    child: Child,
}

impl TestSentinel {
    /// Starts one that knows a master, and the replicas that are in step with it.
    pub(crate) async fn start(name: &str, master: &TestRedis) -> Self {
        let folder = Folder::new("sentinel");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (ip, port) = (master.address.ip(), master.address.port());
        let settings = format!(
            "bind 127.0.0.1\nport {}\nsentinel monitor {name} {ip} {port} 1\n\
             sentinel down-after-milliseconds {name} 500\nsentinel failover-timeout {name} 3000\n",
            address.port()
        );
        let file = folder.file("sentinel.conf");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new("redis-server");
        command
            .arg(&file)
            .arg("--sentinel")
            .current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let sentinel = Self {
            address,
            _folder: folder,
            child: command.spawn().unwrap(),
        };
        within(sentinel.knows_a_replica()).await;
        sentinel
    }

    async fn knows_a_replica(&self) {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            ticks.tick().await;
            let Ok(mut stream) = TcpStream::connect(self.address).await else {
                continue;
            };
            let told = asked(&mut stream, &["INFO", "sentinel"]).await;
            if told.is_some_and(|told| told.contains("slaves=1,")) {
                return;
            }
        }
    }
}

impl Drop for TestSentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a command, and returns what comes at once.
async fn asked(stream: &mut TcpStream, words: &[&str]) -> Option<String> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(command.as_bytes()).await.ok()?;
    let mut answer = vec![0; 64 * 1024];
    let read = stream.read(&mut answer).await.ok()?;
    Some(String::from_utf8_lossy(&answer[..read]).into_owned())
}
