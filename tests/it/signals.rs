//! Signals: what stops the program, how soon, and what does not.

use std::io::{BufRead, BufReader};
use std::process::{ChildStderr, ExitStatus, Stdio};

use serde_json::json;

use crate::support::program::Serving;
use crate::support::{Client, Events, Http, Request, upgrade, within};

/// A stop that waits for a connection longer than any test does.
const PATIENT: [&str; 2] = ["--set", "http.shutdown_timeout=10m"];

/// What the program logs, line by line.
struct Log(BufReader<ChildStderr>);

impl Log {
    fn of(serving: &mut Serving) -> Self {
        Self(BufReader::new(serving.child.stderr.take().unwrap()))
    }

    /// Returns the next line that contains a text.
    async fn line(self, text: &'static str) -> (String, Self) {
        let mut log = self;
        let reading = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            while !line.contains(text) {
                line.clear();
                assert!(log.0.read_line(&mut line).unwrap() > 0, "no {text}");
            }
            (line, log)
        });
        within(reading).await.unwrap()
    }
}

/// Waits for the program's end; it is killed if that does not come.
async fn ended(mut serving: Serving) -> ExitStatus {
    let status = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(5));
        loop {
            ticks.tick().await;
            if let Some(status) = serving.child.try_wait().unwrap() {
                return status;
            }
        }
    };
    within(status).await
}

/// A balancer takes such connections for accepted, and sends no POST twice.
#[tokio::test]
async fn who_has_connected_before_the_end_is_answered() {
    let serving = Serving::start(&[]);
    let request = Request::post(json!([{"channel": "/meta/handshake"}]).to_string()).bytes();
    // Nothing is accepted now, but the kernel takes connections.
    serving.signal("STOP");
    let (mut early, mut late) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let mut http = Http::open(serving.address()).await;
        http.send(&request).await;
        early.push(http);
        late.push(Http::open(serving.address()).await);
    }
    serving.signal("TERM");
    serving.signal("CONT");
    for http in &mut late {
        http.send(&request).await;
    }
    for http in early.iter_mut().chain(&mut late) {
        // Some are answered before the signal is heard.
        assert_eq!(http.response().await.status, 200);
    }
    assert!(ended(serving).await.success());
}

/// Its next request may be on its way, and not every client sends it again.
#[tokio::test]
async fn who_has_just_been_answered_is_answered_once_more_after_the_end_has_begun() {
    let mut serving = Serving::start_with(&[], Stdio::piped());
    let log = Log::of(&mut serving);
    let mut http = Http::open(serving.address()).await;
    let request = Request::post(json!([{"channel": "/meta/handshake"}]).to_string()).bytes();
    http.send(&request).await;
    assert_eq!(http.response().await.status, 200);
    serving.signal("TERM");
    let (_, _log) = log.line("stopping sessions").await;
    http.send(&request).await;
    let response = http.response().await;
    assert_eq!(
        (response.status, response.header("Connection")),
        (200, Some("close"))
    );
    assert!(ended(serving).await.success());
}

#[tokio::test]
async fn sighup_is_no_end() {
    let mut serving = Serving::start_with(&[], Stdio::piped());
    let mut log = Log::of(&mut serving);
    for _ in 0..2 {
        serving.signal("HUP");
        let (line, rest) = log.line("was read anew").await;
        log = rest;
        assert!(line.contains("INFO"), "{line}");
        Client::new(serving.address()).handshake().await;
    }
    serving.signal("TERM");
    assert_eq!(ended(serving).await.code(), Some(0));
}

/// What of a request has arrived when the server stops, and the status of the answer.
#[tokio::test]
async fn what_has_arrived_in_part_does_not_hold_the_stop_up() {
    let post = "POST /cometd HTTP/1.1\r\nHost: localhost\r\n";
    let cases = [
        (String::new(), None),
        ("POST /com".to_owned(), Some(503)),
        (post.to_owned(), Some(503)),
        (format!("{post}Content-Length: 9\r\n\r\n"), Some(503)),
        (format!("{post}Content-Length: 9\r\n\r\n[{{"), Some(503)),
        (
            format!("{post}Transfer-Encoding: chunked\r\n\r\n2\r\n[{{\r\n"),
            Some(503),
        ),
        (
            format!("{post}Content-Type: message/http\r\nContent-Length: 9\r\n\r\nPOST"),
            Some(200),
        ),
    ];
    for (part, status) in cases {
        let serving = Serving::start(&PATIENT);
        let mut http = Http::open(serving.address()).await;
        // The connection is the server's, and not only the kernel's.
        http.exchange(Request::post("{}")).await;
        http.send(&part).await;
        serving.signal("TERM");
        if let Some(status) = status {
            assert_eq!(http.response().await.status, status, "{part:?}");
        } else {
            http.ended().await;
        }
        drop(http);
        assert_eq!(ended(serving).await.code(), Some(0), "{part:?}");
    }
}

#[tokio::test]
async fn a_websocket_whose_client_says_nothing_does_not_hold_the_stop_up() {
    // The first two bytes of a frame's head, a frame's head without its payload, and nothing.
    for part in [&[][..], &[0x81], &[0x81, 0x85, 1, 2, 3, 4]] {
        let serving = Serving::start(&PATIENT);
        let mut http = Http::open(serving.address()).await;
        assert_eq!(http.exchange(upgrade()).await.status, 101);
        http.send(part).await;
        serving.signal("TERM");
        assert_eq!(ended(serving).await.code(), Some(0), "{part:?}");
        drop(http);
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let cases = [
        ("TERM", "TERM", 143),
        ("TERM", "INT", 130),
        ("INT", "INT", 130),
    ];
    let mut options = PATIENT.to_vec();
    for setting in [
        "http.write_timeout=10m",
        "bayeux.max_message_size=16MiB",
        "bayeux.max_queue_bytes=64MiB",
    ] {
        options.extend(["--set", setting]);
    }
    for (first, second, code) in cases {
        let mut serving = Serving::start_with(&options, Stdio::piped());
        let log = Log::of(&mut serving);
        // A stream that its client does not read.
        let narrow = Http::open_narrow(serving.address()).await;
        let (unread, _) = Events::over(narrow, Request::new("GET", "/events?channel=/**")).await;
        let mut publisher = Client::new(serving.address());
        publisher.handshake().await;
        publisher.connect().await;
        publisher.publish("/a", json!("x".repeat(15 << 20))).await;
        serving.signal(first);
        let (_, log) = log.line("stopping").await;
        serving.signal(second);
        let (line, _) = log.line("second").await;
        assert!(line.contains(second), "{line}");
        assert_eq!(ended(serving).await.code(), Some(code), "{first} {second}");
        drop(unread);
    }
}
