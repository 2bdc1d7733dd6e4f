//! The program itself: its commands, what it prints, and its exit codes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use crate::support::{Client, Http, Request, only, within};

fn mirant(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mirant"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MIRANT_") {
            command.env_remove(name);
        }
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    mirant(arguments).output().unwrap()
}

/// A file of a test's own, which goes with it.
struct ConfigFile(PathBuf);

impl ConfigFile {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("mirant-it-{}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
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
    child: Child,
    stdout: BufReader<ChildStdout>,
    first_line: String,
}

impl Serving {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, Stdio::null())
    }

    fn start_with(arguments: &[&str], stderr: Stdio) -> Self {
        let mut child = mirant(&["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first_line = String::new();
        stdout.read_line(&mut first_line).unwrap();
        Self {
            child,
            stdout,
            first_line,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let url = self
            .first_line
            .strip_prefix("listening on http://")
            .unwrap();
        url.strip_suffix("/cometd\n").unwrap().parse().unwrap()
    }

    /// Stops it, and returns what it logged, if it was started with a pipe for that.
    fn log(mut self) -> String {
        self.signal("TERM");
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        log
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

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn an_unknown_key_stops_the_start_with_file_key_and_nearest_name() {
    let file = ConfigFile::new("unknown", "[bayeux]\nmax_intervall = \"5s\"\n");
    for arguments in [["serve", "--config"].as_slice(), &["check-config"]] {
        let output = run(&[arguments, &[file.path()]].concat());
        assert_eq!(output.status.code(), Some(2));
        let error = stderr(&output);
        for part in [file.path(), "bayeux.max_intervall", "bayeux.max_interval?"] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}

#[test]
fn a_wrong_value_stops_the_start_with_its_source_and_key() {
    let file = ConfigFile::new("wrong", "[bayeux]\ntimeout = 30\n");
    let output = run(&["serve", "--config", file.path()]);
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert!(
        error.contains(file.path()) && error.contains("bayeux.timeout"),
        "{error}"
    );
    let output = run(&["serve", "--set", "bayeux.timeout=soon"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--set bayeux.timeout=soon"));
    let output = mirant(&["serve"])
        .env("MIRANT_BAYEUX__TIMEOUT", "soon")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("MIRANT_BAYEUX__TIMEOUT"));
}

#[test]
fn check_config_accepts_a_good_file() {
    let text =
        "[http]\nlisten = [\"127.0.0.1:0\"]\n[[channel]]\npattern = \"/a/**\"\nlazy = true\n";
    let file = ConfigFile::new("good", text);
    let output = run(&["check-config", file.path()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let file = ConfigFile::new("syntax", "[bayeux\n");
    for path in [file.path(), "/nowhere/mirant.toml"] {
        let output = run(&["check-config", path]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(path));
    }
}

#[test]
fn the_printed_defaults_are_a_file_that_changes_nothing() {
    let output = run(&["default-config"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let file = ConfigFile::new("defaults", &text);
    let checked = run(&["check-config", file.path()]);
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    let sources = mirant::config::Sources {
        file: Some(file.0.clone()),
        ..Default::default()
    };
    let loaded = mirant::config::Config::load(&sources, []).unwrap().config;
    let value = |config: &mirant::config::Config| serde_json::to_value(config).unwrap();
    assert_eq!(value(&loaded), value(&mirant::config::Config::default()));
}

#[tokio::test]
async fn serve_prints_where_it_listens_and_sigterm_ends_it_with_0() {
    for signal in ["TERM", "INT"] {
        let mut serving = Serving::start(&[]);
        let mut client = Client::new(serving.address());
        client.handshake().await;
        client.connect().await;
        client.poll().await;
        assert!(client.poll_connection().await.is_silent().await);
        serving.signal(signal);
        let reply = only(client.polled().await);
        assert_eq!(reply["successful"], true);
        assert_eq!(reply["advice"]["reconnect"], "retry");
        assert_eq!(serving.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn an_address_in_use_is_exit_code_2_and_named() {
    let serving = Serving::start(&[]);
    let address = serving.address().to_string();
    let output = run(&["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(&address), "{}", stderr(&output));
}

#[tokio::test]
async fn later_sources_win() {
    let file = ConfigFile::new(
        "order",
        "[bayeux]\npath = \"/file\"\ntimeout = \"7s\"\ninterval = \"7s\"\n",
    );
    let mut child = mirant(&["serve", "--listen", "127.0.0.1:0", "--config", file.path()])
        .args(["--set", "bayeux.interval=9s"])
        .env("MIRANT_BAYEUX__TIMEOUT", "8s")
        .env("MIRANT_BAYEUX__INTERVAL", "8s")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let url = line.strip_prefix("listening on http://").unwrap();
    let address = url.strip_suffix("/file\n").unwrap().parse().unwrap();
    let request = Request::post(r#"{"channel":"/meta/handshake"}"#).to("/file");
    let reply = within(Http::open(address))
        .await
        .exchange(request)
        .await
        .messages()
        .remove(0);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(reply["advice"]["timeout"], 8000);
    assert_eq!(reply["advice"]["interval"], 9000);
}

#[tokio::test]
async fn the_demonstration_prints_its_page_and_serves_it() {
    let mut serving = Serving::start(&["--demo"]);
    let address = serving.address();
    let mut text = String::new();
    while !text.contains("curl") {
        assert!(serving.stdout.read_line(&mut text).unwrap() > 0);
    }
    assert!(text.contains(&format!("http://{address}/")));
    let response = Http::open(address)
        .await
        .exchange(Request::new("GET", "/"))
        .await;
    assert_eq!(response.status, 200);
    assert!(
        response
            .header("Content-Type")
            .unwrap()
            .starts_with("text/html")
    );
}

/// Runs a server, fills the queue of a client that is away, lets it poll, and fills it again;
/// returns the warnings.
async fn warnings_of_full_queues(options: &[&str]) -> (Vec<String>, String) {
    let set: Vec<&str> = options
        .iter()
        .flat_map(|option| ["--set", option])
        .collect();
    let serving = Serving::start_with(&set, Stdio::piped());
    let mut clients = [
        Client::new(serving.address()),
        Client::new(serving.address()),
    ];
    for client in &mut clients {
        client.handshake().await;
        client.connect().await;
    }
    let [subscriber, publisher] = &mut clients;
    subscriber.subscribe("/**").await;
    for _ in 0..2 {
        for n in 0..6 {
            publisher.publish("/a/b", n).await;
        }
        subscriber.queued().await;
    }
    let id = subscriber.id.clone();
    let log = serving.log();
    let warnings = log.lines().filter(|line| line.contains("WARN"));
    (warnings.map(str::to_owned).collect(), id)
}

#[tokio::test]
async fn a_full_queue_is_logged_once_until_it_was_empty_with_the_option_and_the_fix() {
    let options = ["bayeux.max_queue=2", "bayeux.max_queue_policy=conflate"];
    let (warnings, id) = warnings_of_full_queues(&options).await;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for part in [
        &id,
        "bayeux.max_queue,",
        "keeping only the latest of every channel",
        "raise them, or choose another bayeux.max_queue_policy",
    ] {
        assert!(warnings[0].contains(part), "{part} in {warnings:?}");
    }
}

#[tokio::test]
async fn a_channel_s_bound_is_logged_once_a_session_with_the_channel() {
    let channel = r#"channel=[{pattern="/a/**", max_queue=1, max_queue_policy="drop_oldest"}]"#;
    let (warnings, id) = warnings_of_full_queues(&[channel]).await;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in [
        &id,
        "/a/b",
        "max_queue of its [[channel]]",
        "dropping the oldest",
    ] {
        assert!(warnings[0].contains(part), "{part} in {warnings:?}");
    }
}
