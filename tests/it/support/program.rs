//! The program itself, as an operator starts it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// The program with arguments, and without the variables of this process that it reads.
pub(crate) fn mirant(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mirant"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MIRANT_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    end_of(&mut mirant(arguments))
}

/// Runs a command to its end, which it must come to by itself.
pub(crate) fn end_of(command: &mut Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    output_of(child.spawn().unwrap())
}

/// What a process says until its end, which it must come to by itself.
pub(crate) fn output_of(mut child: Child) -> Output {
    let give_up = Instant::now() + PATIENCE;
    // What it says fits into its pipes.
    while child.try_wait().unwrap().is_none() {
        if give_up < Instant::now() {
            let _ = child.kill();
            panic!("it goes on: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// Runs the program to its end with something on its standard input.
pub(crate) fn run_with(arguments: &[&str], input: &str) -> Output {
    let mut command = mirant(arguments);
    command.stdin(Stdio::piped());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read it may have ended by now.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    output_of(child)
}

/// A file of a test's own, which goes with it.
pub(crate) struct ConfigFile(pub(crate) PathBuf);

impl ConfigFile {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        // Tests that run at once use the same names.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mirant-it-{}-{number}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A running `mirant serve`, killed when dropped.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
    first_line: String,
}

impl Serving {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, Stdio::null())
    }

    pub(crate) fn start_with(arguments: &[&str], stderr: Stdio) -> Self {
        // Whoever stops it waits for that.
        let at_once = ["--set", "http.drain_time=0s"];
        let mut command = mirant(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(at_once);
        Self::of(command.args(arguments).stderr(stderr))
    }

    /// Starts a server as a command says, and waits until it listens.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first_line = String::new();
        stdout.read_line(&mut first_line).unwrap();
        Self {
            child,
            stdout,
            first_line,
        }
    }

    /// The next line that it says, from the first on.
    pub(crate) fn line(&mut self) -> String {
        let mut line = std::mem::take(&mut self.first_line);
        if line.is_empty() {
            self.stdout.read_line(&mut line).unwrap();
        }
        line
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let url = self
            .first_line
            .strip_prefix("listening on http://")
            .unwrap();
        url.strip_suffix("/cometd\n").unwrap().parse().unwrap()
    }

    /// Stops it, and returns what it logged, if it was started with a pipe for that.
    pub(crate) fn log(mut self) -> String {
        self.signal("TERM");
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        log
    }

    /// Stops it, and waits until it has ended.
    pub(crate) fn end(mut self) {
        self.signal("TERM");
        assert!(self.child.wait().unwrap().success());
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program that has ended said on standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A command that goes on, whose lines are read as they come; killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: Option<Receiver<String>>,
    stderr: Receiver<String>,
}

/// How a command ended, and what it said that was not read before.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut running = Self::start_unread(command);
        let stdout = running.child.stdout.take().unwrap();
        running.stdout = Some(lines_of(stdout));
        running
    }

    /// Starts one whose standard output nobody reads.
    pub(crate) fn start_unread(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = lines_of(child.stderr.take().unwrap());
        Self {
            child,
            stdout: None,
            stderr,
        }
    }

    /// Waits for a line of standard output.
    pub(crate) fn line(&mut self) -> String {
        let line = self.stdout.as_ref().unwrap().recv_timeout(PATIENCE);
        line.unwrap_or_else(|_| panic!("it says nothing: {:?}", self.ended()))
    }

    /// Waits until standard error says something, and returns that line.
    pub(crate) fn says(&mut self, part: &str) -> String {
        let mut before = Vec::new();
        loop {
            match self.stderr.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => before.push(line),
                Err(_) => panic!("{part} is not said: {before:?} {:?}", self.ended()),
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.unwrap().success());
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(&mut self) -> Ended {
        let give_up = Instant::now() + 3 * PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            if give_up < Instant::now() {
                panic!("it goes on: {:?}", self.ended());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.ended()
    }

    /// Ends it, if it has not ended.
    fn ended(&mut self) -> Ended {
        let _ = self.child.kill();
        let status = self.child.wait().unwrap();
        let stdout = self.stdout.as_ref();
        Ended {
            code: status.code(),
            stdout: stdout.map_or_else(Vec::new, |lines| lines.iter().collect()),
            stderr: self.stderr.iter().collect::<Vec<_>>().join("\n"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (give, take) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            if give.send(line).is_err() {
                return;
            }
        }
    });
    take
}
