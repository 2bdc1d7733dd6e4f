//! A Redis of a test's own, in a directory of its own, which ends with it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::cluster::Settings;

/// A Redis of a test's own.
pub(super) struct RedisServer {
    directory: PathBuf,
    options: Vec<String>,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts one whose data is in memory only.
    pub(super) fn start() -> Self {
        Self::with(&[])
    }

    pub(super) fn with(options: &[&str]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mirant-redis-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory");
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut server = Self {
            directory,
            options,
            process: None,
        };
        server.go_on();
        server
    }

    /// Starts it again, with what is in its directory.
    pub(super) fn go_on(&mut self) {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", ""])
            .args(["--unixsocket", &self.socket()])
            .args(["--dir", &self.directory.to_string_lossy()])
            .args(&self.options)
            .stdout(Stdio::piped());
        let mut process = command.spawn().expect("redis-server is installed");
        let mut lines = BufReader::new(process.stdout.take().expect("it writes")).lines();
        let is_ready = lines.any(|line| line.is_ok_and(|line| line.contains("ready to accept")));
        assert!(is_ready, "redis-server does not start");
        // What it writes is read on, so that it can write.
        std::thread::spawn(move || lines.for_each(drop));
        self.process = Some(process);
    }

    /// Ends it, as a loss of power does.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it is there");
            process.wait().expect("it has ended");
        }
    }

    /// Stops it, or lets it go on, without an end of its connections.
    pub(super) fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("it is there");
        let id = process.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("kill is there").success());
    }

    fn socket(&self) -> String {
        let socket = self.directory.join("socket");
        socket.to_string_lossy().into_owned()
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            redis: Some(format!("redis+unix://{}", self.socket())),
            call_timeout: Duration::from_secs(5),
            ..Settings::default()
        }
    }

    /// Asks it something itself.
    pub(super) fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let url = format!("redis+unix://{}", self.socket());
        let client = redis::Client::open(url).expect("a URL");
        let mut connection = client.get_connection().expect("it is there");
        let mut asked = redis::cmd(command[0]);
        asked.arg(&command[1..]);
        asked.query(&mut connection).expect("an answer")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
