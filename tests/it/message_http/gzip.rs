//! The whole response as one gzip stream, of which every piece is readable as it comes.

use std::io::Write;

use flate2::write::GzDecoder;
use serde_json::json;

use super::{connect, reply};
use crate::support::{Embedded, Request, Streamed, TestServer, two_way};

/// The text of a stream as far as it has come, decoded.
struct Decoded {
    stream: Streamed,
    decoder: GzDecoder<Vec<u8>>,
}

impl Decoded {
    async fn open(server: &TestServer, request: Request) -> Self {
        let request = request.header("Accept-Encoding", "br, gzip;q=0.8");
        let stream = Streamed::open(server.address, request).await;
        assert_eq!(stream.response.header("Content-Encoding"), Some("gzip"));
        assert_eq!(stream.response.header("Content-Type"), Some("message/http"));
        let decoder = GzDecoder::new(Vec::new());
        Self { stream, decoder }
    }

    /// Reads until the decoded text holds this, and takes the text.
    async fn until(&mut self, end: &str) -> String {
        loop {
            self.decoder.flush().unwrap();
            let text = String::from_utf8(self.decoder.get_ref().clone()).unwrap();
            if text.contains(end) {
                self.decoder.get_mut().clear();
                return text;
            }
            let bytes = self.stream.some().await;
            self.decoder.write_all(&bytes).unwrap();
        }
    }

    /// All the rest, which has to have its checksum.
    async fn rest(mut self) -> String {
        let bytes = self.stream.raw_rest().await;
        self.decoder.write_all(&bytes).unwrap();
        String::from_utf8(self.decoder.finish().unwrap()).unwrap()
    }
}

#[tokio::test]
async fn events_are_readable_as_they_come() {
    let server = TestServer::start(&["streaming.lifetime=1500ms"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mut stream = Decoded::open(&server, connect(&client, "message-http")).await;
    let mut publisher = server.client().await;
    for number in 0..5 {
        publisher.publish("/a", number).await;
        let event = json!([{"channel": "/a", "data": number}]).to_string();
        let text = stream.until(&event).await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    }
    let last = json!([reply()]);
    let rest = stream.rest().await;
    let (_, json) = rest.rsplit_once("\r\n\r\n").unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(json).unwrap(),
        last
    );
}

#[tokio::test]
async fn heads_like_those_before_cost_next_to_nothing() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mut stream = Decoded::open(&server, connect(&client, "message-http")).await;
    let mut publisher = server.client().await;
    for number in 0..5 {
        let price = format!("{}.5", 100 + number);
        let quote = json!({"symbol": "ACME", "bid": price, "venue": "XNAS", "note": "regular"});
        publisher.publish("/a", quote).await;
        if number == 0 {
            stream.until("100.5").await;
            continue;
        }
        let bytes = stream.stream.some().await;
        assert!(bytes.len() < 50, "{}", bytes.len());
        stream.decoder.write_all(&bytes).unwrap();
    }
    assert_eq!(stream.until("104.5").await.matches("ACME").count(), 4);
}

#[tokio::test]
async fn a_whole_response_and_one_of_http_1_0_are_gzip_too() {
    let server = TestServer::start(&["streaming.lifetime=100ms"]);
    let client = server.handshaken().await;
    let stream = Decoded::open(&server, connect(&client, "message-http")).await;
    assert!(stream.stream.has_ended);
    assert!(stream.rest().await.contains("\"successful\":true"));
    let request = connect(&client, "message-http").version("HTTP/1.0");
    let stream = Decoded::open(&server, request).await;
    assert!(stream.rest().await.contains("\"successful\":true"));
}

#[tokio::test]
async fn answers_to_embedded_requests_are_gzip_too_unless_they_may_not_be() {
    let server = TestServer::start(&[]);
    let body = Request::new("GET", "/nowhere").bytes().repeat(50);
    let request = || two_way().body(body.clone());
    let stream = Decoded::open(&server, request()).await;
    assert_eq!(stream.rest().await.matches("404 Not Found").count(), 50);
    let request = request().header("Accept-Encoding", "gzip;q=0");
    let mut stream = Embedded::open(server.address, request).await;
    assert_eq!(stream.outer.response.header("Content-Encoding"), None);
    assert_eq!(stream.next().await.status, 404);
}
