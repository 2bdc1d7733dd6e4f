//! The access log: a line for each request once it is over, and no secret in any.

use std::fs;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::program::{ConfigFile, Serving, run, stderr};
use crate::support::{Client, Events, Http, Http2, Request, WebSocket, until};

/// A program that writes its access log to standard output, as JSON; where its clients and its operator connect.
fn serving() -> (Serving, [SocketAddr; 2]) {
    let set = [
        "log.access=stdout",
        "log.access_format=json",
        "http.http2_prior_knowledge=true",
        "admin.listen=['127.0.0.1:0']",
    ];
    let set = set.map(|set| format!("--set={set}"));
    let mut serving = Serving::start(&set.each_ref().map(String::as_str));
    let address = serving.address();
    serving.line();
    let line = serving.line();
    let admin = line.strip_prefix("admin on http://").unwrap();
    let admin = admin.strip_suffix("/metrics\n").unwrap();
    (serving, [address, admin.parse().unwrap()])
}

/// The next line: method, path, protocol, status and purpose, and how many bytes were sent.
fn next(serving: &mut Serving) -> (Value, u64) {
    let line: Value = serde_json::from_str(&serving.line()).unwrap();
    assert_eq!(line["client"], "127.0.0.1");
    assert!(line["duration"].as_f64().unwrap() >= 0.0, "{line}");
    let names = ["method", "path", "protocol", "status", "purpose"];
    let said = names.map(|name| line[name].clone()).to_vec();
    (said.into(), line["bytes"].as_u64().unwrap())
}

#[tokio::test]
async fn each_request_has_a_line_when_it_is_over() {
    let (mut serving, [address, _]) = serving();
    let mut http = Http::open(address).await;
    // The second head has the same bytes as the first.
    for _ in 0..2 {
        let body = http.exchange(Request::post("[]")).await.body.len();
        let (line, sent) = next(&mut serving);
        let expected = json!(["POST", "/cometd", "HTTP/1.1", 400, "messages"]);
        assert_eq!(line, expected);
        assert!(sent > body as u64, "{sent} bytes, {body} of them the body");
    }
    http.exchange(Request::new("GET", "/nothing?secret=1"))
        .await;
    let expected = json!(["GET", "/nothing", "HTTP/1.1", 404, "refused"]);
    assert_eq!(next(&mut serving).0, expected);
    http.send("no request\r\n\r\n").await;
    http.rest().await;
    let expected = json!(["-", "-", "-", 400, "refused"]);
    assert_eq!(next(&mut serving).0, expected);

    let mut http2 = Http2::open(address).await;
    http2.exchange(&Request::post("[]")).await;
    let expected = json!(["POST", "/cometd", "HTTP/2.0", 400, "messages"]);
    assert_eq!(next(&mut serving).0, expected);
}

/// Waits until the server holds a connect, which its own figures tell.
async fn is_held(serving: &mut Serving, admin: SocketAddr) {
    let mut http = Http::open(admin).await;
    loop {
        let figures = http.exchange(Request::new("GET", "/metrics")).await;
        let expected = json!(["GET", "/metrics", "HTTP/1.1", 200, "page"]);
        assert_eq!(next(serving).0, expected);
        if figures.text().contains("\nmirant_held_connects 1\n") {
            return;
        }
    }
}

#[tokio::test]
async fn what_goes_on_has_one_when_it_has_ended() {
    let (mut serving, [address, admin]) = serving();
    let mut socket = WebSocket::open(address).await;
    socket.handshake().await;
    let (events, _) = Events::open(address, "/events?channel=/a").await;
    let mut client = Client::new(address);
    client.handshake().await;
    let expected = json!(["POST", "/cometd", "HTTP/1.1", 200, "messages"]);
    assert_eq!(next(&mut serving).0, expected);
    client.connect().await;
    assert_eq!(next(&mut serving).0, expected);
    let mut poll = Http::open(address).await;
    let message =
        client.message(json!({"channel": "/meta/connect", "connectionType": "long-polling"}));
    poll.send(client.request(json!([message]).to_string()).bytes())
        .await;
    is_held(&mut serving, admin).await;
    // Of the others nothing is said yet; a poll that is given up had no response.
    poll.reset();
    let expected = json!(["POST", "/cometd", "HTTP/1.1", 0, "messages"]);
    assert_eq!(next(&mut serving), (expected, 0));
    drop(events);
    let expected = json!(["GET", "/events", "HTTP/1.1", 200, "events"]);
    assert_eq!(next(&mut serving).0, expected);
    drop(socket);
    let (line, sent) = next(&mut serving);
    let expected = json!(["GET", "/cometd", "HTTP/1.1", 101, "websocket"]);
    assert_eq!(line, expected);
    assert!(sent > 100, "only {sent} bytes");
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_made_anew_by_sighup_and_all_is_written_at_a_stop() {
    let config = ConfigFile::new("access-log", "");
    let (path, old) = (
        config.0.with_extension("log"),
        config.0.with_extension("log.1"),
    );
    let set = format!("--set=log.access={}", path.display());
    let serving = Serving::start(&["--config", config.path(), &set]);
    let mut http = Http::open(serving.address()).await;
    http.exchange(Request::new("GET", "/first")).await;
    until(|| fs::read_to_string(&path).is_ok_and(|text| text.contains("/first"))).await;
    fs::rename(&path, &old).unwrap();
    serving.signal("HUP");
    // Nothing tells when that was heard, but where lines go.
    while !path.exists() {
        http.exchange(Request::new("GET", "/more")).await;
    }
    http.exchange(Request::new("GET", "/last")).await;
    serving.end();
    let (old, new) = (taken(&old), taken(&path));
    assert!(old.contains("\"GET /first HTTP/1.1\" 404 "), "{old}");
    assert!(new.contains("\"GET /last HTTP/1.1\" 404 "), "{new}");
    assert!(!new.contains("/first"), "{new}");
}

/// Reads a file, and takes it away.
fn taken(path: &std::path::Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    fs::remove_file(path).unwrap();
    text
}

#[test]
fn a_file_that_cannot_be_written_stops_the_start() {
    for (target, problem) in [
        (
            "/nowhere/access.log",
            "log.access: /nowhere/access.log cannot be written",
        ),
        (
            "acces.log",
            "off, stdout, stderr, or the absolute path of a file",
        ),
    ] {
        let output = run(&["serve", "--set", &format!("log.access={target}")]);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(said.contains(problem), "{said}");
    }
}
