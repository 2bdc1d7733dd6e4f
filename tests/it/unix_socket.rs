//! Unix sockets: their files, who may connect, who has, and that all goes over them as over TCP.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use mirant::config::{Config, Sources};
use mirant::metrics::{Limit, Metrics};
use mirant::run::{ListenAddress, bind};
use serde_json::json;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::program::{Serving, end_of, mirant, stderr};
use crate::support::{
    Client, Folder, Receiver, Request, TestServer, Way, relay_to, until, upgrade, within,
};

const ALIVE: &str = "another server listens there";

fn address(path: &Path) -> ListenAddress {
    ListenAddress::Unix(path.to_owned())
}

/// A server on a Unix socket, with a relay to it for clients by TCP.
fn start(folder: &Folder, set: &[&str]) -> TestServer {
    TestServer::start_at(address(&folder.file("http")), set)
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

/// Tries to listen; why it fails.
fn refusal(path: &Path) -> Option<String> {
    let sources = Sources {
        listen: vec![address(path)],
        ..Sources::default()
    };
    let config = Config::load(&sources, []).unwrap().config;
    let error = bind(config, false).err()?;
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on unix:{}", path.display())
    );
    Some(source.to_string())
}

#[tokio::test]
async fn a_server_may_take_over_from_one_that_runs() {
    let folder = Folder::new("taking-over");
    let path = folder.file("http");
    let old = TestServer::start_at(address(&path), &["http.reuse_port=true"]);
    let mut client = old.client().await;
    let new = TestServer::start_at(address(&path), &["http.reuse_port=true"]);
    // Who has connected is served where that was; who connects comes to the new one.
    client.subscribe("/a").await;
    assert_eq!(old.metrics().sessions.value(), 1);
    let _other = new.client().await;
    assert_eq!(new.metrics().sessions.value(), 1);
    drop(old);
    assert!(is_socket(&path), "the file is the new one's");
    let _third = new.client().await;
    assert_eq!(new.metrics().sessions.value(), 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// The responses that are open, and wait for events.
fn waiting(metrics: &Metrics) -> i64 {
    [
        &metrics.held_connects,
        &metrics.event_streams,
        &metrics.streamed_connects,
        &metrics.message_streams,
    ]
    .map(|gauge| i64::from(gauge.value() > 0))
    .iter()
    .sum()
}

#[tokio::test]
async fn every_transport_goes_over_it_held_and_resumed() {
    for way in Way::ALL {
        let folder = Folder::new(&format!("transport-{way:?}"));
        let server = start(&folder, &[]);
        let mut publisher = server.client().await;
        let mut receiver = Receiver::new(&server, way, false).await;
        // An event for each of two connects, or both by one stream.
        for number in 0..2 {
            let count = number as usize + 1;
            let publish = async {
                until(|| waiting(server.metrics()) > 0).await;
                let data = json!({"number": number});
                publisher.publish("/flood", data).await;
            };
            tokio::join!(within(receiver.receive(count)), publish);
        }
        assert_eq!(receiver.numbers, [0, 1], "{way:?}");
        let connections = server.metrics().connections.value();
        assert!(connections >= 2, "{way:?}: {connections}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_while_its_poll_is_held_loses_nothing() {
    let folder = Folder::new("gone");
    let server = start(&folder, &[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mut publisher = server.client().await;
    for round in 0..3 {
        let connect = json!([client.message(json!({"channel": "/meta/connect"}))]);
        let mut stream = UnixStream::connect(folder.file("http")).await.unwrap();
        let request = client.request(connect.to_string());
        stream.write_all(&request.bytes()).await.unwrap();
        server.holds(1).await;
        drop(stream);
        server.holds(0).await;
        publisher.publish("/a", round).await;
        let messages = client.connect().await;
        assert_eq!(messages[0]["data"], round);
    }
}

#[tokio::test]
async fn what_the_kernel_takes_for_a_client_that_does_not_read_is_bounded() {
    const FILLER: usize = 30_000;
    let folder = Folder::new("deaf");
    for (max_unsent, bounds) in [(32, 1..80_000), (8, 1..16_000)] {
        let set = [
            "http.write_timeout=300ms",
            &format!("http.max_unsent={max_unsent}KiB"),
        ];
        let mut server = start(&folder, &set);
        let mut client = server.client().await;
        client.subscribe("/flood").await;
        let mut publisher = server.client().await;
        for _ in 0..25 {
            publisher.publish("/flood", "x".repeat(FILLER)).await;
        }
        let mut deaf = UnixStream::connect(folder.file("http")).await.unwrap();
        let connect = json!([client.message(json!({"channel": "/meta/connect"}))]);
        let request = client.request(connect.to_string());
        deaf.write_all(&request.bytes()).await.unwrap();
        until(|| server.metrics().restored.value() == 25).await;
        assert_eq!(server.metrics().limit_count(Limit::WriteTimeout), 1);
        let mut taken = Vec::new();
        // What comes after it is a reset.
        let _ = within(deaf.read_to_end(&mut taken)).await;
        assert!(bounds.contains(&taken.len()), "{} of 750,000", taken.len());
        server.stop();
        server.stopped().await;
    }
}

#[tokio::test]
async fn a_stream_that_is_not_read_ends_and_one_that_is_read_slowly_does_not() {
    const EVENTS: u64 = 40;
    let folder = Folder::new("slow");
    let set = [
        "http.write_timeout=1s",
        "http.min_write_rate=1B",
        "http.max_unsent=8KiB",
    ];
    let server = start(&folder, &set);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = UnixStream::connect(folder.file("http")).await.unwrap();
        let request = Request::new("GET", "/events?channel=/flood").bytes();
        stream.write_all(&request).await.unwrap();
        streams.push(stream);
    }
    until(|| server.metrics().event_streams.value() == 2).await;
    let mut publisher = server.client().await;
    for number in 0..EVENTS {
        let data = json!({"number": number, "filler": "x".repeat(1000)});
        publisher.publish("/flood", data).await;
    }
    let mut slow = streams.pop().unwrap();
    let mut read = Vec::new();
    let last = format!("\"number\":{}", EVENTS - 1);
    while !String::from_utf8_lossy(&read).contains(&last) {
        // All of it takes some three seconds so.
        tokio::time::sleep(Duration::from_millis(70)).await;
        let mut buffer = [0; 1024];
        let some = within(slow.read(&mut buffer)).await.unwrap();
        assert!(some > 0, "it has ended after {} bytes", read.len());
        read.extend_from_slice(&buffer[..some]);
    }
    until(|| server.metrics().event_streams.value() == 1).await;
    assert_eq!(server.metrics().limit_count(Limit::WriteTimeout), 1);
}

#[tokio::test]
async fn above_max_connections_a_client_is_refused() {
    let folder = Folder::new("full");
    let server = start(&folder, &["http.max_connections=1"]);
    let _first = UnixStream::connect(folder.file("http")).await.unwrap();
    until(|| server.metrics().connections.value() == 1).await;
    let mut second = UnixStream::connect(folder.file("http")).await.unwrap();
    let mut text = String::new();
    within(second.read_to_string(&mut text)).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
}

#[tokio::test]
async fn the_socket_of_a_server_that_is_gone_is_replaced() {
    let folder = Folder::new("stale");
    let path = folder.file("http");
    drop(UnixListener::bind(&path).unwrap());
    assert!(is_socket(&path), "std leaves it");
    let server = start(&folder, &[]);
    server.client().await;
}

#[tokio::test]
async fn the_socket_of_a_server_that_lives_is_left_to_it() {
    let folder = Folder::new("alive");
    let path = folder.file("http");
    let other = UnixListener::bind(&path).unwrap();
    assert_eq!(refusal(&path).as_deref(), Some(ALIVE));
    other.accept().unwrap();
    let connected = UnixStream::connect(&path).await;
    assert!(connected.is_ok() && other.accept().is_ok());

    let listen = format!("unix:{}", path.display());
    let output = end_of(&mut mirant(&["serve", "--listen", &listen]));
    assert_eq!(output.status.code(), Some(2));
    let told = format!("cannot listen on {listen}: {ALIVE}");
    assert!(stderr(&output).contains(&told), "{}", stderr(&output));
    assert!(is_socket(&path));
}

#[tokio::test]
async fn a_server_that_is_too_busy_to_accept_lives() {
    let folder = Folder::new("busy");
    let path = folder.file("http");
    let unix = || Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let at = SockAddr::unix(&path).unwrap();
    let busy = unix();
    busy.bind(&at).unwrap();
    busy.listen(0).unwrap();
    let client = unix();
    client.connect(&at).unwrap();
    assert_eq!(refusal(&path).as_deref(), Some(ALIVE));
    // It does not serve connections as they are made by servers.
    let datagrams = folder.file("datagrams");
    let _other = std::os::unix::net::UnixDatagram::bind(&datagrams).unwrap();
    let told = refusal(&datagrams).unwrap();
    assert!(told.starts_with("cannot tell whether another"), "{told}");
    assert!(is_socket(&path) && is_socket(&datagrams));
}

#[tokio::test]
async fn what_is_not_a_socket_is_never_removed() {
    let folder = Folder::new("files");
    let [text, socket, dead, nowhere, inside] =
        ["text", "socket", "dead", "nowhere", "inside"].map(|name| folder.file(name));
    fs::write(&text, "mine").unwrap();
    drop(UnixListener::bind(&socket).unwrap());
    symlink(&socket, &dead).unwrap();
    symlink(folder.file("nothing"), &nowhere).unwrap();
    fs::create_dir(&inside).unwrap();
    for path in [&text, &dead, &nowhere, &inside] {
        let told = refusal(path).unwrap();
        assert!(told.contains("not a socket"), "{}: {told}", path.display());
    }
    assert_eq!(fs::read_to_string(&text).unwrap(), "mine");
    assert!(fs::symlink_metadata(&dead).unwrap().is_symlink() && is_socket(&socket));
    assert!(fs::symlink_metadata(&nowhere).unwrap().is_symlink() && inside.is_dir());
    let told = refusal(&folder.file("no/folder")).unwrap();
    assert!(told.contains("/no: create it first"), "{told}");
}

#[tokio::test]
async fn its_mode_says_who_may_connect() {
    let folder = Folder::new("mode");
    let mode = |name: &str| {
        let file = fs::symlink_metadata(folder.file(name)).unwrap();
        file.permissions().mode() & 0o777
    };
    let settings = [
        ("http", "", 0o660),
        ("own", "0600", 0o600),
        ("all", "0666", 0o666),
    ];
    for (name, unix_mode, expected) in settings {
        let listen = address(&folder.file(name));
        let set = format!("http.unix_mode={unix_mode}");
        let set: &[&str] = if unix_mode.is_empty() { &[] } else { &[&set] };
        let _server = TestServer::start_at(listen, set);
        assert_eq!(mode(name), expected, "{name}");
    }
}

#[tokio::test]
async fn its_file_goes_when_the_server_stops_even_while_a_request_is_served() {
    let folder = Folder::new("stops");
    let path = folder.file("http");
    let mut server = start(&folder, &[]);
    let mut client = server.client().await;
    let connect = json!([client.message(json!({"channel": "/meta/connect"}))]);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let request = client.request(connect.to_string());
    stream.write_all(&request.bytes()).await.unwrap();
    server.holds(1).await;
    server.stop();
    server.stopped().await;
    assert!(!path.exists());
    let mut text = String::new();
    within(stream.read_to_string(&mut text)).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    // Another takes its place at once.
    client = start(&folder, &[]).client().await;
    assert!(!client.id.is_empty() && is_socket(&path));
}

#[tokio::test]
async fn a_file_that_has_taken_its_place_is_left() {
    let folder = Folder::new("taken");
    let path = folder.file("http");
    let mut server = start(&folder, &[]);
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    server.stop();
    server.stopped().await;
    assert!(is_socket(&path));
}

/// The program on a socket of this name.
fn serving(folder: &Folder, arguments: &[&str]) -> Serving {
    let listen = format!("unix:{}", folder.file("http").display());
    let mut command = mirant(&["serve", "--listen", &listen]);
    Serving::of(command.args(arguments).stderr(Stdio::piped()))
}

#[tokio::test]
async fn the_program_says_where_it_listens_and_who_was_refused() {
    let folder = Folder::new("program");
    let path = folder.file("http");
    let admin = folder.file("admin");
    let admin_listen = format!("--set=admin.listen=unix:{}", admin.display());
    let mut program = serving(&folder, &[&admin_listen]);
    assert_eq!(
        program.line(),
        format!("listening on http://unix:{}:/cometd\n", path.display())
    );
    assert_eq!(
        program.line(),
        format!("admin on http://unix:{}:/metrics\n", admin.display())
    );
    let mut operator = UnixStream::connect(&admin).await.unwrap();
    let metrics = Request::new("GET", "/metrics").header("Connection", "close");
    operator.write_all(&metrics.bytes()).await.unwrap();
    let mut text = String::new();
    within(operator.read_to_string(&mut text)).await.unwrap();
    assert!(text.contains("mirant_connections 1\n"), "{text}");

    let mut client = UnixStream::connect(&path).await.unwrap();
    let evil = Request::post("[]").header("Origin", "http://evil.example");
    client.write_all(&evil.bytes()).await.unwrap();
    let mut answer = [0; 12];
    within(client.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 403");
    let mut socket = UnixStream::connect(&path).await.unwrap();
    // A frame that is not masked.
    socket.write_all(&upgrade().bytes()).await.unwrap();
    socket.write_all(b"\x81\x02[]").await.unwrap();
    let mut rest = Vec::new();
    let _ = within(socket.read_to_end(&mut rest)).await;
    let credentials = client.peer_cred().unwrap();
    let log = program.log();
    let own = format!(
        "remote=unix:uid={},pid={}",
        credentials.uid(),
        std::process::id()
    );
    for text in ["a request was refused", "a WebSocket was closed"] {
        let mut lines = log.lines().filter(|line| line.contains(text));
        let line = lines.next().unwrap_or_default();
        assert!(line.contains(&own), "{text}, {own} in\n{log}");
    }
    assert!(!path.exists() && !admin.exists());
}

#[tokio::test]
async fn after_a_kill_the_program_starts_again_at_the_same_path() {
    let folder = Folder::new("killed");
    let path = folder.file("http");
    drop(serving(&folder, &[]));
    assert!(is_socket(&path), "it was killed");
    let _program = serving(&folder, &[]);
    let mut client = Client::new(relay_to(&path));
    client.handshake().await;
    assert!(!client.id.is_empty());
}

#[test]
fn what_is_no_path_of_a_socket_stops_the_start() {
    for (listen, why) in [
        ("unix:mirant.sock", "begins with one slash"),
        (
            "unix:@mirant",
            "a Unix socket without a file is not supported",
        ),
        (&format!("unix:/{}", "a".repeat(200)), "at most 107 bytes"),
    ] {
        let set = format!("http.listen={listen}");
        for arguments in [["--listen", listen], ["--set", &set]] {
            let output = end_of(mirant(&["serve"]).args(arguments));
            assert_eq!(output.status.code(), Some(2));
            assert!(stderr(&output).contains(why), "{}", stderr(&output));
        }
    }
}
