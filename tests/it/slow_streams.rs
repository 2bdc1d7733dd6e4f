//! Streamed connects whose clients do not read: what bounds them, and that others do not notice.

use mirant::metrics::{Dropped, Limit};
use serde_json::json;

use crate::support::{Client, Http, Request, Streamed, TestServer, only, until};

const TRANSPORTS: [&str; 3] = ["xhr-streaming", "multipart", "iframe"];
/// More than all buffers between two sockets hold.
const FLOOD: u64 = 240;
const FILLER: usize = 50_000;
/// So that a bound is not the one of time.
const PATIENT: &str = "http.write_timeout=10m";

/// A client that has a stream, which it does not read, and a session that is subscribed.
struct Slow {
    client: Client,
    transport: &'static str,
    stream: Streamed,
}

impl Slow {
    async fn open(server: &TestServer, transport: &'static str) -> Self {
        let mut client = server.client().await;
        client.subscribe("/flood").await;
        let http = Http::open_narrow(server.address).await;
        let stream = Streamed::over(http, connect(&client, transport)).await;
        Self {
            client,
            transport,
            stream,
        }
    }

    /// The numbers of the events that its next stream has, to that of the flood's last.
    async fn next(&self, server: &TestServer) -> Vec<u64> {
        let request = connect(&self.client, self.transport);
        let mut stream = Streamed::open(server.address, request).await;
        numbers(&to_the_last(&mut stream).await)
    }
}

fn connect(client: &Client, transport: &str) -> Request {
    let message = json!({"channel": "/meta/connect", "connectionType": transport});
    let request = client.request(json!([client.message(message)]).to_string());
    request.header("Origin", "http://localhost")
}

/// A client that reads all it gets, while numbers are published until it is enough.
async fn flood(server: &TestServer, is_enough: impl Fn() -> bool) -> u64 {
    let mut reader = server.client().await;
    reader.subscribe("/flood").await;
    let mut stream = Streamed::open(server.address, connect(&reader, "xhr-streaming")).await;
    let mut publisher = server.client().await;
    let filler = "x".repeat(FILLER);
    for number in 0..FLOOD {
        if is_enough() {
            return number;
        }
        let data = json!({"number": number, "filler": filler});
        assert_eq!(
            only(publisher.publish("/flood", data).await)["successful"],
            true
        );
        assert_eq!(numbers(&stream.until("\n").await), [number]);
    }
    FLOOD
}

async fn to_the_last(stream: &mut Streamed) -> String {
    let last = format!("\"number\":{}}}", FLOOD - 1);
    stream.until(&last).await
}

/// The numbers of the events in a text, however they stand in it.
fn numbers(text: &str) -> Vec<u64> {
    let behind = text.split("\"number\":").skip(1);
    behind
        .map(|rest| rest.split_once('}').unwrap().0.parse().unwrap())
        .collect()
}

/// Requires that a flood ends the session of a slow client, and of no other.
async fn ends_at(bounds: [&'static str; 2]) {
    for transport in TRANSPORTS {
        let server = TestServer::start(&[PATIENT, bounds[0], bounds[1]]);
        let mut slow = Slow::open(&server, transport).await;
        let limited = || server.metrics().limit_count(Limit::MaxQueue) > 0;
        let published = flood(&server, limited).await;
        assert!(published < FLOOD, "{transport}");
        until(|| server.metrics().streamed_connects.value() == 0).await;
        let ended = r#"mirant_sessions_ended_total{reason="max_queue"} 1"#;
        assert!(server.metrics().render().contains(ended));
        assert_eq!(server.metrics().limit_count(Limit::MaxQueue), 1);
        assert_eq!(server.metrics().limit_count(Limit::WriteTimeout), 0);

        // What it reads in the end is a beginning without gaps.
        let text = slow.stream.broken_off().await;
        let read = numbers(&text);
        assert!(read.iter().copied().eq(0..read.len() as u64), "{read:?}");
        assert!((read.len() as u64) < published, "{transport}");
        let reply = only(slow.client.connect().await);
        assert_eq!(reply["error"], "402::session_unknown");
        assert_eq!(reply["advice"]["reconnect"], "handshake");
    }
}

#[tokio::test]
async fn max_queue_ends_the_session_of_a_client_that_does_not_read() {
    ends_at(["bayeux.max_queue=50", "bayeux.max_queue_bytes=100MiB"]).await;
}

#[tokio::test]
async fn max_queue_bytes_ends_it_as_well() {
    ends_at(["bayeux.max_queue=100000", "bayeux.max_queue_bytes=1MiB"]).await;
}

#[tokio::test]
async fn drop_oldest_keeps_the_session_and_the_stream() {
    let bounds = [
        "bayeux.max_queue=50",
        "bayeux.max_queue_bytes=1MiB",
        "bayeux.max_queue=30",
    ];
    for (transport, bound) in TRANSPORTS.into_iter().zip(bounds) {
        let server = TestServer::start(&[
            PATIENT,
            "bayeux.max_queue_bytes=100MiB",
            bound,
            "bayeux.max_queue_policy=drop_oldest",
        ]);
        let mut slow = Slow::open(&server, transport).await;
        assert_eq!(flood(&server, || false).await, FLOOD);
        let dropped = server.metrics().dropped_count(Dropped::Oldest);
        assert!(dropped > 0, "{transport} {bound}");
        assert_eq!(server.metrics().limit_count(Limit::MaxQueue), dropped);
        let none_ended = "{reason=\"max_queue\"} 0";
        assert!(server.metrics().render().contains(none_ended));
        let read = numbers(&to_the_last(&mut slow.stream).await);
        assert!(read.is_sorted_by(|a, b| a < b), "{read:?}");
        assert_eq!(read.len() as u64 + dropped, FLOOD);
    }
}

#[tokio::test]
pub(crate) async fn a_write_timeout_ends_the_stream_and_the_next_has_the_rest() {
    for transport in TRANSPORTS {
        let server = TestServer::start(&[
            "http.write_timeout=3s",
            "bayeux.max_queue_bytes=100MiB",
            "bayeux.max_interval=1m",
        ]);
        let mut slow = Slow::open(&server, transport).await;
        assert_eq!(flood(&server, || false).await, FLOOD);
        until(|| server.metrics().limit_count(Limit::WriteTimeout) == 1).await;
        until(|| server.metrics().streamed_connects.value() == 0).await;
        // With that of the reader, which has left.
        assert_eq!(server.metrics().lost_connects.value(), 2);

        let mut read = numbers(&slow.stream.broken_off().await);
        assert!((read.len() as u64) < FLOOD, "{transport}");
        read.extend(slow.next(&server).await);
        assert!(read.iter().copied().eq(0..FLOOD), "{read:?}");
        assert_eq!(server.metrics().dropped_count(Dropped::Oldest), 0);
    }
}
